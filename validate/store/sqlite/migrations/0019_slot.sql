-- Slots of every kind: the first moving factor of HOTP, an access code that is on its way to the key, and what is
-- done to a slot beside writing it anew.
ALTER TABLE credential ADD COLUMN first_moving INTEGER NOT NULL DEFAULT 0 CHECK (first_moving BETWEEN 0 AND 1048560);

CREATE TABLE new_secret (
  credential  INTEGER NOT NULL REFERENCES credential (id),
  what        TEXT NOT NULL CHECK (what IN ('aes-key', 'private-id', 'access-code', 'next-code')),
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  PRIMARY KEY (credential, what)
) STRICT, WITHOUT ROWID;
INSERT INTO new_secret SELECT credential, what, key_version, sealed FROM secret;
DROP TABLE secret;
ALTER TABLE new_secret RENAME TO secret;

CREATE TABLE slot_change (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  phase        TEXT NOT NULL CHECK (phase IN ('writing', 'committed', 'aborted')),
  work         TEXT NOT NULL CHECK (work IN ('update', 'swap', 'erase')),
  token        INTEGER NOT NULL REFERENCES token (id),
  slot         INTEGER NOT NULL CHECK (slot IN (0, 1, 2)), -- 0: both
  credential   INTEGER REFERENCES credential (id),         -- in the slot, of both in slot 1; NULL: nothing of ours
  other        INTEGER REFERENCES credential (id),         -- of both, in slot 2
  ext_flags    INTEGER NOT NULL DEFAULT 0,                 -- after an update
  ticket_flags INTEGER NOT NULL DEFAULT 0,
  config_flags INTEGER NOT NULL DEFAULT 0,
  has_code     INTEGER NOT NULL DEFAULT 0 CHECK (has_code IN (0, 1)),
  firmware     TEXT NOT NULL,
  reason       TEXT NOT NULL,
  created      INTEGER NOT NULL,
  updated      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX slot_change_open ON slot_change (token) WHERE phase = 'writing';
