-- Who may do what: members of staff, their sessions, and the rights of relying servers.

CREATE TABLE operator (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT NOT NULL UNIQUE CHECK (name <> ''),
  roles   TEXT NOT NULL,                                -- separated by blanks
  hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- of the API token
  active  INTEGER NOT NULL CHECK (active IN (0, 1)),
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
  hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),
  operator INTEGER NOT NULL REFERENCES operator (id),
  csrf     TEXT NOT NULL,
  created  INTEGER NOT NULL,
  seen     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE person_group (
  person INTEGER NOT NULL REFERENCES person (id),
  name   TEXT NOT NULL CHECK (name <> ''),
  PRIMARY KEY (person, name)
) STRICT, WITHOUT ROWID;

ALTER TABLE client ADD COLUMN networks TEXT NOT NULL DEFAULT ''; -- prefixes separated by blanks; '': anywhere
ALTER TABLE client ADD COLUMN groups TEXT NOT NULL DEFAULT '';   -- JSON array of the groups it may ask about; '': all
-- The key that is on its way out while both are valid.
ALTER TABLE client ADD COLUMN former_sealed BLOB NOT NULL DEFAULT x'';
ALTER TABLE client ADD COLUMN former_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN key_number INTEGER NOT NULL DEFAULT 1; -- of the newer key: part of where it is sealed
