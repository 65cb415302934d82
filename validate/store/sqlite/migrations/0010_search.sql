-- Words by which persons and tokens are found, folded to lower case without accents; a query is the beginning of some.

CREATE TABLE word (
  word   TEXT NOT NULL,
  person INTEGER NOT NULL DEFAULT 0,
  token  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (word, person, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX word_person ON word (person) WHERE person <> 0;
CREATE INDEX word_token ON word (token) WHERE token <> 0;
