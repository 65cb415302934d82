package desk

import (
	"context"
	"slices"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Person is the person with this account and the tokens that the person holds, by number, in any state. token.ErrNotFound.
func (d *Desk) Person(ctx context.Context, account string) (token.Person, []token.Token, error) {
	p, err := d.Store.Person(ctx, account)
	if err != nil {
		return p, nil, err
	}
	list, err := d.Store.Tokens(ctx, Match{Text: p.Account})
	list = slices.DeleteFunc(list, func(t token.Token) bool { return t.Holder == nil || t.Holder.ID != p.ID })
	return p, list, err
}
