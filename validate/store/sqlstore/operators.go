package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// What a marked value is, so that one of another purpose never fits.
const (
	apiTokenMark = "operator"
	sessionMark  = "session"
)

// markOf is by what a handed-out value is found again. What is stored gives nothing away, and how long an index is searched for it
// tells nothing about the value: without the sealing key nobody knows which mark a value has.
func (s *Store) markOf(what string, value secret.Bytes) []byte {
	m := s.ring().Mark(secret.New([]byte(what)), value)
	return m[:]
}

const operatorColumns = `o.id, o.name, o.roles, o.active, o.created`

func scanOperator(row scanner) (desk.Operator, error) {
	var o desk.Operator
	var roles string
	var created int64
	err := row.Scan(&o.ID, &o.Name, &roles, &o.Active, &created)
	for _, r := range strings.Fields(roles) {
		o.Roles = append(o.Roles, desk.Role(r))
	}
	o.Created = fromMicros(created)
	return o, err
}

func joinRoles(list []desk.Role) string {
	var text []string
	for _, r := range list {
		text = append(text, string(r))
	}
	return strings.Join(text, " ")
}

// operatorDetail is the detail of an event about an operator.
type operatorDetail struct {
	Name  string      `json:"name"`
	Roles []desk.Role `json:"roles,omitempty"`
}

func (t *tx) operator(action string, o desk.Operator, roles []desk.Role) error {
	return t.desk(action, fmt.Sprintf("operator %d", o.ID), operatorDetail{o.Name, roles})
}

// AddOperator implements desk.Operators.
func (s *Store) AddOperator(ctx context.Context, o desk.Operator, apiToken secret.Bytes) (desk.Operator, error) {
	err := s.change(ctx, func(tx *tx) error {
		var err error
		o.ID, err = tx.insert(`INSERT INTO operator (name, roles, hash, active, created) VALUES (?, ?, ?, 1, ?)`,
			o.Name, joinRoles(o.Roles), s.markOf(apiTokenMark, apiToken), micros(tx.now))
		if err != nil {
			return err
		}
		o.Active, o.Created = true, fromMicros(micros(tx.now))
		return tx.operator("operator.add", o, o.Roles)
	})
	if err != nil {
		return desk.Operator{}, fmt.Errorf("add operator: %w", translate(err))
	}
	return o, nil
}

// ListOperators implements desk.Operators.
func (s *Store) ListOperators(ctx context.Context) ([]desk.Operator, error) {
	list, err := collect(ctx, s.read, scanOperator, `SELECT `+operatorColumns+` FROM operator o ORDER BY o.name`)
	if err != nil {
		return nil, fmt.Errorf("list operators: %w", translate(err))
	}
	return list, nil
}

// RevokeOperator implements desk.Operators.
func (s *Store) RevokeOperator(ctx context.Context, name string) error {
	err := s.change(ctx, func(tx *tx) error {
		o, err := scanOperator(tx.QueryRowContext(ctx, `SELECT `+operatorColumns+` FROM operator o WHERE o.name = ?`, name))
		if err != nil {
			return err
		}
		if err := tx.one(token.ErrConflict, `UPDATE operator SET active = 0 WHERE id = ? AND active = 1`, o.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM session WHERE operator = ?`, o.ID); err != nil {
			return err
		}
		return tx.operator("operator.revoke", o, nil)
	})
	if err != nil {
		return fmt.Errorf("revoke operator: %w", translate(err))
	}
	return nil
}

// Authenticate implements desk.Operators: one hash and one look-up, whatever the text is.
func (s *Store) Authenticate(ctx context.Context, apiToken secret.Bytes) (desk.Operator, error) {
	o, err := s.authenticate(ctx, s.read, apiToken)
	if err != nil {
		return desk.Operator{}, fmt.Errorf("find operator: %w", translate(err))
	}
	return o, nil
}

func (s *Store) authenticate(ctx context.Context, q querier, apiToken secret.Bytes) (desk.Operator, error) {
	return scanOperator(q.QueryRowContext(ctx, `SELECT `+operatorColumns+` FROM operator o WHERE o.hash = ? AND o.active = 1`, s.markOf(apiTokenMark, apiToken)))
}
