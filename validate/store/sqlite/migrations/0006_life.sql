-- What happens to a token between its first proof and its end.

ALTER TABLE token ADD COLUMN name TEXT NOT NULL DEFAULT '';         -- as its holder calls it
ALTER TABLE token ADD COLUMN until INTEGER NOT NULL DEFAULT 0;      -- suspended until then; 0: without end
ALTER TABLE token ADD COLUMN blocked_from TEXT NOT NULL DEFAULT ''; -- its state before it was blocked
ALTER TABLE token ADD COLUMN blocked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX token_until ON token (until) WHERE until > 0;

ALTER TABLE credential ADD COLUMN revoked_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX credential_revoked ON credential (revoked_at) WHERE revoked_at > 0;
