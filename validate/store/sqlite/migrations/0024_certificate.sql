-- Certificates in the PIV applications of keys, for the day on which their issuers must revoke them. The key need not be known otherwise.
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

-- Of accounts on keys: whether somebody beside the store and the key may know the secret. Of those from before nobody knows.
ALTER TABLE credential ADD COLUMN shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1));
UPDATE credential SET shared = 1 WHERE account <> '';
