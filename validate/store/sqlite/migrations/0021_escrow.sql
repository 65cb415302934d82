-- Secrets that guard applications of keys, beside those of credentials: lock codes move here from a table of their own, with their numbers.
-- A secret is durable here before a byte of it goes to a key. The key need not be known otherwise.
CREATE TABLE escrow (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  serial      INTEGER NOT NULL CHECK (serial BETWEEN 1 AND 4294967295),
  what        TEXT NOT NULL CHECK (what IN ('lock-code', 'oath-password', 'piv-pin', 'piv-puk', 'piv-management-key')),
  held        INTEGER NOT NULL CHECK (held IN (0, 1)), -- the key was seen to have it; 0: it was on its way there
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  created     INTEGER NOT NULL
) STRICT;
CREATE INDEX escrow_serial ON escrow (serial, what);
CREATE UNIQUE INDEX escrow_held ON escrow (serial, what) WHERE held = 1;
INSERT INTO escrow (id, serial, what, held, key_version, sealed, created)
  SELECT id, serial, 'lock-code', held, key_version, sealed, created FROM lockcode;
-- Numbers are never used twice: sealed rows are bound to them.
DELETE FROM sqlite_sequence WHERE name = 'escrow';
INSERT INTO sqlite_sequence (name, seq) SELECT 'escrow', seq FROM sqlite_sequence WHERE name = 'lockcode';
DROP TABLE lockcode;
