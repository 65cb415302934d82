package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// ErrReason is a word that is no reason for blocking.
var ErrReason = errors.New("a reason is one of lost, stolen, damaged, forgotten, left")

// Block blocks a token and everything on it. When it returns, no server process accepts an OTP of it. It needs no proof. was is
// the token before. One that is blocked already stays blocked at least as hard, and a new reason is kept in the audit
// chain; see Tokens.Block. A revoked token is a *token.TransitionError.
func (d *Desk) Block(ctx context.Context, query string, r token.Reason, note string) (was, now token.Token, err error) {
	if _, ok := r.Event(); !ok {
		return was, now, ErrReason
	}
	if err := checkText("note", note, false); err != nil {
		return was, now, err
	}
	if was, err = d.Find(ctx, query); err != nil {
		return was, now, err
	}
	if err := d.Store.Block(ctx, was.ID, r, note); err != nil {
		return was, now, fmt.Errorf("block %s: %w", Name(was), err)
	}
	now, err = d.again(ctx, was)
	return was, now, err
}

// Restoration is the outcome of Restore. Its text is for staff.
type Restoration string

// The outcomes. Anything but Restored leaves the token blocked.
const (
	Restored   Restoration = "restored"
	NotAnOTP   Restoration = "not an OTP"
	OtherToken Restoration = "the OTP is not of this token"
	BadOTP     Restoration = "the OTP does not decrypt"
	NotNewer   Restoration = "the OTP is not newer than what was seen"
	NotIssued  Restoration = "this OTP's credential was never put to use"
)

// Restore gives a blocked token back to its holder. otp is typed by it now: it must be newer than anything stored or seen while
// it was blocked, and is spent by this. A token that is not blocked is a *token.TransitionError.
func (d *Desk) Restore(ctx context.Context, query, otp string) (token.Token, Restoration, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, "", err
	}
	if _, err := t.State.Next(token.Restore); err != nil {
		return t, "", fmt.Errorf("restore %s: %w", Name(t), err)
	}
	a, outcome, err := d.proof(ctx, t, otp)
	if err != nil || outcome != Restored {
		return t, outcome, err
	}
	ok, err := d.Store.Restore(ctx, t.ID, a)
	if err != nil {
		return t, "", fmt.Errorf("restore %s: %w", Name(t), err)
	}
	if !ok {
		return t, NotNewer, nil
	}
	t, err = d.again(ctx, t)
	return t, Restored, err
}

// proof opens the OTP and says whether it is one of t's. Whether it is newer is for the store to decide. The first reading that
// opens counts; if none does, BadOTP says that the public ID at least is one of t's.
func (d *Desk) proof(ctx context.Context, t token.Token, otp string) (validate.Advance, Restoration, error) {
	best := NotAnOTP
	for _, r := range validate.Readings(otp) {
		a, outcome, err := d.proofOf(ctx, t, r)
		if err != nil || outcome == Restored || outcome == NotIssued {
			return a, outcome, err
		}
		if best != BadOTP {
			best = outcome
		}
	}
	return validate.Advance{}, best, nil
}

// proofOf is proof for one reading.
func (d *Desk) proofOf(ctx context.Context, t token.Token, r validate.Reading) (validate.Advance, Restoration, error) {
	c, err := d.Store.Find(ctx, r.PublicID)
	if errors.Is(err, token.ErrNotFound) || err == nil && c.Token != t.ID {
		return validate.Advance{}, OtherToken, nil
	}
	if err != nil {
		return validate.Advance{}, "", err
	}
	p, verdict := c.Cipher.Open(r.Block)
	switch {
	case verdict != yubiotp.OK:
		return validate.Advance{}, BadOTP, nil
	case !c.Row.State.Validates():
		return validate.Advance{}, NotIssued, nil
	}
	return validate.Advance{
		Credential: c.ID, Use: int(p.UseCounter), Session: int(p.SessionCounter), Timestamp: int(p.Timestamp), At: d.Now(),
		Event: validate.Event{PublicID: r.PublicID},
	}, Restored, nil
}

// again reads a token anew.
func (d *Desk) again(ctx context.Context, t token.Token) (token.Token, error) {
	list, err := d.Store.Tokens(ctx, Match{ID: t.ID})
	if err == nil && len(list) != 1 {
		err = token.ErrNotFound
	}
	if err != nil {
		return t, err
	}
	return list[0], nil
}
