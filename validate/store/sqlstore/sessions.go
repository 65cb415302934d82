package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// AddSession implements desk.Operators. A wrong API token writes nothing.
func (s *Store) AddSession(ctx context.Context, apiToken, value secret.Bytes, csrf string) (desk.Operator, error) {
	if _, err := s.Authenticate(ctx, apiToken); err != nil { // whoever guesses does not queue for the writer
		return desk.Operator{}, err
	}
	var o desk.Operator
	err := s.change(ctx, func(tx *tx) (err error) {
		if o, err = s.authenticate(ctx, tx, apiToken); err != nil { // perhaps revoked meanwhile
			return err
		}
		_, err = tx.Exec(`INSERT INTO session (hash, operator, csrf, created, seen) VALUES (?1, ?2, ?3, ?4, ?4)`,
			s.markOf(sessionMark, value), o.ID, csrf, micros(tx.now))
		if err != nil {
			return err
		}
		tx.actor = o.Actor()
		return tx.operator("operator.login", o, nil)
	})
	if err != nil {
		return desk.Operator{}, fmt.Errorf("log in: %w", translate(err))
	}
	return o, nil
}

// Session implements desk.Operators.
func (s *Store) Session(ctx context.Context, value secret.Bytes) (desk.Operator, string, error) {
	o, csrf, err := s.session(ctx, value)
	if err != nil {
		return desk.Operator{}, "", fmt.Errorf("find session: %w", translate(err))
	}
	return o, csrf, nil
}

func (s *Store) session(ctx context.Context, value secret.Bytes) (o desk.Operator, csrf string, err error) {
	hash, now := s.markOf(sessionMark, value), s.now()
	var seen int64
	row := s.read.QueryRowContext(ctx, `SELECT s.csrf, s.seen, `+operatorColumns+` FROM session s JOIN operator o ON o.id = s.operator
		WHERE s.hash = ? AND o.active = 1 AND s.seen > ? AND s.created > ?`,
		hash, micros(now.Add(-desk.SessionIdle)), micros(now.Add(-desk.SessionMost)))
	o, err = scanOperator(scanAfter{row, []any{&csrf, &seen}})
	if err != nil || now.Sub(fromMicros(seen)) < desk.SessionNote {
		return o, csrf, err
	}
	err = s.change(ctx, func(tx *tx) error { // it may have ended meanwhile
		return tx.one(token.ErrNotFound, `UPDATE session SET seen = ? WHERE hash = ?`, micros(now), hash)
	})
	return o, csrf, err
}

// scanAfter scans columns in front of those that a scan function knows.
type scanAfter struct {
	row   scanner
	first []any
}

func (s scanAfter) Scan(into ...any) error { return s.row.Scan(append(s.first, into...)...) }

// EndSession implements desk.Operators.
func (s *Store) EndSession(ctx context.Context, value secret.Bytes) error {
	hash := s.markOf(sessionMark, value)
	err := s.change(ctx, func(tx *tx) error {
		o, err := scanOperator(tx.QueryRowContext(ctx, `SELECT `+operatorColumns+` FROM session s JOIN operator o ON o.id = s.operator WHERE s.hash = ?`, hash))
		if err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `DELETE FROM session WHERE hash = ?`, hash); err != nil {
			return err
		}
		tx.actor = o.Actor()
		return tx.operator("operator.logout", o, nil)
	})
	if err = translate(err); err != nil && !errors.Is(err, token.ErrNotFound) {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}
