package sqlite

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
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
			if err := tx.desk("person.add", "person "+p.Account, nil); err != nil {
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

// AddClient implements desk.Clients.
func (s *Store) AddClient(ctx context.Context, c validate.Client) (int64, error) {
	var id int64
	err := s.change(ctx, func(tx *tx) error {
		r, err := tx.Exec(`INSERT INTO client (name, active, must_sign, key_version, sealed, created) VALUES (?, ?, ?, ?, x'', ?)`,
			c.Name, c.Active, c.MustSig, s.keys.Sealing.Version(), micros(tx.now))
		if err != nil {
			return err
		}
		if id, err = r.LastInsertId(); err != nil {
			return err
		}
		row, err := s.keys.Sealing.Seal(s.random, s.clientPlace(id), c.Key) // bound to the number that it just got
		if err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `UPDATE client SET sealed = ? WHERE id = ?`, row, id); err != nil {
			return err
		}
		return tx.desk("client.add", fmt.Sprintf("client %d", id), map[string]any{"name": c.Name, "must_sign": c.MustSig})
	})
	if err != nil {
		return 0, fmt.Errorf("add client: %w", translate(err))
	}
	return id, nil
}

// ListClients implements desk.Clients.
func (s *Store) ListClients(ctx context.Context) ([]validate.Client, error) {
	list, err := collect(ctx, s.read, func(row scanner) (c validate.Client, err error) {
		err = row.Scan(&c.ID, &c.Name, &c.Active, &c.MustSig)
		return c, err
	}, `SELECT id, name, active, must_sign FROM client ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", translate(err))
	}
	return list, nil
}
