-- Lock codes of keys' application settings. A code is durable here before a byte of it goes to a key; without it the settings stay
-- as they are for ever. The key need not be known otherwise.
CREATE TABLE lockcode (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  serial      INTEGER NOT NULL CHECK (serial BETWEEN 1 AND 4294967295),
  held        INTEGER NOT NULL CHECK (held IN (0, 1)), -- the key was seen to have it; 0: it was on its way there
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  created     INTEGER NOT NULL
) STRICT;
CREATE INDEX lockcode_serial ON lockcode (serial);
CREATE UNIQUE INDEX lockcode_held ON lockcode (serial) WHERE held = 1;
