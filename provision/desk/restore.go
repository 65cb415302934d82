package desk

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Restore gives a blocked token back to its holder, who types a code or an OTP of it now: it must be newer than anything stored or
// seen while the token was blocked, and is spent by this. Two TOTP codes of before the block, which somebody may have noted, are
// NotNewer. The errors are *LockedError, and *token.TransitionError for a token that is not blocked.
func (d *Desk) Restore(ctx context.Context, query string, codes []string) (token.Token, Proof, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, "", err
	}
	if err := allowed("restore", t, token.Restore); err != nil {
		return t, "", err
	}
	e, proof, err := d.prove(ctx, t, codes, restoring)
	if err != nil || proof != Proven {
		return t, proof, err
	}
	ok, err := d.Store.Restore(ctx, t.ID, e)
	return d.changed(ctx, "restore", t, ok, err)
}

// Undo takes back a block that was a slip, without proof: within token.UndoTime, by the one who alone blocked it, while its
// holder was issued no other token since. The token is as it was; browsers and links that the block ended stay gone.
func (d *Desk) Undo(ctx context.Context, query string) (token.Token, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, err
	}
	if err := d.Store.Undo(ctx, t.ID); err != nil {
		return t, fmt.Errorf("undo the block of %s: %w", Name(t), err)
	}
	return d.again(ctx, t)
}

// Sweep ends what is over: suspensions whose day has come, secrets of links that nobody proved in time, secrets of credentials that
// were given up, and what was kept for the helpdesk. It may be called by any number of processes, at any time.
func (d *Desk) Sweep(ctx context.Context) (Swept, error) { return d.Store.Sweep(ctx) }

// History are the last events of the token that the query names, newest first.
func (d *Desk) History(ctx context.Context, query string, most int) ([]Happened, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return nil, err
	}
	return d.Store.History(ctx, t.ID, most)
}
