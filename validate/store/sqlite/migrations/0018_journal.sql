-- What is handed over: receipts, what is in the post, what is owed; and the journals of stations.

-- A check of a column's values is no part of what is stored, so the text of the table is changed in place: SQLite's documentation of
-- ALTER TABLE, "Making Other Kinds Of Table Schema Changes". The statements below make every connection read the schema again.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''in_stock'', ''active''', '''in_stock'', ''shipped'', ''active''') WHERE type = 'table' AND name IN ('token', 'credential');
PRAGMA writable_schema = RESET;

ALTER TABLE token ADD COLUMN owed INTEGER NOT NULL DEFAULT 0; -- when it was replaced, while it did not come back
CREATE INDEX token_owed ON token (owed) WHERE owed > 0;

ALTER TABLE ledger ADD COLUMN id_check TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger ADD COLUMN replaces INTEGER REFERENCES token (id);
ALTER TABLE ledger ADD COLUMN note TEXT NOT NULL DEFAULT '';

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
CREATE INDEX receipt_token ON receipt (token);
CREATE INDEX receipt_person ON receipt (person);

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

-- Where keys are written without a network. A grant is what one exported snapshot allows.
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
  created INTEGER NOT NULL,
  PRIMARY KEY (station, number)
) STRICT, WITHOUT ROWID;

-- What became of the writes in a journal. One that is settled here is never counted again.
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
