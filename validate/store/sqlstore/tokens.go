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
	which, args := matching(m, ids)
	return collect(ctx, s.read, scanToken, selectTokens+`WHERE t.id IN (`+which+`) ORDER BY t.id`, args...)
}

// matching selects the ids of the tokens that fit m, and of those in ids.
func matching(m desk.Match, ids []token.ID) (string, []any) {
	which, args := []string{`SELECT id FROM token WHERE serial = ?`}, []any{m.Serial} // each by an index
	for _, id := range append(ids, m.ID) {
		which, args = append(which, `SELECT id FROM token WHERE id = ?`), append(args, id)
	}
	if m.Text != "" {
		which = append(which, `SELECT id FROM token WHERE stock_number = ? AND stock_number <> ''`,
			`SELECT id FROM token WHERE label = ? AND label <> '' AND model IN ('yubikey', 'hardware', 'app', 'sheet')`,
			`SELECT x.id FROM person p JOIN token x ON x.holder = p.id WHERE p.account = ?`, `SELECT x.id FROM person p JOIN token x ON x.holder = p.id WHERE lower(p.name) = ?`)
		args = append(args, m.Text, m.Text, m.Text, lower(m.Text))
	}
	return strings.Join(which, ` UNION `), args
}

// lower is what lower() of SQL makes of a text in our columns: of other letters than those of ASCII it keeps the case. Of an argument
// PostgreSQL's would fold by the language of the database.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
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
