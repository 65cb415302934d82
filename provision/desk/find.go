package desk

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// AmbiguousError is a query that means several tokens.
type AmbiguousError struct{ Tokens []token.Token }

func (e *AmbiguousError) Error() string {
	const most = 10
	var names []string
	for i, t := range e.Tokens {
		if i == most {
			names = append(names, "…")
			break
		}
		names = append(names, Name(t))
	}
	return fmt.Sprintf("%d tokens match: %s", len(e.Tokens), strings.Join(names, "; "))
}

// Name is how a token is called in a line of text: its serial or label or number, and who holds it.
func Name(t token.Token) string {
	name := ByID(t.ID)
	switch {
	case t.Serial != 0:
		name = "serial " + t.Serial.String()
	case t.Label != "":
		name = t.Label
	}
	if t.Holder != nil {
		name += " (" + t.Holder.Account + ")"
	}
	return name
}

// numbered is how ByID and Name begin.
const numbered = "token "

// ByID is the query that means the token of that number and nothing else.
func ByID(id token.ID) string { return numbered + strconv.FormatInt(int64(id), 10) }

// ParseQuery says what a query may mean. The text of an OTP is not kept: it becomes its public ID.
func ParseQuery(query string) Match {
	query = strings.TrimSpace(query)
	var m Match
	if text, ok := strings.CutPrefix(query, numbered); ok {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil && id > 0 {
			return Match{ID: token.ID(id)}
		}
	}
	for _, r := range validate.Readings(query) {
		m.PublicIDs = append(m.PublicIDs, r.PublicID)
	}
	if len(m.PublicIDs) > 0 && len(query) > 2*token.MaxPublicID {
		return m
	}
	m.Text = query
	if n, err := strconv.ParseUint(query, 10, 32); err == nil {
		m.Serial = token.Serial(n)
	}
	if p, err := token.ParsePublicID(query); err == nil && p.Len() > 0 {
		m.PublicIDs = append(m.PublicIDs, p)
	}
	return m
}

// Find is the one token that a query means. The errors are *AmbiguousError and token.ErrNotFound; neither holds the query.
func (d *Desk) Find(ctx context.Context, query string) (token.Token, error) {
	if strings.TrimSpace(query) == "" {
		return token.Token{}, fmt.Errorf("find token: %w", token.ErrNotFound)
	}
	list, err := d.Store.Tokens(ctx, ParseQuery(query))
	if err != nil {
		return token.Token{}, err
	}
	list = withoutFormer(list)
	switch len(list) {
	case 0:
		return token.Token{}, fmt.Errorf("find token: %w", token.ErrNotFound)
	case 1:
		return list[0], nil
	}
	return token.Token{}, &AmbiguousError{list}
}

// withoutFormer leaves out the revoked tokens of a person who has others: who asks for the tokens that somebody holds means those that
// can still be lost. Hits that have no holder in common are left alone.
func withoutFormer(list []token.Token) []token.Token {
	var live []token.Token
	for _, t := range list {
		if t.Holder == nil || t.Holder.ID != list[0].Holder.ID {
			return list
		}
		if t.State != token.Revoked {
			live = append(live, t)
		}
	}
	if len(live) == 0 {
		return list
	}
	return live
}

// Tokens lists all tokens.
func (d *Desk) Tokens(ctx context.Context) ([]token.Token, error) {
	return d.Store.Tokens(ctx, Match{})
}

// Show is one token and everything on it, without secrets.
func (d *Desk) Show(ctx context.Context, query string) (token.Token, []token.Credential, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, nil, err
	}
	list, err := d.Store.Credentials(ctx, t.ID)
	return t, list, err
}
