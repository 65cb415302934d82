package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Tokens implements desk.Tokens.
func (s *Store) Tokens(ctx context.Context, m desk.Match) ([]token.Token, error) {
	list, err := s.tokens(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("find tokens: %w", translate(err))
	}
	return list, nil
}

func (s *Store) tokens(ctx context.Context, m desk.Match) ([]token.Token, error) {
	const selectTokens = `SELECT ` + tokenColumns + tokenFrom
	if m.ID == 0 && m.Serial == 0 && len(m.PublicIDs) == 0 && m.Text == "" {
		return collect(ctx, s.read, scanToken, selectTokens+`ORDER BY t.id`)
	}
	ids, err := s.publicIDTokens(ctx, m.PublicIDs)
	if err != nil {
		return nil, err
	}
	where, args := []string{`t.id = ?`, `t.serial = ?`}, []any{m.ID, m.Serial}
	for _, id := range ids {
		where, args = append(where, `t.id = ?`), append(args, id)
	}
	if m.Text != "" {
		where = append(where, `t.stock_number = ?`, `t.label = ?`, `p.account = ?`, `lower(p.name) = lower(?)`)
		args = append(args, m.Text, m.Text, m.Text, m.Text)
	}
	return collect(ctx, s.read, scanToken, selectTokens+`WHERE `+strings.Join(where, ` OR `)+` ORDER BY t.id`, args...)
}

// publicIDTokens are the tokens with a live credential of one of these public IDs; if there is none, with a revoked one.
func (s *Store) publicIDTokens(ctx context.Context, list []token.PublicID) ([]token.ID, error) {
	for _, live := range []string{`state <> 'revoked'`, `state = 'revoked'`} {
		var out []token.ID
		for _, p := range list {
			found, err := collect(ctx, s.read, func(row scanner) (id token.ID, err error) { return id, row.Scan(&id) },
				`SELECT DISTINCT token FROM credential WHERE public_id = ? AND (kind = 'yubico-otp' OR public_id <> '') AND `+live, p.String())
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, nil
}

// Credentials implements desk.Tokens.
func (s *Store) Credentials(ctx context.Context, id token.ID) ([]token.Credential, error) {
	list, err := collect(ctx, s.read, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.token = ? ORDER BY c.slot, c.id`, id)
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", translate(err))
	}
	return list, nil
}
