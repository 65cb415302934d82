-- Why a request was refused, for the helpdesk, under the support code that the caller reads out. No text that was typed is kept.

CREATE TABLE attempt (
  code    TEXT PRIMARY KEY CHECK (length(code) = 8),
  at      INTEGER NOT NULL,
  client  INTEGER NOT NULL,
  source  TEXT NOT NULL,
  person  INTEGER REFERENCES person (id),
  token   INTEGER REFERENCES token (id),
  finding TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_at ON attempt (at);
CREATE INDEX attempt_person ON attempt (person) WHERE person IS NOT NULL;
