package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// handle is by what a value that was handed out is known again: its text, normalised where people read it.
func (s *Store) handle(parts ...secret.Bytes) []byte {
	m := s.ring().Mark(parts...)
	return m[:]
}

// personOf is the person with an account.
func personOf(ctx context.Context, q querier, account string) (token.Person, error) {
	return scanPerson(q.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.account = ?`, account))
}

func personObject(p token.Person) string { return "person " + p.Account }

// codeDetail is the detail of the events about codes.
type codeDetail struct {
	Code    int64         `json:"code,omitempty"`
	Kind    desk.CodeKind `json:"kind"`
	Uses    int           `json:"uses,omitempty"`
	Expires string        `json:"expires,omitempty"`
	Client  int64         `json:"client,omitempty"`
	Note    string        `json:"note,omitempty"`
	Count   int           `json:"count,omitempty"`    // of codes
	Former  int           `json:"former,omitempty"`   // that were revoked
	Browser int           `json:"browsers,omitempty"` // that are not trusted any more
}

// AddTempCode implements desk.Codes.
func (s *Store) AddTempCode(ctx context.Context, account string, c desk.TempCode, value secret.Bytes) (desk.Code, error) {
	var code desk.Code
	err := s.change(ctx, func(tx *tx) error {
		p, err := personOf(ctx, tx, account)
		if err != nil {
			return err
		}
		if err := tx.newestCode(p.ID, desk.TempCodes, c.After); err != nil {
			return err
		}
		former, err := tx.revokeCodes(p.ID, desk.TempCodes)
		if err != nil {
			return err
		}
		code = desk.Code{Kind: desk.TempCodes, UsesLeft: c.Uses, Expires: tx.now.Add(c.Valid), Client: c.Client, Created: tx.now}
		if err := tx.addCode(p.ID, &code, value); err != nil {
			return err
		}
		if err := tx.notify(p.ID, desk.NoticeTempCode, desk.Facts{Until: code.Expires.UTC(), Count: c.Uses}); err != nil {
			return err
		}
		return tx.desk("code.temp", personObject(p), codeDetail{Code: code.ID, Kind: code.Kind, Uses: c.Uses, Expires: code.Expires.UTC().Format("2006-01-02T15:04:05Z"),
			Client: c.Client, Note: c.Note, Former: former})
	})
	if err != nil {
		return desk.Code{}, fmt.Errorf("add code: %w", translate(err))
	}
	return code, nil
}

// newestCode is token.ErrConflict if the person's newest code of the kind, 0 for none, is not the one wanted; nil wants any.
func (t *tx) newestCode(p token.PersonID, kind desk.CodeKind, want *int64) error {
	if want == nil {
		return nil
	}
	var newest int64
	err := t.QueryRow(`SELECT COALESCE(MAX(id), 0) FROM code WHERE person = ? AND kind = ?`, p, string(kind)).Scan(&newest)
	if err == nil && newest != *want {
		err = token.ErrConflict
	}
	return err
}

// ReplaceRecoveryCodes implements desk.Codes.
func (s *Store) ReplaceRecoveryCodes(ctx context.Context, account string, values []secret.Bytes) error {
	err := s.change(ctx, func(tx *tx) error {
		p, err := personOf(ctx, tx, account)
		if err != nil {
			return err
		}
		former, err := tx.revokeCodes(p.ID, desk.RecoveryCodes)
		if err != nil {
			return err
		}
		for _, v := range values {
			if err := tx.addCode(p.ID, &desk.Code{Kind: desk.RecoveryCodes, UsesLeft: 1, Created: tx.now}, v); err != nil {
				return err
			}
		}
		browsers, err := tx.dropBrowsers(p.ID, 0)
		if err != nil {
			return err
		}
		if err := tx.notify(p.ID, desk.NoticeRecoveryCodes, desk.Facts{Count: len(values), Browsers: browsers}); err != nil {
			return err
		}
		return tx.desk("code.recovery", personObject(p), codeDetail{Kind: desk.RecoveryCodes, Count: len(values), Former: former, Browser: browsers})
	})
	if err != nil {
		return fmt.Errorf("replace codes: %w", translate(err))
	}
	return nil
}

// addCode inserts one and sets its number.
func (t *tx) addCode(p token.PersonID, c *desk.Code, value secret.Bytes) error {
	client := sql.NullInt64{Int64: c.Client, Valid: c.Client != 0}
	var err error
	c.ID, err = t.insert(`INSERT INTO code (person, kind, hash, uses_left, expires, client, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		p, string(c.Kind), t.s.handle(value), c.UsesLeft, micros(c.Expires), client, micros(c.Created))
	return err
}

// revokeCodes revokes the codes of a kind and counts those that were live. Expired ones do not come back when the clock does.
func (t *tx) revokeCodes(p token.PersonID, kind desk.CodeKind) (int, error) {
	n, err := t.count(`UPDATE code SET revoked = ?1 WHERE person = ?2 AND kind = ?3 AND revoked = 0 AND uses_left > 0 AND (expires = 0 OR expires > ?1)`,
		micros(t.now), p, string(kind))
	if err != nil {
		return 0, err
	}
	_, err = t.Exec(`UPDATE code SET revoked = ?1 WHERE person = ?2 AND kind = ?3 AND revoked = 0 AND uses_left > 0`, micros(t.now), p, string(kind))
	return n, err
}

// count runs a statement and says how many rows it changed.
func (t *tx) count(text string, args ...any) (int, error) {
	r, err := t.Exec(text, args...)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// Codes implements desk.Codes.
func (s *Store) Codes(ctx context.Context, account string) ([]desk.Code, error) {
	p, err := personOf(ctx, s.read, account)
	var list []desk.Code
	if err == nil {
		list, err = collect(ctx, s.read, scanCode, `SELECT id, kind, uses_left, expires, coalesce(client, 0), created, revoked FROM code WHERE person = ? ORDER BY id`, p.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("list codes: %w", translate(err))
	}
	return list, nil
}

func scanCode(row scanner) (desk.Code, error) {
	var c desk.Code
	var expires, created, revoked int64
	err := row.Scan(&c.ID, &c.Kind, &c.UsesLeft, &expires, &c.Client, &created, &revoked)
	c.Expires, c.Created, c.Revoked = fromMicros(expires), fromMicros(created), fromMicros(revoked)
	return c, err
}

// RevokeCodes implements desk.Codes.
func (s *Store) RevokeCodes(ctx context.Context, account string, kind desk.CodeKind) (int, error) {
	var n int
	err := s.change(ctx, func(tx *tx) error {
		p, err := personOf(ctx, tx, account)
		if err != nil {
			return err
		}
		if n, err = tx.revokeCodes(p.ID, kind); err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		return tx.desk("code.revoke", personObject(p), codeDetail{Kind: kind, Former: n})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return 0, fmt.Errorf("revoke codes: %w", translate(err))
	}
	return n, nil
}
