-- Whether a station was told that keys must be proven genuine. Those of before were told nothing.
ALTER TABLE station_grant ADD COLUMN genuine INTEGER NOT NULL DEFAULT 0 CHECK (genuine IN (0, 1));
