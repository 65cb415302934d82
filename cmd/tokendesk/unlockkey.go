package main

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// unlocking is how this process opens a wrapped sealing key. The key's file calls it from one goroutine at a time.
type unlocking struct {
	pinFile string // --unlock-pin-file
	serial  uint32 // --unlock-serial; 0: any
	silent  bool   // nobody is asked: words are completed
	pin     secret.Bytes
	of      token.Serial // whose PIN it is; 0: not known yet
	asked   bool
	refused bool // a PIN was; it is not tried again
}

// oldTries is how often a PIN may be tried on a card that does not say so: as on a new one. Source: reference yubikey-otp.md §8.
const oldTries = 3

// unlockKey opens a wrapped sealing key by the first attached YubiKey that it is wrapped for.
func (a *app) unlockKey(ctx context.Context, of []seal.Recipient, open func(ecdh.KeyExchanger) error) error {
	card, f, r, err := a.unlockingCard(ctx, of)
	if err != nil {
		return err
	}
	defer func() { _ = card.Close() }() // it was only read
	have := f.Slot(piv.Slot(r.Slot))
	if have.Key == piv.No || have.Public != nil && !piv.SameKey(have.Public, ecdsaOf(r.Public)) { // a PIN would be tried for nothing
		return otherKeyProblem(r)
	}
	if err := a.enterPIN(ctx, card, f); err != nil {
		return err
	}
	key, err := card.Exchanger(ctx, piv.Slot(r.Slot), ecdsaOf(r.Public))
	if err != nil {
		return err
	}
	if have.Touch > piv.TouchNever {
		a.touchNow(f)(have.Slot)
	}
	err = open(key)
	if errors.Is(err, seal.ErrOpen) || errors.Is(err, piv.ErrNoKey) {
		return otherKeyProblem(r)
	}
	return err
}

func otherKeyProblem(r seal.Recipient) error {
	return problemf(exitIntegrity, "slot %02x of key %d no longer holds what opens the sealing key", r.Slot, r.Serial).
		hint("something else was generated there, or the key was reset: use another of: tokendesk store unlock list").
		hint("then take this one out: tokendesk store unlock remove %d", r.Serial)
}

// ecdsaOf is the same key as packages of certificates have it.
func ecdsaOf(k *ecdh.PublicKey) *ecdsa.PublicKey {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Bytes())
	if err != nil { // a point of P-256 is one
		panic(err)
	}
	return public
}

// unlockingCard holds the PIV application of a recipient that is attached: of the first one, but a PIN from a file is of one certain key.
func (a *app) unlockingCard(ctx context.Context, of []seal.Recipient) (piv.Card, piv.Facts, seal.Recipient, error) {
	none := func(err error) (piv.Card, piv.Facts, seal.Recipient, error) {
		return nil, piv.Facts{}, seal.Recipient{}, err
	}
	u := &a.unlocking
	if u.silent {
		return none(seal.ErrWrapped)
	}
	b, ok := a.bus.(pivBus)
	if !ok {
		return none(errors.Join(seal.ErrWrapped, usbhid.ErrNotBuiltIn))
	}
	all, err := a.attached(ctx, viaCCID)
	if err != nil {
		return none(err)
	}
	alone := u.pinFile != "" && len(of) > 1 && u.serial == 0 && u.of == 0 // it must be the only one
	var card piv.Card
	var f piv.Facts
	var found seal.Recipient
	var failed error
	for _, at := range all {
		if !a.reaches(viaCCID, at) {
			continue
		}
		next, told, err := openFacts(ctx, b, at)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		i := slices.IndexFunc(of, func(r seal.Recipient) bool { return token.Serial(r.Serial) == told.Serial && u.takes(told.Serial) })
		switch {
		case i < 0: // it was only asked for its serial number
			_ = next.Close()
		case card != nil:
			_, _ = next.Close(), card.Close()
			return none(problemf(exitAmbiguous, "keys %s and %s are attached and open the sealing key, and %s is the PIN of one", f.Serial, told.Serial, printable(u.pinFile)).
				hint("say of which: --unlock-serial N"))
		default:
			card, f, found = next, told, of[i]
			if !alone {
				return card, f, found, nil
			}
		}
	}
	switch {
	case card != nil:
		return card, f, found, nil
	case ctx.Err() != nil:
		return none(ctx.Err())
	}
	return none(u.notAttached(of, failed))
}

// takes reports whether a key may be asked for: not one whose PIN this process does not have, when it has another's.
func (u *unlocking) takes(s token.Serial) bool {
	return (u.of == 0 || u.of == s) && (u.serial == 0 || token.Serial(u.serial) == s)
}

func (u *unlocking) notAttached(of []seal.Recipient, failed error) error {
	if u.of != 0 {
		return problemf(exitNotFound, "who opens the sealing key was changed, and key %s is not attached", u.of).hint("attach it, or start this program again")
	}
	names := strings.Join(serialsOf(of), " or ")
	if u.serial != 0 {
		names = fmt.Sprint(u.serial)
	}
	p := problemf(exitNotFound, "the sealing key opens only with a YubiKey that is not attached: %s", names).hint("plug it in")
	if p.cause = seal.ErrWrapped; failed != nil {
		p = p.hint("not opened: %s", explain(failed).line)
	}
	return p
}

func serialsOf(list []seal.Recipient) []string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = fmt.Sprint(r.Serial)
	}
	return out
}

// enterPIN verifies the PIN of the key that opens the store: typed once, or from a file. Each PIN is tried once. From a file only while every try
// is there: a service that starts again and again with a wrong one uses up one try, not all.
func (a *app) enterPIN(ctx context.Context, card piv.Card, f piv.Facts) error {
	u := &a.unlocking
	total := f.PIN.Total
	if total == 0 {
		total = oldTries
	}
	switch {
	case f.PIN.Blocked():
		return problemf(exitRefused, "the PIN of key %s is blocked", f.Serial).
			hint("by another key of the store: tokendesk piv unblock --serial %s; or: ykman piv access unblock-pin", f.Serial)
	case u.refused:
		return problemf(exitRefused, "key %s refused the PIN before; it is not tried again", f.Serial).hint("start this program again with the right one")
	case u.pinFile != "" && f.PIN.Left < total:
		return problemf(exitRefused, "a wrong PIN of key %s was tried before: %d of %d tries are left, and the one in %s is not tried", f.Serial, f.PIN.Left, total, printable(u.pinFile)).
			hint("put the right one into that file, and prove it once by typing it, without --unlock-pin-file: tokendesk store unlock test")
	}
	if u.pin.Len() == 0 {
		if err := a.askPIN(ctx, f); err != nil {
			return err
		}
	}
	if isNew := piv.DefaultPIN(); f.PIN.Default == piv.Yes && !u.pin.Equal(isNew) { // it would be a wrong one
		u.forget()
		return problemf(exitRefused, "key %s has the PIN of a new key now, as when setting it up was broken off; no other was tried", f.Serial).
			hint("enter that PIN, and go on: tokendesk piv init --serial %s --new-pin-file -", f.Serial)
	}
	if err := piv.Possible(token.PIVPIN, u.pin); err != nil {
		u.forget()
		return err
	}
	if f.PIN.Left == 1 {
		if err := a.confirm(ctx, false, fmt.Sprintf("use the last try for the PIN of key %s; a wrong one blocks it", f.Serial)); err != nil {
			u.forget()
			return err
		}
	}
	err := card.VerifyPIN(ctx, u.pin)
	u.of = f.Serial
	var wrong *piv.PINError
	if errors.As(err, &wrong) {
		u.refused = true
		u.forget()
		return problemf(exitRefused, "key %s: %s", f.Serial, wrong).hint("nothing else was tried; start this program again with the right one")
	}
	return err
}

// askPIN fills in the PIN.
func (a *app) askPIN(ctx context.Context, f piv.Facts) (err error) {
	u := &a.unlocking
	switch {
	case u.pinFile != "":
		st, err := os.Stat(u.pinFile)
		if err == nil && !fileMode600(st) {
			return problemf(exitRefused, "the file of the PIN, %s, is open to others (mode %04o)", printable(u.pinFile), st.Mode().Perm()).hint("chmod 600 %s", printable(u.pinFile))
		}
		u.pin, err = a.sharedSecret(ctx, u.pinFile, "PIN")
		return err
	case !a.stdinTTY || u.asked:
		p := problemf(exitRefused, "key %s opens the sealing key, and nobody can be asked for its PIN", f.Serial).hint("name a file that holds it: --unlock-pin-file FILE")
		p.cause = seal.ErrWrapped
		return p
	}
	u.asked = true
	u.pin, err = a.sharedSecret(ctx, "-", fmt.Sprintf("PIN of key %s, which opens the store", f.Serial))
	return err
}

// forget clears the PIN.
func (u *unlocking) forget() {
	u.pin.Destroy()
	u.pin = secret.Bytes{}
}
