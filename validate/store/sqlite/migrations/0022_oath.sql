-- Accounts of the OATH application: credentials that are called by a name there instead of being in a slot.
ALTER TABLE credential ADD COLUMN account TEXT NOT NULL DEFAULT ''; -- [period/][issuer:]name
ALTER TABLE credential ADD COLUMN touch INTEGER NOT NULL DEFAULT 0 CHECK (touch IN (0, 1));
CREATE UNIQUE INDEX credential_account ON credential (token, account) WHERE account <> '' AND state NOT IN ('pending', 'revoked');

ALTER TABLE ledger ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0 CHECK (elsewhere IN (0, 1)); -- its codes are checked by another service

ALTER TABLE slot_change ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE slot_change ADD COLUMN new_account TEXT NOT NULL DEFAULT '';
ALTER TABLE slot_change ADD COLUMN new_issuer TEXT NOT NULL DEFAULT '';

-- As in 0018: checks of values are no part of what is stored.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (slot IN (1, 2))', 'CHECK (slot IN (0, 1, 2))') WHERE type = 'table' AND name = 'ledger';
UPDATE sqlite_schema SET sql = replace(sql, 'BETWEEN 0 AND 1048560', 'BETWEEN 0 AND 4294967295') WHERE type = 'table' AND name = 'credential';
UPDATE sqlite_schema SET sql = replace(sql, '''swap'', ''erase''', '''swap'', ''erase'', ''remove-account'', ''rename-account'', ''reset-oath''') WHERE type = 'table' AND name = 'slot_change';
PRAGMA writable_schema = RESET;
