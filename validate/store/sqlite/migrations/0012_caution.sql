-- After a backup was put back, stored counters may be behind those of the keys. Until caution is 0, a credential validates
-- nothing: fresh one-time passwords take it off.
ALTER TABLE counter ADD COLUMN caution INTEGER NOT NULL DEFAULT 0 CHECK (caution BETWEEN 0 AND 2);
CREATE INDEX counter_caution ON counter (credential) WHERE caution > 0;

-- The life of the store as a whole.
ALTER TABLE meta ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;        -- how often a backup was put back
ALTER TABLE meta ADD COLUMN key_version INTEGER NOT NULL DEFAULT 1;  -- of the sealing key that seals from now on
ALTER TABLE meta ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;       -- when it was moved: nothing is accepted or changed here any more
ALTER TABLE meta ADD COLUMN moved_to TEXT NOT NULL DEFAULT '';       -- where to
