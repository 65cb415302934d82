-- What stands in for a token for a while, and how an app gets its secret. Only hashes of what is handed out: seal.Key.Mark.

CREATE TABLE code (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  person    INTEGER NOT NULL REFERENCES person (id),
  kind      TEXT NOT NULL CHECK (kind IN ('temp', 'recovery')),
  hash      BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
  expires   INTEGER NOT NULL,                           -- 0: never
  client    INTEGER REFERENCES client (id),             -- the only one that may use it; NULL: any
  revoked   INTEGER NOT NULL DEFAULT 0,
  created   INTEGER NOT NULL
) STRICT;
CREATE INDEX code_person ON code (person);

CREATE TABLE browser (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  person  INTEGER NOT NULL REFERENCES person (id),
  client  INTEGER NOT NULL REFERENCES client (id),
  hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  name    TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  used    INTEGER NOT NULL DEFAULT 0,
  revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX browser_person ON browser (person);

CREATE TABLE activation (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  person     INTEGER NOT NULL REFERENCES person (id),
  hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- of the link
  pin        BLOB NOT NULL CHECK (length(pin) = 32),         -- of what the operator tells the person
  tries_left INTEGER NOT NULL CHECK (tries_left >= 0),
  settings   TEXT NOT NULL,                                  -- of the credential to be, JSON
  token      INTEGER REFERENCES token (id),                  -- drawn when the link was opened last
  opened     INTEGER NOT NULL DEFAULT 0,                     -- then
  wrong      INTEGER NOT NULL DEFAULT 0,                     -- codes since then
  expires    INTEGER NOT NULL,                               -- the link; the secret lives shorter
  done       INTEGER NOT NULL DEFAULT 0,
  cancelled  INTEGER NOT NULL DEFAULT 0,
  created    INTEGER NOT NULL
) STRICT;
CREATE INDEX activation_person ON activation (person);
CREATE INDEX activation_token ON activation (token) WHERE token IS NOT NULL;
CREATE INDEX activation_open ON activation (id) WHERE token IS NOT NULL AND done = 0 AND cancelled = 0;

CREATE TABLE notice (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  person   INTEGER NOT NULL REFERENCES person (id),
  kind     TEXT NOT NULL,
  facts    TEXT NOT NULL,               -- JSON, without secrets and codes
  created  INTEGER NOT NULL,
  sent     INTEGER NOT NULL DEFAULT 0,
  held     INTEGER NOT NULL DEFAULT 0,  -- nobody else sends it until then
  attempts INTEGER NOT NULL DEFAULT 0,
  error    TEXT NOT NULL DEFAULT ''     -- of the last one
) STRICT;
CREATE INDEX notice_waiting ON notice (id) WHERE sent = 0;
