-- What a client that was taken over brings along: its mail address and notes.
ALTER TABLE client ADD COLUMN note TEXT NOT NULL DEFAULT '';
