-- What happens to a token between its first proof and its end.

ALTER TABLE token ADD COLUMN name TEXT NOT NULL DEFAULT '';         -- as its holder calls it
ALTER TABLE token ADD COLUMN until INTEGER NOT NULL DEFAULT 0;      -- suspended until then; 0: without end
ALTER TABLE token ADD COLUMN blocked_from TEXT NOT NULL DEFAULT ''; -- its state before it was blocked
ALTER TABLE token ADD COLUMN blocked_by TEXT NOT NULL DEFAULT '';
ALTER TABLE token ADD COLUMN issued_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX token_until ON token (until) WHERE until > 0;

ALTER TABLE credential ADD COLUMN revoked_at INTEGER NOT NULL DEFAULT 0;
-- The history of one token.
CREATE INDEX audit_object ON audit (object, seq) WHERE chain = 'desk';
CREATE INDEX credential_revoked ON credential (revoked_at) WHERE revoked_at > 0;

-- Those of before are kept as long as if they had been given up when something was last done here.
UPDATE credential SET revoked_at = (SELECT coalesce(max(at), 1) FROM audit) WHERE state = 'revoked';
-- A mark outlives its secret from now on, but not that of a secret that was never on a key. Those of seeds are made anew.
UPDATE credential SET mark = x'' WHERE kind IN ('hotp', 'totp') OR NOT EXISTS (SELECT 1 FROM secret WHERE secret.credential = credential.id);
