-- Keys that are written one like the other.
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

-- A key of a batch, from the reservation of its slot on. What is void gave its position and its number back.
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
CREATE UNIQUE INDEX batch_item_position ON batch_item (batch, position) WHERE state <> 'void';
CREATE UNIQUE INDEX batch_item_token ON batch_item (batch, token) WHERE state <> 'void';
CREATE UNIQUE INDEX batch_item_number ON batch_item (prefix, number) WHERE state <> 'void' AND number > 0;
CREATE INDEX batch_item_of_token ON batch_item (token);

-- Keys that were not written, and why. A key that tells no serial number is named by its port alone.
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
