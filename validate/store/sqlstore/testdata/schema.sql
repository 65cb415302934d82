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
CREATE INDEX activation_open ON activation (id) WHERE token IS NOT NULL AND done = 0 AND cancelled = 0;
CREATE INDEX activation_person ON activation (person);
CREATE INDEX activation_token ON activation (token) WHERE token IS NOT NULL;
CREATE TABLE attempt (
  code    TEXT PRIMARY KEY CHECK (length(code) = 8),
  at      INTEGER NOT NULL,
  client  INTEGER NOT NULL,
  source  TEXT NOT NULL,
  person  INTEGER REFERENCES person (id),
  token   INTEGER REFERENCES token (id),
  finding TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_at ON attempt (at);
CREATE INDEX attempt_person ON attempt (person) WHERE person IS NOT NULL;
CREATE TABLE attestation (
  serial      INTEGER PRIMARY KEY CHECK (serial BETWEEN 1 AND 4294967295),
  refused     TEXT NOT NULL,   -- why nothing is proven; '': it is genuine
  firmware    TEXT NOT NULL,
  form_factor TEXT NOT NULL,
  root        TEXT NOT NULL CHECK ((root <> '') = (refused = '')), -- SHA-256 of its certificate, in hexadecimal
  chain       BLOB NOT NULL,   -- certificates in DER, one after the other, without the root
  operator    TEXT NOT NULL,
  at          INTEGER NOT NULL
) STRICT;
CREATE TABLE attestation_rule (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  required INTEGER NOT NULL CHECK (required IN (0, 1)),
  roots    BLOB NOT NULL,      -- certificates in PEM
  operator TEXT NOT NULL,
  at       INTEGER NOT NULL
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
CREATE INDEX audit_object ON audit (object, seq) WHERE chain = 'desk';
CREATE TABLE audit_head (
  chain     TEXT PRIMARY KEY,
  seq       INTEGER NOT NULL,
  hash      BLOB NOT NULL,
  at        INTEGER NOT NULL,
  signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE batch (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  profile      TEXT NOT NULL CHECK (profile <> ''),
  profile_text TEXT NOT NULL,
  slot         INTEGER NOT NULL CHECK (slot IN (1, 2)),
  prefix       TEXT NOT NULL,                     -- of the stock numbers; '': none
  wanted       INTEGER NOT NULL CHECK (wanted > 0),
  touch        TEXT NOT NULL CHECK (touch <> ''), -- all, none, sample:N
  sample       TEXT NOT NULL,                     -- the positions of the sample, separated by blanks
  order_number TEXT NOT NULL,
  place        TEXT NOT NULL,
  budget       TEXT NOT NULL,
  ticket       TEXT NOT NULL,
  operator     TEXT NOT NULL,
  started      INTEGER NOT NULL,
  ended        INTEGER NOT NULL DEFAULT 0,
  manifest     TEXT NOT NULL DEFAULT ''           -- signed, when it is closed
) STRICT;
CREATE TABLE batch_item (
  entry        INTEGER PRIMARY KEY REFERENCES ledger (id),
  batch        INTEGER NOT NULL REFERENCES batch (id),
  position     INTEGER NOT NULL CHECK (position > 0),
  token        INTEGER NOT NULL REFERENCES token (id),
  prefix       TEXT NOT NULL,
  number       INTEGER NOT NULL,                  -- of the stock number; 0: the token had one, or there are none
  stock_number TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('open', 'done', 'void')),
  started      INTEGER NOT NULL,
  ended        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX batch_item_number ON batch_item (prefix, number) WHERE state <> 'void' AND number > 0;
CREATE INDEX batch_item_of_token ON batch_item (token);
CREATE UNIQUE INDEX batch_item_position ON batch_item (batch, position) WHERE state <> 'void';
CREATE UNIQUE INDEX batch_item_token ON batch_item (batch, token) WHERE state <> 'void';
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
CREATE TABLE certificate (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  serial      INTEGER NOT NULL CHECK (serial BETWEEN 1 AND 4294967295), -- of the key
  slot        TEXT NOT NULL,               -- '9a'
  issuer      TEXT NOT NULL,
  number      TEXT NOT NULL,               -- that its issuer gave it, in hexadecimal
  subject     TEXT NOT NULL,
  not_after   INTEGER NOT NULL,
  sha256      TEXT NOT NULL CHECK (length(sha256) = 64),
  public_key  TEXT NOT NULL CHECK (length(public_key) = 64), -- SHA-256
  self_signed INTEGER NOT NULL CHECK (self_signed IN (0, 1)),
  seen        INTEGER NOT NULL,
  gone        INTEGER NOT NULL DEFAULT 0   -- when the key in the slot was; 0: it is there
) STRICT;
CREATE UNIQUE INDEX certificate_live ON certificate (serial, slot, sha256) WHERE gone = 0;
CREATE TABLE client (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT NOT NULL UNIQUE CHECK (name <> ''),
  active      INTEGER NOT NULL CHECK (active IN (0, 1)),
  must_sign   INTEGER NOT NULL CHECK (must_sign IN (0, 1)),
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  created     INTEGER NOT NULL
, networks TEXT NOT NULL DEFAULT '', groups TEXT NOT NULL DEFAULT '', former_sealed BLOB NOT NULL DEFAULT x'', former_until INTEGER NOT NULL DEFAULT 0, key_number INTEGER NOT NULL DEFAULT 1, note TEXT NOT NULL DEFAULT '', decrypt INTEGER NOT NULL DEFAULT 0 CHECK (decrypt IN (0, 1))) STRICT;
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
CREATE TABLE counter (
  credential      INTEGER PRIMARY KEY REFERENCES credential (id),
  enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  use_counter     INTEGER NOT NULL DEFAULT -1 CHECK (use_counter BETWEEN -1 AND 32767),
  session_counter INTEGER NOT NULL DEFAULT -1 CHECK (session_counter BETWEEN -1 AND 255),
  timestamp       INTEGER NOT NULL DEFAULT 0,
  moving          INTEGER NOT NULL DEFAULT -1,
  nonce           TEXT NOT NULL DEFAULT '',
  at              INTEGER NOT NULL DEFAULT 0
, drift INTEGER NOT NULL DEFAULT 0, rate INTEGER NOT NULL DEFAULT 0, drift_at INTEGER NOT NULL DEFAULT 0, caution INTEGER NOT NULL DEFAULT 0 CHECK (caution BETWEEN 0 AND 2)) STRICT;
CREATE INDEX counter_caution ON counter (credential) WHERE caution > 0;
CREATE TABLE credential (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  token           INTEGER NOT NULL REFERENCES token (id),
  kind            TEXT NOT NULL CHECK (kind IN ('yubico-otp', 'hotp', 'totp', 'challenge-response', 'static', 'piv')),
  slot            INTEGER NOT NULL DEFAULT 0 CHECK (slot BETWEEN 0 AND 255),
  public_id       TEXT NOT NULL DEFAULT '',
  state           TEXT NOT NULL CHECK (state IN ('pending', 'programmed', 'in_stock', 'shipped', 'active', 'suspended', 'lost', 'revoked')),
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
, issuer TEXT NOT NULL DEFAULT '', mark BLOB NOT NULL DEFAULT x'' CHECK (length(mark) IN (0, 32)), revoked_at INTEGER NOT NULL DEFAULT 0, first_moving INTEGER NOT NULL DEFAULT 0 CHECK (first_moving BETWEEN 0 AND 4294967295), account TEXT NOT NULL DEFAULT '', touch INTEGER NOT NULL DEFAULT 0 CHECK (touch IN (0, 1)), shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1))) STRICT;
CREATE UNIQUE INDEX credential_account ON credential (token, account) WHERE account <> '' AND state NOT IN ('pending', 'revoked');
CREATE INDEX credential_any_public_id ON credential (public_id);
CREATE INDEX credential_mark ON credential (mark);
CREATE UNIQUE INDEX credential_public_id ON credential (public_id)
  WHERE (kind = 'yubico-otp' OR public_id <> '') AND state NOT IN ('pending', 'revoked');
CREATE INDEX credential_revoked ON credential (revoked_at) WHERE revoked_at > 0;
CREATE UNIQUE INDEX credential_slot ON credential (token, slot)
  WHERE slot IN (1, 2) AND kind <> 'piv' AND state NOT IN ('pending', 'revoked');
CREATE INDEX credential_token ON credential (token);
CREATE TABLE escrow (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  serial      INTEGER NOT NULL CHECK (serial BETWEEN 1 AND 4294967295),
  what        TEXT NOT NULL CHECK (what IN ('lock-code', 'oath-password', 'piv-pin', 'piv-puk', 'piv-management-key')),
  held        INTEGER NOT NULL CHECK (held IN (0, 1)), -- the key was seen to have it; 0: it was on its way there
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  created     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX escrow_held ON escrow (serial, what) WHERE held = 1;
CREATE INDEX escrow_serial ON escrow (serial, what);
CREATE TABLE journal_entry (
  station  INTEGER NOT NULL REFERENCES station (id),
  series   BLOB NOT NULL CHECK (length(series) = 16),
  entry    INTEGER NOT NULL CHECK (entry > 0),
  grant_no INTEGER NOT NULL,
  outcome  TEXT NOT NULL CHECK (outcome IN ('issued', 'blocked', 'aborted', 'open')),
  ledger   INTEGER REFERENCES ledger (id),           -- NULL: nothing was written
  hash     BLOB NOT NULL CHECK (length(hash) = 32),  -- the chain's value at the record that settled it
  at       INTEGER NOT NULL,
  PRIMARY KEY (station, series, entry)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  phase      TEXT NOT NULL CHECK (phase IN ('reserved', 'sealed', 'writing', 'written', 'committed', 'aborted')),
  token      INTEGER NOT NULL REFERENCES token (id),
  slot       INTEGER NOT NULL CHECK (slot IN (0, 1, 2)),
  credential INTEGER NOT NULL UNIQUE REFERENCES credential (id),
  former     INTEGER REFERENCES credential (id),
  holder     INTEGER REFERENCES person (id),
  proof      TEXT NOT NULL CHECK (proof IN ('touch', 'none')),
  firmware   TEXT NOT NULL,
  overwrite  TEXT NOT NULL,
  reason     TEXT NOT NULL,
  created    INTEGER NOT NULL,
  updated    INTEGER NOT NULL
, id_check TEXT NOT NULL DEFAULT '', replaces INTEGER REFERENCES token (id), note TEXT NOT NULL DEFAULT '', elsewhere INTEGER NOT NULL DEFAULT 0 CHECK (elsewhere IN (0, 1))) STRICT;
CREATE UNIQUE INDEX ledger_open ON ledger (token, slot) WHERE phase NOT IN ('committed', 'aborted');
CREATE TABLE meta (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  store_id    BLOB NOT NULL CHECK (length(store_id) = 16),
  key_check   BLOB NOT NULL,
  audit_key   BLOB NOT NULL CHECK (length(audit_key) = 32),
  created     INTEGER NOT NULL
, epoch INTEGER NOT NULL DEFAULT 0, key_version INTEGER NOT NULL DEFAULT 1, closed INTEGER NOT NULL DEFAULT 0, moved_to TEXT NOT NULL DEFAULT '', generation INTEGER NOT NULL DEFAULT 1) STRICT;
CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied INTEGER NOT NULL) STRICT;
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
CREATE TABLE operator (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT NOT NULL UNIQUE CHECK (name <> ''),
  roles   TEXT NOT NULL,                                -- separated by blanks
  hash    BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- of the API token
  active  INTEGER NOT NULL CHECK (active IN (0, 1)),
  created INTEGER NOT NULL
) STRICT;
CREATE TRIGGER person_added AFTER INSERT ON person
BEGIN INSERT INTO word_due (person) VALUES (new.id) ON CONFLICT DO NOTHING; END;
CREATE TRIGGER person_changed AFTER UPDATE OF account, name, mail ON person
BEGIN INSERT INTO word_due (person) VALUES (new.id) ON CONFLICT DO NOTHING; END;
CREATE TABLE person (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  account     TEXT NOT NULL UNIQUE CHECK (account <> ''),
  name        TEXT NOT NULL,
  mail        TEXT NOT NULL,
  created     INTEGER NOT NULL
) STRICT;
CREATE INDEX person_name ON person (lower(name));
CREATE TABLE person_group (
  person INTEGER NOT NULL REFERENCES person (id),
  name   TEXT NOT NULL CHECK (name <> ''),
  PRIMARY KEY (person, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE person_word (
  word   TEXT NOT NULL,
  person INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  PRIMARY KEY (word, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_word_person ON person_word (person, word);
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
CREATE TABLE put_aside (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  batch  INTEGER NOT NULL REFERENCES batch (id),
  serial INTEGER NOT NULL,
  port   TEXT NOT NULL,
  reason TEXT NOT NULL CHECK (reason <> ''),
  detail TEXT NOT NULL,
  at     INTEGER NOT NULL
) STRICT;
CREATE INDEX put_aside_batch ON put_aside (batch);
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
CREATE TABLE receipt (
  station    TEXT NOT NULL,                -- '': the store's own numbers
  number     INTEGER NOT NULL CHECK (number > 0),
  kind       TEXT NOT NULL CHECK (kind IN ('issued', 'shipped')),
  token      INTEGER NOT NULL REFERENCES token (id),
  credential INTEGER REFERENCES credential (id),
  person     INTEGER NOT NULL REFERENCES person (id),
  id_check   TEXT NOT NULL CHECK (id_check <> ''),
  operator   TEXT NOT NULL,
  at         INTEGER NOT NULL,
  replaces   INTEGER REFERENCES token (id),
  checkpoint INTEGER NOT NULL,             -- the number of the event in the desk chain, and its hash
  hash       BLOB NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (station, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_person ON receipt (person);
CREATE INDEX receipt_token ON receipt (token);
CREATE TABLE "secret" (
  credential  INTEGER NOT NULL REFERENCES credential (id),
  what        TEXT NOT NULL CHECK (what IN ('aes-key', 'private-id', 'access-code', 'next-code')),
  key_version INTEGER NOT NULL,
  sealed      BLOB NOT NULL,
  PRIMARY KEY (credential, what)
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
  hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),
  operator INTEGER NOT NULL REFERENCES operator (id),
  csrf     TEXT NOT NULL,
  created  INTEGER NOT NULL,
  seen     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE shipment (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  token      INTEGER NOT NULL REFERENCES token (id),
  person     INTEGER NOT NULL REFERENCES person (id),
  number     BLOB NOT NULL CHECK (length(number) = 32), -- a keyed hash
  tries_left INTEGER NOT NULL CHECK (tries_left >= 0),
  expires    INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  ended      INTEGER NOT NULL DEFAULT 0                 -- arrived, cancelled or replaced by another number
) STRICT;
CREATE UNIQUE INDEX shipment_open ON shipment (token) WHERE ended = 0;
CREATE TABLE slot_change (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  phase        TEXT NOT NULL CHECK (phase IN ('writing', 'committed', 'aborted')),
  work         TEXT NOT NULL CHECK (work IN ('update', 'swap', 'erase', 'remove-account', 'rename-account', 'reset-oath')),
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
, account TEXT NOT NULL DEFAULT '', new_account TEXT NOT NULL DEFAULT '', new_issuer TEXT NOT NULL DEFAULT '') STRICT;
CREATE UNIQUE INDEX slot_change_open ON slot_change (token) WHERE phase = 'writing';
CREATE TABLE sqlite_sequence(name,seq);
CREATE TABLE station (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT NOT NULL UNIQUE CHECK (name <> ''),
  public  BLOB NOT NULL CHECK (length(public) = 32), -- Ed25519: by which its records are signed
  active  INTEGER NOT NULL CHECK (active IN (0, 1)),
  series  BLOB NOT NULL,                             -- of the journal that was imported last; empty: none was
  seq     INTEGER NOT NULL DEFAULT 0,                -- its last record that was seen here, and the chain's value there
  head    BLOB NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE TABLE station_grant (
  station INTEGER NOT NULL REFERENCES station (id),
  number  INTEGER NOT NULL CHECK (number > 0),
  most    INTEGER NOT NULL CHECK (most > 0), -- keys that may be issued by it
  until   INTEGER NOT NULL,
  groups_only TEXT NOT NULL,               -- JSON: keys only for persons of one of these; []: for all
  created INTEGER NOT NULL, genuine INTEGER NOT NULL DEFAULT 0 CHECK (genuine IN (0, 1)),
  PRIMARY KEY (station, number)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE throttle (
  subject  TEXT PRIMARY KEY, -- "person 7", "token 9", "client 3"
  failures INTEGER NOT NULL CHECK (failures >= 0),
  at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER token_added AFTER INSERT ON token
BEGIN INSERT INTO word_due (token) VALUES (new.id) ON CONFLICT DO NOTHING; END;
CREATE TRIGGER token_changed AFTER UPDATE OF serial, label, stock_number, name ON token
BEGIN INSERT INTO word_due (token) VALUES (new.id) ON CONFLICT DO NOTHING; END;
CREATE TABLE token (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  model        TEXT NOT NULL CHECK (model IN ('yubikey', 'hardware', 'app', 'sheet')),
  serial       INTEGER UNIQUE CHECK (serial BETWEEN 1 AND 4294967295),
  label        TEXT NOT NULL DEFAULT '',
  stock_number TEXT NOT NULL DEFAULT '',
  firmware     TEXT NOT NULL DEFAULT '',
  state        TEXT NOT NULL CHECK (state IN ('pending', 'programmed', 'in_stock', 'shipped', 'active', 'suspended', 'lost', 'revoked')),
  holder       INTEGER REFERENCES person (id),
  reason       TEXT NOT NULL DEFAULT '',
  blocked_at   INTEGER NOT NULL DEFAULT 0,
  created      INTEGER NOT NULL
, name TEXT NOT NULL DEFAULT '', until INTEGER NOT NULL DEFAULT 0, blocked_from TEXT NOT NULL DEFAULT '', blocked_by TEXT NOT NULL DEFAULT '', issued_at INTEGER NOT NULL DEFAULT 0, owed INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX token_holder ON token (holder) WHERE holder IS NOT NULL;
CREATE UNIQUE INDEX token_label ON token (model, label) WHERE label <> '';
CREATE INDEX token_owed ON token (owed) WHERE owed > 0;
CREATE INDEX token_stock_number ON token (stock_number) WHERE stock_number <> '';
CREATE INDEX token_until ON token (until) WHERE until > 0;
CREATE TABLE token_word (
  word  TEXT NOT NULL,
  token INTEGER NOT NULL REFERENCES token (id) ON DELETE CASCADE,
  PRIMARY KEY (word, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_word_token ON token_word (token, word);
CREATE TABLE word_due (
  person INTEGER NOT NULL DEFAULT 0,
  token  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (person, token)
) STRICT, WITHOUT ROWID;
