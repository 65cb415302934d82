-- Counts the changes of staff: what was read at one generation is what is stored, but for counters.
ALTER TABLE meta ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
