package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

var _ desk.Store = (*Store)(nil)

// AddPersons implements desk.People.
func (s *Store) AddPersons(ctx context.Context, list []token.Person) ([]bool, error) {
	added := make([]bool, len(list))
	if len(list) == 0 {
		return added, nil
	}
	err := s.change(ctx, func(tx *tx) error {
		for i, p := range list {
			r, err := tx.Exec(`INSERT INTO person (account, name, mail, created) VALUES (?, ?, ?, ?) ON CONFLICT (account) DO NOTHING`,
				p.Account, p.Name, p.Mail, micros(tx.now))
			if err != nil {
				return err
			}
			n, err := r.RowsAffected()
			if err != nil {
				return err
			}
			if added[i] = n == 1; !added[i] {
				continue
			}
			var detail any
			if len(p.Groups) > 0 {
				if _, err := tx.setGroups(p.Account, p.Groups, nil); err != nil {
					return err
				}
				detail = groupDetail{Added: p.Groups}
			}
			if err := tx.desk("person.add", "person "+p.Account, detail); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add persons: %w", translate(err))
	}
	return added, nil
}

// Persons implements desk.People.
func (s *Store) Persons(ctx context.Context) ([]token.Person, error) {
	list, err := collect(ctx, s.read, scanPerson, `SELECT `+personColumns+` FROM person p ORDER BY p.account`)
	if err != nil {
		return nil, fmt.Errorf("list persons: %w", translate(err))
	}
	return list, nil
}

// Person implements desk.People.
func (s *Store) Person(ctx context.Context, account string) (token.Person, error) {
	p, err := scanPerson(s.read.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.account = ?`, account))
	if err != nil {
		return token.Person{}, fmt.Errorf("find person: %w", translate(err))
	}
	return p, nil
}

// SetGroups implements desk.People.
func (s *Store) SetGroups(ctx context.Context, account string, add, remove []string) error {
	err := s.change(ctx, func(tx *tx) error {
		if _, err := scanPerson(tx.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.account = ?`, account)); err != nil {
			return err
		}
		done, err := tx.setGroups(account, add, remove)
		if err != nil {
			return err
		}
		if len(done.Added)+len(done.Removed) == 0 {
			return errUnchanged
		}
		return tx.desk("person.group", "person "+account, done)
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("set groups: %w", translate(err))
	}
	return nil
}

// groupDetail is what changed about a person's groups.
type groupDetail struct {
	Added   []string `json:"groups_added,omitempty"`
	Removed []string `json:"groups_removed,omitempty"`
}

// setGroups adds and then removes, and says what it changed.
func (t *tx) setGroups(account string, add, remove []string) (groupDetail, error) {
	var done groupDetail
	for _, step := range []struct {
		names []string
		text  string
		done  *[]string
	}{
		{add, `INSERT INTO person_group (person, name) SELECT id, ?2 FROM person WHERE account = ?1 ON CONFLICT DO NOTHING`, &done.Added},
		{remove, `DELETE FROM person_group WHERE person = (SELECT id FROM person WHERE account = ?1) AND name = ?2`, &done.Removed},
	} {
		for _, name := range step.names {
			r, err := t.Exec(step.text, account, name)
			if err != nil {
				return done, err
			}
			n, err := r.RowsAffected()
			if err != nil {
				return done, err
			}
			if n == 1 {
				*step.done = append(*step.done, name)
			}
		}
	}
	return done, nil
}

// personGroups are the groups of one person, sorted: for a transaction that decides about the person.
func personGroups(ctx context.Context, q querier, id token.PersonID) ([]string, error) {
	return collect(ctx, q, func(row scanner) (name string, err error) { return name, row.Scan(&name) },
		`SELECT name FROM person_group WHERE person = ? ORDER BY name`, id)
}

// splitGroups reads what string_agg made: names have no semicolons.
func splitGroups(text string) []string {
	if text == "" {
		return nil
	}
	list := strings.Split(text, ";")
	slices.Sort(list)
	return list
}
