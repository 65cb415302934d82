-- After a backup was put back, stored counters may be behind those of the keys. Until caution is 0, a credential validates
-- nothing: each fresh one-time password takes one off.
ALTER TABLE counter ADD COLUMN caution INTEGER NOT NULL DEFAULT 0 CHECK (caution BETWEEN 0 AND 2);
CREATE INDEX counter_caution ON counter (credential) WHERE caution > 0;
