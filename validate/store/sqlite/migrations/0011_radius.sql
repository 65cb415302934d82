-- Devices that ask by RADIUS. What they may ask is the right of the client that they stand for.
CREATE TABLE radius (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  name            TEXT NOT NULL UNIQUE CHECK (name <> ''),
  client          INTEGER NOT NULL REFERENCES client (id),
  networks        TEXT NOT NULL CHECK (networks <> ''), -- prefixes, separated by blanks
  password        TEXT NOT NULL CHECK (password IN ('none', 'ignore', 'upstream')), -- who checks what stands before the code
  code_length     INTEGER NOT NULL CHECK (code_length IN (6, 8)),
  otp_length      INTEGER NOT NULL CHECK (otp_length BETWEEN 32 AND 48),
  strip_realm     INTEGER NOT NULL CHECK (strip_realm IN (0, 1)),
  upstream        TEXT NOT NULL CHECK ((upstream <> '') = (password = 'upstream')), -- HOST:PORT of the server that does
  upstream_sealed BLOB NOT NULL,                        -- the secret shared with that
  key_version     INTEGER NOT NULL,
  key_number      INTEGER NOT NULL DEFAULT 1,           -- of the newer secret
  sealed          BLOB NOT NULL,                        -- the shared secret
  former_sealed   BLOB NOT NULL DEFAULT x'',
  former_until    INTEGER NOT NULL DEFAULT 0,
  active          INTEGER NOT NULL CHECK (active IN (0, 1)),
  created         INTEGER NOT NULL
) STRICT;
