-- Words by which persons and tokens are found, as desk.PersonWords and desk.TokenWords make them; a query is the beginning of some.

CREATE TABLE person_word (
  word   TEXT NOT NULL,
  person INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  PRIMARY KEY (word, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_word_person ON person_word (person, word);

CREATE TABLE token_word (
  word  TEXT NOT NULL,
  token INTEGER NOT NULL REFERENCES token (id) ON DELETE CASCADE,
  PRIMARY KEY (word, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_word_token ON token_word (token, word);

-- Persons and tokens whose words must be made anew, before the transaction ends. Whoever adds or changes one is noted here by the
-- database itself: no statement can forget it.
CREATE TABLE word_due (
  person INTEGER NOT NULL DEFAULT 0,
  token  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (person, token)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER person_added AFTER INSERT ON person
BEGIN INSERT INTO word_due (person) VALUES (new.id) ON CONFLICT DO NOTHING; END;
CREATE TRIGGER person_changed AFTER UPDATE OF account, name, mail ON person
BEGIN INSERT INTO word_due (person) VALUES (new.id) ON CONFLICT DO NOTHING; END;
CREATE TRIGGER token_added AFTER INSERT ON token
BEGIN INSERT INTO word_due (token) VALUES (new.id) ON CONFLICT DO NOTHING; END;
CREATE TRIGGER token_changed AFTER UPDATE OF serial, label, stock_number, name ON token
BEGIN INSERT INTO word_due (token) VALUES (new.id) ON CONFLICT DO NOTHING; END;

INSERT INTO word_due (person) SELECT id FROM person;
INSERT INTO word_due (token) SELECT id FROM token;
