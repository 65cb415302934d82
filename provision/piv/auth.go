package piv

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Possible is an error where no card can have a PIN or PUK, so that trying it would use up a try for nothing. It wraps ErrPIN.
func Possible(what token.EscrowKind, s secret.Bytes) error {
	if n := s.Len(); n < MinPIN || n > MaxPIN {
		return fmt.Errorf("%w: every %s has %d to %d characters, and this was not tried", ErrPIN, pinName(what), MinPIN, MaxPIN)
	}
	return nil
}

// VerifyPIN tries a PIN once, unless it is blocked (*PINError), or one try is left and lastTry is false (*LastTryError), or it is not Possible. A
// refused PIN is a *PINError; the caller must not call again with the same.
func VerifyPIN(ctx context.Context, card interface {
	PINTries(ctx context.Context) (int, error)
	VerifyPIN(ctx context.Context, pin secret.Bytes) error
}, pin secret.Bytes, lastTry bool) error {
	if err := Possible(token.PIVPIN, pin); err != nil {
		return err
	}
	left, err := card.PINTries(ctx)
	switch {
	case err != nil:
		return err
	case left == 0:
		return &PINError{What: token.PIVPIN}
	case left == 1 && !lastTry:
		return &LastTryError{What: token.PIVPIN}
	}
	return card.VerifyPIN(ctx, pin)
}

// Verify verifies the PIN of a card: the one given, or that of the store, or that of a new card if it says that it still has it. It tries
// one, once. Errors wrap ErrPINUnknown, or are those of VerifyPIN.
func (r *Runner) Verify(ctx context.Context, card Card, f Facts, g Given) error {
	pin, err := r.pin(ctx, f, g)
	if err != nil {
		return err
	}
	defer pin.Destroy()
	return VerifyPIN(ctx, card, pin, g.LastTry)
}

// pin is the PIN that a card has, as far as is known. The caller destroys it.
func (r *Runner) pin(ctx context.Context, f Facts, g Given) (secret.Bytes, error) {
	if g.PIN.Len() > 0 {
		return g.PIN.Clone(), nil
	}
	if f.PIN.Default == Yes {
		return DefaultPIN(), nil
	}
	return r.held(ctx, f.Serial, token.PIVPIN, ErrPINUnknown)
}

// held is a secret that the card was seen to have. One that was on its way is no answer: it would be a guess.
func (r *Runner) held(ctx context.Context, serial token.Serial, what token.EscrowKind, unknown error) (secret.Bytes, error) {
	if serial == 0 {
		return secret.Bytes{}, unknown
	}
	list, err := r.Escrow.Escrows(ctx, serial, what)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer destroy(list)
	e, ok := held(list)
	switch {
	case !ok && len(list) > 0, len(list) > 1:
		return secret.Bytes{}, fmt.Errorf("%w: a change of it was interrupted and must be finished first", unknown)
	case !ok:
		return secret.Bytes{}, unknown
	}
	return e.Secret.Clone(), nil
}

func destroy(list []token.Escrow) { Secrets{PIN: list}.Destroy() }

// Management is the management key that a card takes: the one given, which an interrupted run may have replaced, one of the store's, or, where none
// is given, that of a new card. Each is tried, which no card counts. The caller destroys it. Errors wrap ErrManagementUnknown, or ErrManagementKey
// for one that was given.
func (r *Runner) Management(ctx context.Context, card Card, f Facts, g Given) (secret.Bytes, error) {
	var list []token.Escrow
	if f.Serial != 0 {
		var err error
		if list, err = r.Escrow.Escrows(ctx, f.Serial, token.PIVManagementKey); err != nil {
			return secret.Bytes{}, err
		}
		defer destroy(list)
	}
	return r.opens(ctx, card, f, list, g)
}

// opens finds the management key that a card takes. The caller destroys it.
func (r *Runner) opens(ctx context.Context, card Card, f Facts, list []token.Escrow, g Given) (secret.Bytes, error) {
	isNew := DefaultManagementKey()
	defer isNew.Destroy()
	candidates := make([]secret.Bytes, 0, len(list)+1)
	if g.Management.Len() > 0 {
		candidates = append(candidates, g.Management)
	}
	for _, e := range list {
		candidates = append(candidates, e.Secret)
	}
	if g.Management.Len() == 0 {
		candidates = append(candidates, isNew)
	}
	if f.Management.Touch {
		r.touch(ManagementReference)
	}
	var first error
	for _, key := range candidates {
		switch err := card.Authenticate(ctx, key); {
		case err == nil:
			return key.Clone(), nil
		case !errors.Is(err, ErrManagementKey):
			return secret.Bytes{}, err
		case first == nil:
			first = err
		}
	}
	if g.Management.Len() > 0 {
		return secret.Bytes{}, first
	}
	return secret.Bytes{}, unknownManagement(f)
}

// unknownManagement is ErrManagementUnknown, with what a card says of why.
func unknownManagement(f Facts) error {
	switch {
	case f.Management.Touch:
		return fmt.Errorf("%w, or the touch that it wants did not come", ErrManagementUnknown)
	case f.OnCard:
		return fmt.Errorf("%w: another program keeps it on the key, behind the PIN, or makes it from the PIN", ErrManagementUnknown)
	}
	return ErrManagementUnknown
}
