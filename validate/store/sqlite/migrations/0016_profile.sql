-- Profiles: what is written into keys. A version is never changed; removing one hides all versions that there are.
CREATE TABLE profile (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT NOT NULL CHECK (name <> ''),
  version INTEGER NOT NULL CHECK (version > 0),
  content TEXT NOT NULL CHECK (content <> ''), -- as provision/profile writes it: no secrets
  actor   TEXT NOT NULL,                       -- who added it
  created INTEGER NOT NULL,
  removed INTEGER NOT NULL DEFAULT 0,          -- when; 0: it is offered
  UNIQUE (name, version)
) STRICT;
