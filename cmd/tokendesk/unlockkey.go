package main

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"
	"os"
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
	if public := f.Slot(piv.Slot(r.Slot)).Public; public != nil && !piv.SameKey(public, ecdsaOf(r.Public)) {
		return otherKeyProblem(r)
	}
	if err := a.enterPIN(ctx, card, f); err != nil {
		return err
	}
	key, err := card.Exchanger(ctx, piv.Slot(r.Slot), ecdsaOf(r.Public))
	if err != nil {
		return err
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

// unlockingCard holds the PIV application of the first recipient that is attached.
func (a *app) unlockingCard(ctx context.Context, of []seal.Recipient) (piv.Card, piv.Facts, seal.Recipient, error) {
	none := func(err error) (piv.Card, piv.Facts, seal.Recipient, error) {
		return nil, piv.Facts{}, seal.Recipient{}, err
	}
	if a.unlocking.silent {
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
	var failed error
	for _, at := range all {
		if !a.reaches(viaCCID, at) {
			continue
		}
		card, f, err := openFacts(ctx, b, at)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, r := range of {
			if token.Serial(r.Serial) == f.Serial && (a.unlocking.of == 0 || a.unlocking.of == f.Serial) { // another's PIN is not known
				return card, f, r, nil
			}
		}
		_ = card.Close() // it was only asked for its serial number
	}
	if ctx.Err() != nil {
		return none(ctx.Err())
	}
	if s := a.unlocking.of; s != 0 {
		return none(problemf(exitNotFound, "who opens the sealing key was changed, and key %s is not attached", s).hint("attach it, or start this program again"))
	}
	p := problemf(exitNotFound, "the sealing key opens only with a YubiKey that is not attached: %s", strings.Join(serialsOf(of), " or ")).
		hint("plug it in")
	p.cause = seal.ErrWrapped
	if failed != nil {
		p = p.hint("not opened: %s", explain(failed).line)
	}
	return none(p)
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
