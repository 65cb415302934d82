package sqlite

import (
	"context"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// wordBatch is how many persons and tokens get their words in one transaction that does nothing else.
const wordBatch = 5000

// catchUp makes the words that are due: of a store that had none, and of what a process of an older version added. It changes
// nothing, and writes nothing, when none are.
func (s *Store) catchUp(ctx context.Context) error {
	for {
		var due bool
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM word_due)`).Scan(&due); err != nil || !due {
			return err
		}
		if err := s.change(ctx, func(tx *tx) error { return tx.makeWords(wordBatch) }); err != nil {
			return err
		}
	}
}

// makeWords makes the words of at most so many persons and tokens that the triggers noted. Every transaction with an event of staff
// ends with it, and nothing else changes what a word is made of.
func (t *tx) makeWords(most int) error {
	due, err := collect(context.Background(), t, scanPair, `SELECT person, token FROM word_due LIMIT ?`, most)
	if err != nil {
		return err
	}
	for _, p := range due {
		if err := t.makeWordsOf(p); err != nil {
			return err
		}
		if _, err := t.Exec(`DELETE FROM word_due WHERE person = ? AND token = ?`, p.person, p.token); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) makeWordsOf(p pair) error {
	if p.person != 0 {
		row, err := scanPerson(t.QueryRow(`SELECT `+personColumns+` FROM person p WHERE p.id = ?`, p.person))
		if isNotFound(err) {
			return nil // removed in the same transaction, with its words
		}
		if err != nil {
			return err
		}
		return t.putWords("person", int64(row.ID), desk.PersonWords(row))
	}
	var k token.Token
	err := t.QueryRow(`SELECT id, coalesce(serial, 0), label, stock_number, name FROM token WHERE id = ?`, p.token).
		Scan(&k.ID, &k.Serial, &k.Label, &k.StockNumber, &k.Name)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.putWords("token", int64(k.ID), desk.TokenWords(k))
}

// putWords replaces the words of a person or a token.
func (t *tx) putWords(of string, id int64, words []string) error {
	if _, err := t.Exec(`DELETE FROM `+of+`_word WHERE `+of+` = ?`, id); err != nil || len(words) == 0 {
		return err
	}
	args := make([]any, 0, 2*len(words))
	for _, w := range words {
		args = append(args, w, id)
	}
	_, err := t.Exec(`INSERT INTO `+of+`_word (word, `+of+`) VALUES (?, ?)`+strings.Repeat(`, (?, ?)`, len(words)-1), args...)
	return err
}
