-- Servers that tokens are pushed to, and what was pushed there.

CREATE TABLE target (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
  kind        TEXT NOT NULL,
  url         TEXT NOT NULL,
  account     TEXT NOT NULL,
  realm       TEXT NOT NULL,
  resolver    TEXT NOT NULL,
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL, -- its credential
  created     INTEGER NOT NULL
) STRICT;

CREATE TABLE push (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  target     INTEGER NOT NULL REFERENCES target (id),
  credential INTEGER NOT NULL REFERENCES credential (id),
  serial     TEXT NOT NULL CHECK (serial <> ''), -- there
  account    TEXT NOT NULL,
  handle     TEXT NOT NULL DEFAULT '',
  wanted     TEXT NOT NULL CHECK (wanted IN ('enrolled', 'disabled', 'enabled')),
  done       TEXT NOT NULL DEFAULT '' CHECK (done IN ('', 'enrolled', 'disabled', 'enabled')),
  enrolled   INTEGER NOT NULL DEFAULT 0 CHECK (enrolled IN (0, 1)), -- the target confirmed it once
  attempts   INTEGER NOT NULL DEFAULT 0,
  error      TEXT NOT NULL DEFAULT '',
  changed    INTEGER NOT NULL, -- when wanted was set
  tried      INTEGER NOT NULL DEFAULT 0,
  done_at    INTEGER NOT NULL DEFAULT 0,
  doubt      INTEGER NOT NULL DEFAULT 0, -- until then a request that enables may be on its way
  UNIQUE (target, credential),
  UNIQUE (target, serial)
) STRICT;
CREATE INDEX push_credential ON push (credential);
CREATE INDEX push_pending ON push (id) WHERE done <> wanted;
