package desk

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Resync finds a HOTP or TOTP token again that went out of step, by two codes that follow each other, forward only: both are used up. It
// returns the token and its clock as it is known now. It takes no Yubico OTP, which has no step to lose.
func (d *Desk) Resync(ctx context.Context, query, first, second string) (token.Token, token.Clock, Proof, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, token.Clock{}, "", err
	}
	if t.State == token.Revoked {
		return t, token.Clock{}, "", fmt.Errorf("resync %s: %w", Name(t), &token.TransitionError{From: t.State, Event: token.Prove})
	}
	e, proof, err := d.prove(ctx, t, []string{first, second}, resyncing)
	if err != nil || proof != Proven {
		return t, token.Clock{}, proof, err
	}
	ok, err := d.Store.Resync(ctx, t.ID, e)
	t, proof, err = d.changed(ctx, "resync", t, ok, err)
	return t, e.Counters.Clock, proof, err
}

// ResetClock forgets what was learned about the clock of a TOTP token: it is taken for right.
func (d *Desk) ResetClock(ctx context.Context, query string) (token.Token, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, err
	}
	if err := d.Store.ResetClock(ctx, t.ID); err != nil {
		return t, fmt.Errorf("reset clock of %s: %w", Name(t), err)
	}
	return t, nil
}
