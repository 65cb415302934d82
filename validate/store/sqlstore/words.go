package sqlstore

import (
	"context"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The bounds of what makes words.
const (
	wordBatch = 5000 // persons and tokens in one transaction that does nothing else
	wordRows  = 500  // of one statement
)

// catchUp makes the words that are due: of a store that had none, and of what a process of an older version added. It changes
// nothing, and writes nothing, when none are.
func (s *Store) catchUp(ctx context.Context) error {
	for {
		var due bool
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM word_due)`).Scan(&due); err != nil || !due {
			return err
		}
		if err := s.change(ctx, func(tx *tx) error { return tx.makeWords(ctx, wordBatch) }); err != nil {
			return err
		}
	}
}

// makeWords makes the words of at most so many persons and tokens that the triggers noted. Every transaction with an event of staff
// ends with it, and nothing else changes what a word is made of.
func (t *tx) makeWords(ctx context.Context, most int) error {
	for most > 0 {
		due, err := collect(ctx, t, scanPair, `SELECT person, token FROM word_due LIMIT ?`, min(most, wordRows))
		if err != nil || len(due) == 0 {
			return err
		}
		var persons, tokens []any
		for _, p := range due {
			if p.token != 0 {
				tokens = append(tokens, p.token)
			} else {
				persons = append(persons, p.person)
			}
		}
		if err := t.replaceWords(ctx, "person", `id, account, name, mail`, scanPersonWords, persons); err != nil {
			return err
		}
		if err := t.replaceWords(ctx, "token", `id, coalesce(serial, 0), label, stock_number, name`, scanTokenWords, tokens); err != nil {
			return err
		}
		most -= len(due)
	}
	return nil
}

// worded is somebody or something with its words.
type worded struct {
	id    int64
	words []string
}

func scanPersonWords(row scanner) (w worded, err error) {
	var p token.Person
	err = row.Scan(&w.id, &p.Account, &p.Name, &p.Mail)
	w.words = desk.PersonWords(p)
	return w, err
}

func scanTokenWords(row scanner) (w worded, err error) {
	var k token.Token
	err = row.Scan(&w.id, &k.Serial, &k.Label, &k.StockNumber, &k.Name)
	w.words = desk.TokenWords(k)
	return w, err
}

// replaceWords makes the words of some rows of a table anew; those that are gone took their words with them.
func (t *tx) replaceWords(ctx context.Context, table, columns string, scan func(scanner) (worded, error), ids []any) error {
	if len(ids) == 0 {
		return nil
	}
	these := placeholders(len(ids))
	list, err := collect(ctx, t, scan, `SELECT `+columns+` FROM `+table+` WHERE id IN `+these, ids...)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`DELETE FROM `+table+`_word WHERE `+table+` IN `+these, ids...); err != nil {
		return err
	}
	var rows []any
	for _, w := range list {
		for _, word := range w.words {
			rows = append(rows, word, w.id)
		}
	}
	for some := range slices.Chunk(rows, 2*wordRows) {
		_, err := t.Exec(`INSERT INTO `+table+`_word (word, `+table+`) VALUES (?, ?)`+strings.Repeat(`, (?, ?)`, len(some)/2-1), some...)
		if err != nil {
			return err
		}
	}
	other := map[string]string{"person": "token", "token": "person"}[table]
	_, err = t.Exec(`DELETE FROM word_due WHERE `+other+` = 0 AND `+table+` IN `+these, ids...)
	return err
}
