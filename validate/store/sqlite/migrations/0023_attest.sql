-- Whether keys are genuine: the last answer for each serial number. The key need not be known otherwise.
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

-- What the site wants of keys that come in. Without a row nothing is wanted.
CREATE TABLE attestation_rule (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  required INTEGER NOT NULL CHECK (required IN (0, 1)),
  roots    BLOB NOT NULL,      -- certificates in PEM
  operator TEXT NOT NULL,
  at       INTEGER NOT NULL
) STRICT;
