package desk

import (
	"context"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Confirm is the proof that a person has the token: a pending app becomes active by it, as does a key that was written without a
// touch; of an active one it is a proof and nothing more. name is what its holder calls it; "" keeps the former. The errors
// are *TextError, *LockedError, and *token.TransitionError for a token that is blocked, in stock or revoked.
func (d *Desk) Confirm(ctx context.Context, query string, codes []string, name string) (token.Token, Proof, error) {
	if err := checkText("name", name, false); err != nil {
		return token.Token{}, "", err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, "", err
	}
	if err := allowed("verify", t, token.Prove); err != nil {
		return t, "", err
	}
	p := confirming
	p.measure = t.State == token.Pending // the clock of one that is in use is learned in small steps, or measured by a resync
	e, proof, err := d.prove(ctx, t, codes, p)
	if err != nil || proof != Proven {
		return t, proof, err
	}
	ok, err := d.Store.Confirm(ctx, t.ID, name, e)
	return d.changed(ctx, "verify", t, ok, err)
}
