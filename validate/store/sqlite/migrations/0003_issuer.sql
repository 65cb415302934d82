-- Who asks for the codes of an app, as the app shows it.

ALTER TABLE credential ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
