package desk

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Trust is about credentials of a backup that was put back, whose counters may be behind those of the keys: see package validate.
type Trust interface {
	// Cautious are the tokens with such credentials, by number.
	Cautious(ctx context.Context) ([]token.Token, error)
	// Release trusts the counters of a token as they are, and says whether they were not trusted before; token.ErrNotFound.
	Release(ctx context.Context, id token.ID, why string) (bool, error)
}

// Cautious are the tokens whose counters are not trusted yet.
func (d *Desk) Cautious(ctx context.Context) ([]token.Token, error) { return d.Store.Cautious(ctx) }

// Release trusts the counters of the token that the query names, without two fresh one-time passwords: whoever wrote down one of those
// that were used since the backup can use it until the holder presses. It enables nothing that is blocked. False: they were
// trusted already. A *TextError is about the reason.
func (d *Desk) Release(ctx context.Context, query, why string) (token.Token, bool, error) {
	if err := checkText("reason", why, true); err != nil {
		return token.Token{}, false, err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, false, err
	}
	done, err := d.Store.Release(ctx, t.ID, why)
	if err != nil {
		return t, false, fmt.Errorf("release %s: %w", Name(t), err)
	}
	return t, done, nil
}
