package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// browserDetail is the detail of the events about trusted browsers.
type browserDetail struct {
	Browser int64  `json:"browser,omitempty"`
	Client  int64  `json:"client,omitempty"`
	Name    string `json:"name,omitempty"`
	Count   int    `json:"count,omitempty"`
}

// AddBrowser implements desk.Browsers.
func (s *Store) AddBrowser(ctx context.Context, person token.PersonID, by token.ID, client int64, name string, value secret.Bytes) error {
	err := s.change(ctx, func(tx *tx) error {
		p, err := scanPerson(tx.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.id = ?`, person))
		if err != nil {
			return err
		}
		k, err := oneToken(ctx, tx, `WHERE t.id = ?`, by)
		if err != nil {
			return err
		}
		if k.Holder == nil || k.Holder.ID != person || !k.State.Validates() {
			return token.ErrConflict
		}
		id, err := tx.insert(`INSERT INTO browser (person, client, hash, name, created, expires) VALUES (?, ?, ?, ?, ?, ?)`,
			person, client, s.handle(value), name, micros(tx.now), micros(tx.now.Add(desk.BrowserTime)))
		if err != nil {
			return err
		}
		return tx.desk("browser.trust", personObject(p), browserDetail{Browser: id, Client: client, Name: name})
	})
	if err != nil {
		return fmt.Errorf("trust browser: %w", translate(err))
	}
	return nil
}

// Browsers implements desk.Browsers.
func (s *Store) Browsers(ctx context.Context, account string) ([]desk.Browser, error) {
	p, err := personOf(ctx, s.read, account)
	var list []desk.Browser
	if err == nil {
		list, err = collect(ctx, s.read, scanBrowser, `SELECT id, client, name, created, expires, used, revoked FROM browser WHERE person = ? ORDER BY id`, p.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("list browsers: %w", translate(err))
	}
	return list, nil
}

func scanBrowser(row scanner) (desk.Browser, error) {
	var b desk.Browser
	var created, expires, used, revoked int64
	err := row.Scan(&b.ID, &b.Client, &b.Name, &created, &expires, &used, &revoked)
	b.Created, b.Expires, b.Used, b.Revoked = fromMicros(created), fromMicros(expires), fromMicros(used), fromMicros(revoked)
	return b, err
}

// RevokeBrowsers implements desk.Browsers.
func (s *Store) RevokeBrowsers(ctx context.Context, account string, id int64) (int, error) {
	var n int
	err := s.change(ctx, func(tx *tx) error {
		p, err := personOf(ctx, tx, account)
		if err != nil {
			return err
		}
		if n, err = tx.dropBrowsers(p.ID, id); err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		return tx.desk("browser.revoke", personObject(p), browserDetail{Browser: id, Count: n})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return 0, fmt.Errorf("revoke browsers: %w", translate(err))
	}
	return n, nil
}

// dropBrowsers ends the trust in a live browser of a person, or in all for 0, and counts them. Expired ones do not come back when the
// clock does. The caller writes the event.
func (t *tx) dropBrowsers(person token.PersonID, id int64) (int, error) {
	n, err := t.count(`UPDATE browser SET revoked = ?1 WHERE person = ?2 AND (?3 = 0 OR id = ?3) AND revoked = 0 AND expires > ?1`, micros(t.now), person, id)
	if err != nil {
		return 0, err
	}
	_, err = t.Exec(`UPDATE browser SET revoked = ?1 WHERE person = ?2 AND (?3 = 0 OR id = ?3) AND revoked = 0`, micros(t.now), person, id)
	return n, err
}
