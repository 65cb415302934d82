-- Who asks by RADIUS. What the person may be asked about is the right of the client that it stands for.
CREATE TABLE radius (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
  client      INTEGER NOT NULL REFERENCES client (id),
  networks    TEXT NOT NULL CHECK (networks <> ''), -- prefixes, separated by blanks
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,                        -- the shared secret
  active      INTEGER NOT NULL CHECK (active IN (0, 1)),
  created     INTEGER NOT NULL
) STRICT;
