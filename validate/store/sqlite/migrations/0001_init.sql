-- Times are microseconds since 1970 UTC; 0 is "not yet". A table's id is never used again.

CREATE TABLE meta (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  store_id    BLOB NOT NULL CHECK (length(store_id) = 16),
  key_check   BLOB NOT NULL,
  audit_key   BLOB NOT NULL CHECK (length(audit_key) = 32),
  created     INTEGER NOT NULL
) STRICT;

CREATE TABLE person (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  account     TEXT NOT NULL UNIQUE CHECK (account <> ''),
  name        TEXT NOT NULL,
  mail        TEXT NOT NULL,
  created     INTEGER NOT NULL
) STRICT;
CREATE INDEX person_name ON person (name COLLATE NOCASE);

CREATE TABLE token (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  model        TEXT NOT NULL CHECK (model IN ('yubikey', 'hardware', 'app', 'sheet')),
  serial       INTEGER UNIQUE CHECK (serial BETWEEN 1 AND 4294967295),
  label        TEXT NOT NULL DEFAULT '',
  stock_number TEXT NOT NULL DEFAULT '',
  firmware     TEXT NOT NULL DEFAULT '',
  state        TEXT NOT NULL CHECK (state IN ('pending', 'programmed', 'in_stock', 'active', 'suspended', 'lost', 'revoked')),
  holder       INTEGER REFERENCES person (id),
  reason       TEXT NOT NULL DEFAULT '',
  blocked_at   INTEGER NOT NULL DEFAULT 0,
  created      INTEGER NOT NULL
) STRICT;
CREATE INDEX token_holder ON token (holder) WHERE holder IS NOT NULL;
CREATE INDEX token_stock_number ON token (stock_number) WHERE stock_number <> '';
CREATE UNIQUE INDEX token_label ON token (model, label) WHERE label <> '';

CREATE TABLE credential (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  token           INTEGER NOT NULL REFERENCES token (id),
  kind            TEXT NOT NULL CHECK (kind IN ('yubico-otp', 'hotp', 'totp', 'challenge-response', 'static', 'piv')),
  slot            INTEGER NOT NULL DEFAULT 0 CHECK (slot BETWEEN 0 AND 255),
  public_id       TEXT NOT NULL DEFAULT '',
  state           TEXT NOT NULL CHECK (state IN ('pending', 'programmed', 'in_stock', 'active', 'suspended', 'lost', 'revoked')),
  version         INTEGER NOT NULL DEFAULT 1, -- of its secrets
  digits          INTEGER NOT NULL DEFAULT 0,
  period          INTEGER NOT NULL DEFAULT 0, -- nanoseconds
  hash            TEXT NOT NULL DEFAULT '',
  ext_flags       INTEGER NOT NULL DEFAULT 0,
  ticket_flags    INTEGER NOT NULL DEFAULT 0,
  config_flags    INTEGER NOT NULL DEFAULT 0,
  has_access_code INTEGER NOT NULL DEFAULT 0 CHECK (has_access_code IN (0, 1)),
  created         INTEGER NOT NULL,
  proven_at       INTEGER NOT NULL DEFAULT 0
) STRICT;
-- A pending credential may carry the public ID of the one that it is to replace.
CREATE UNIQUE INDEX credential_public_id ON credential (public_id)
  WHERE (kind = 'yubico-otp' OR public_id <> '') AND state NOT IN ('pending', 'revoked');
CREATE UNIQUE INDEX credential_slot ON credential (token, slot)
  WHERE slot IN (1, 2) AND kind <> 'piv' AND state NOT IN ('pending', 'revoked');
CREATE INDEX credential_any_public_id ON credential (public_id);
CREATE INDEX credential_token ON credential (token);

CREATE TABLE secret (
  credential  INTEGER NOT NULL REFERENCES credential (id),
  what        TEXT NOT NULL CHECK (what IN ('aes-key', 'private-id', 'access-code')),
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  PRIMARY KEY (credential, what)
) STRICT, WITHOUT ROWID;

-- The guarded row. enabled is derived: the states of token and credential validate and no write of the slot is uncertain.
CREATE TABLE counter (
  credential      INTEGER PRIMARY KEY REFERENCES credential (id),
  enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  use_counter     INTEGER NOT NULL DEFAULT -1 CHECK (use_counter BETWEEN -1 AND 32767),
  session_counter INTEGER NOT NULL DEFAULT -1 CHECK (session_counter BETWEEN -1 AND 255),
  timestamp       INTEGER NOT NULL DEFAULT 0,
  moving          INTEGER NOT NULL DEFAULT -1,
  nonce           TEXT NOT NULL DEFAULT '',
  at              INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE ledger (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  phase      TEXT NOT NULL CHECK (phase IN ('reserved', 'sealed', 'writing', 'written', 'committed', 'aborted')),
  token      INTEGER NOT NULL REFERENCES token (id),
  slot       INTEGER NOT NULL CHECK (slot IN (1, 2)),
  credential INTEGER NOT NULL UNIQUE REFERENCES credential (id),
  former     INTEGER REFERENCES credential (id),
  holder     INTEGER REFERENCES person (id),
  proof      TEXT NOT NULL CHECK (proof IN ('touch', 'none')),
  firmware   TEXT NOT NULL,
  overwrite  TEXT NOT NULL,
  reason     TEXT NOT NULL,
  created    INTEGER NOT NULL,
  updated    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX ledger_open ON ledger (token, slot) WHERE phase NOT IN ('committed', 'aborted');

CREATE TABLE client (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
  active      INTEGER NOT NULL CHECK (active IN (0, 1)),
  must_sign   INTEGER NOT NULL CHECK (must_sign IN (0, 1)),
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  created     INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
  chain  TEXT NOT NULL,
  seq    INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  actor  TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL,
  prev   BLOB NOT NULL,
  hash   BLOB NOT NULL,
  PRIMARY KEY (chain, seq)
) STRICT;

CREATE TABLE audit_head (
  chain     TEXT PRIMARY KEY,
  seq       INTEGER NOT NULL,
  hash      BLOB NOT NULL,
  at        INTEGER NOT NULL,
  signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
