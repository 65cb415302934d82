-- Checking codes: the clock of a TOTP token as it was learned, and the failures that throttle guessing.

ALTER TABLE counter ADD COLUMN drift INTEGER NOT NULL DEFAULT 0;      -- steps that the token's clock is ahead
ALTER TABLE counter ADD COLUMN rate INTEGER NOT NULL DEFAULT 0;       -- milliseconds a day that it gains
ALTER TABLE counter ADD COLUMN drift_at INTEGER NOT NULL DEFAULT 0;   -- when drift was learned

CREATE TABLE throttle (
  subject  TEXT PRIMARY KEY, -- "person 7", "token 9", "client 3"
  failures INTEGER NOT NULL CHECK (failures >= 0),
  at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
