package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// spareSlot is where a key is generated to be attested, when none is there: the last of those for former keys, which are filled from the
// first on. The spare key needs neither PIN nor touch, which no key of that slot does otherwise: it is known by that.
const spareSlot = piv.LastRetired

// attestation is one question whether a key is genuine.
type attestation struct {
	roots  piv.Roots
	told   keyTold
	slot   piv.Slot // to look at or to use; 0: any
	given  piv.Given
	escrow piv.Escrow
}

// keyTold is what a key says of itself otherwise than in its attestation.
type keyTold struct {
	serial token.Serial
	info   *ykslot.DeviceInfo // nil: it does not tell
}

// attestOutcome is what a key proved, and what was done to it for that.
type attestOutcome struct {
	piv.Attested
	left string // what stays on the key, and why; "": nothing
}

// attestKey asks a key for an attestation and verifies it. It must not be open. Errors wrap piv.ErrNotGenuine where the answer is no; with
// others there is none.
func (a *app) attestKey(ctx context.Context, at usbhid.Attached, q attestation) (out attestOutcome, err error) {
	b, ok := a.bus.(pivBus)
	if !ok {
		return out, fmt.Errorf("PIV: %w", usbhid.ErrNotBuiltIn)
	}
	card, f, err := openFacts(ctx, b, at)
	if err != nil {
		return out, err
	}
	defer func() { _ = card.Close() }() // what counts is done
	if q.told.serial != 0 && f.Serial != 0 && q.told.serial != f.Serial {
		return out, fmt.Errorf("%w: the key says in one place that it is %s, in another %s", piv.ErrNotGenuine, q.told.serial, f.Serial)
	}
	if since := (ykslot.Version{Major: 4, Minor: 3}); f.Version.Compare(since) < 0 { // nothing is made on it that would be of no use
		return out, &piv.UnsupportedError{What: "attestation", Has: f.Version, Since: since}
	}
	r := &piv.Runner{Escrow: q.escrow, Rand: a.rand, Now: a.now, Touch: a.touchNow(f)}
	slot, use, err := attestedSlot(f, q.slot)
	if err != nil {
		return out, err
	}
	if use == makeKey {
		_, err := r.Generate(ctx, card, piv.GenerateSpec{
			Slot: slot, Key: piv.KeySpec{Algorithm: piv.P256, PIN: piv.PINNever, Touch: piv.TouchNever}, Given: q.given,
		})
		if err != nil {
			return out, err
		}
	}
	out.Attested, err = r.Attest(ctx, card, slot, q.roots)
	if err == nil {
		err = agrees(out.Attested, q.told)
	}
	if err == nil && !out.Answered {
		err = problemf(exitRefused, "the key in slot %v wants a PIN or a touch, so that it cannot be asked whether it is there: the certificates may be copies", slot).
			hint("without --slot a key that wants neither is generated for it")
	}
	if use != keyThere {
		out.left = cleanSlot(ctx, r, card, slot, q.given)
	}
	return out, err
}

// slotUse is what is done with a slot for an attestation.
type slotUse int

const (
	keyThere slotUse = iota // it holds a key, which is asked and stays
	spareKey                // it holds what an attestation left there before: to be asked and removed
	makeKey                 // it is empty: to be filled for the moment
)

// attestedSlot is the slot of a key that was generated there, or a spare one. What somebody else put into a slot stays there.
func attestedSlot(f piv.Facts, want piv.Slot) (piv.Slot, slotUse, error) {
	isSpare := func(k piv.KeyFacts) bool {
		return k.Slot == spareSlot && k.Generated == piv.Yes && k.Algorithm == piv.P256 && k.PIN == piv.PINNever && k.Touch == piv.TouchNever && !k.Object
	}
	if have := f.Slot(want); want != 0 {
		switch {
		case isSpare(have):
			return want, spareKey, nil
		case have.Generated == piv.Yes:
			return want, keyThere, nil
		case have.Key == piv.Yes || have.Object:
			return 0, 0, problemf(exitRefused, "slot %v is in use, and its key was not generated there, so that it is not attested", want).hint("leave --slot out, or name an empty one")
		}
		return want, makeKey, nil
	}
	foreign := false
	for _, k := range f.Keys {
		foreign = foreign || k.Object
		if k.Generated == piv.Yes && !isSpare(k) && k.PIN == piv.PINNever && k.Touch == piv.TouchNever {
			return k.Slot, keyThere, nil
		}
	}
	for slot := spareSlot; slot >= piv.FirstRetired; slot-- {
		k := f.Slot(slot)
		switch {
		case isSpare(k):
			return slot, spareKey, nil
		case k.Key == piv.No && !k.Object:
			return slot, makeKey, nil
		case k.Key == piv.Unknown && !k.Object && !foreign: // an imported key would not be seen: on a key in use somebody must say that there is none
			return slot, makeKey, nil
		}
	}
	if !f.Metadata() {
		return 0, 0, problemf(exitRefused, "firmware %v does not tell which slots are empty, and the key is in use", f.Version).
			hint("name one that holds no key, such as %v: tokendesk device attest --slot %v", spareSlot, spareSlot)
	}
	return 0, 0, problemf(exitRefused, "no slot of the key is free to generate a key in").hint("name one that holds a generated key: tokendesk device attest --slot 9a")
}

// agrees holds what was certified against what the key says of itself.
func agrees(a piv.Attested, told keyTold) error {
	no := func(format string, v ...any) error {
		return fmt.Errorf("%w: %w", piv.ErrNotGenuine, fmt.Errorf(format, v...))
	}
	switch {
	case a.Serial == 0:
		return no("it certifies no serial number")
	case told.serial != 0 && a.Serial != told.serial:
		return no("it is of key %v, this one says that it is %v", a.Serial, told.serial)
	case told.info == nil:
		return nil
	case told.info.FormFactor != a.FormFactor && a.FormFactor != 0 && told.info.FormFactor != 0:
		return no("it says %v, the key says %v", a.FormFactor, told.info.FormFactor)
	case told.info.FIPS != a.FIPS && a.FormFactor != 0:
		return no("it says FIPS %s, the key says %s", yesNo(a.FIPS), yesNo(told.info.FIPS))
	case told.info.Version != (ykslot.Version{}) && told.info.Version != a.Version:
		return no("it says firmware %v, the key says %v", a.Version, told.info.Version)
	}
	return nil
}

// cleanSlot removes the spare key, and says what stays where that cannot be done.
func cleanSlot(ctx context.Context, r *piv.Runner, card piv.Card, slot piv.Slot, g piv.Given) string {
	err := r.Delete(context.WithoutCancel(ctx), card, piv.DeleteSpec{Slot: slot, Key: true, Given: g})
	var old *piv.UnsupportedError
	switch {
	case errors.As(err, &old):
		return fmt.Sprintf("an unused key stays in slot %v: firmware %v cannot delete one", slot, old.Has)
	case err != nil:
		return fmt.Sprintf("an unused key stays in slot %v: %s", slot, oneLine(err))
	}
	return ""
}

// tellInfo asks a key for its device information, which older firmware does not have.
func tellInfo(ctx context.Context, s *ykslot.Session) (*ykslot.DeviceInfo, error) {
	info, err := s.DeviceInfo(ctx)
	var old *ykslot.UnsupportedError
	if errors.As(err, &old) || errors.Is(err, ykslot.ErrNoApplet) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &info, nil
}
