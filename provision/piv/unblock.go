package piv

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// UnblockSpec says what the PIN shall be.
type UnblockSpec struct {
	// PIN is the new one; empty: the one that an interrupted run had on its way, or a random one.
	PIN   secret.Bytes
	Given Given
}

// Unblock sets the PIN by the PUK, the one given or the store's, and gives it all its tries back, whether it was blocked or not. The PUK
// is tried once. Errors wrap ErrPUKUnknown or ErrPIN, or are *PINError or *LastTryError for the PUK.
func (r *Runner) Unblock(ctx context.Context, card Card, u UnblockSpec) error {
	if u.PIN.Len() > 0 {
		if err := CheckPIN(u.PIN); err != nil {
			return err
		}
	}
	f, err := card.Facts(ctx)
	if err != nil {
		return err
	}
	if f.Serial == 0 {
		return ErrNoSerial
	}
	switch {
	case f.PUK.Left == 0:
		return fmt.Errorf("%w: only a reset of the PIV application is left, which loses its keys", &PINError{What: token.PIVPUK})
	case f.PUK.Left == 1 && !u.Given.LastTry:
		return &LastTryError{What: token.PIVPUK}
	}
	puk, err := r.puk(ctx, f, u.Given)
	defer puk.Destroy()
	if err != nil {
		return err
	}
	list, err := r.Escrow.Escrows(ctx, f.Serial, token.PIVPIN)
	if err != nil {
		return err
	}
	defer destroy(list)
	now, _ := inFlight(list)
	draw := func() (secret.Bytes, error) { return RandomPIN(r.Rand, pinDigits) }
	if u.PIN.Len() > 0 {
		draw = func() (secret.Bytes, error) { return u.PIN.Clone(), nil }
		if !now.Secret.Equal(u.PIN) {
			now = token.Escrow{}
		}
	}
	fresh, err := r.fresh(ctx, f.Serial, token.PIVPIN, now, draw)
	if err != nil {
		return err
	}
	defer fresh.Secret.Destroy()
	if err := card.Unblock(ctx, puk, fresh.Secret); err != nil {
		return r.drop(ctx, f.Serial, fresh, list, nil, err)
	}
	return r.settle(ctx, f.Serial, token.PIVPIN, fresh.ID)
}

// puk is the PUK that a card has, as far as is known. The caller destroys it.
func (r *Runner) puk(ctx context.Context, f Facts, g Given) (secret.Bytes, error) {
	if g.PUK.Len() > 0 {
		return g.PUK.Clone(), Possible(token.PIVPUK, g.PUK)
	}
	if f.PUK.Default == Yes {
		return DefaultPUK(), nil
	}
	return r.held(ctx, f.Serial, token.PIVPUK, ErrPUKUnknown)
}
