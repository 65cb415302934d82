-- Knows a credential's secret again without opening it: seal.Key.Mark. Empty until it was made.
ALTER TABLE credential ADD COLUMN mark BLOB NOT NULL DEFAULT x'' CHECK (length(mark) IN (0, 32));
CREATE INDEX credential_mark ON credential (mark);
