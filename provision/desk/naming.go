package desk

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Naming is what a token is to be called from now on: "" for nothing any more, nil as before.
type Naming struct {
	StockNumber *string // of the house's inventory; no two tokens have the same
	Name        *string // as its holder calls it
}

// SetNames changes what a token is called and found by. A *TextError is for a name that another live token of the holder has, too, and for another's stock number. What
// is so already is no error.
func (d *Desk) SetNames(ctx context.Context, query string, n Naming) (token.Token, error) {
	for field, text := range map[string]*string{"stock number": n.StockNumber, "name": n.Name} {
		if text == nil {
			continue
		}
		if err := checkText(field, *text, false); err != nil {
			return token.Token{}, err
		}
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return t, err
	}
	if err := d.Store.SetNames(ctx, t.ID, n); err != nil {
		return t, fmt.Errorf("name %s: %w", Name(t), err)
	}
	return d.again(ctx, t)
}
