-- What a client that was taken over brings along: its mail address and notes.
ALTER TABLE client ADD COLUMN note TEXT NOT NULL DEFAULT '';
-- It may ask what an OTP says.
ALTER TABLE client ADD COLUMN decrypt INTEGER NOT NULL DEFAULT 0 CHECK (decrypt IN (0, 1));
