package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// unlockSlot is the slot whose key opens a sealing key.
const unlockSlot = piv.KeyManagement

// newUnlock are the flags of commands that prepare a YubiKey to open the sealing key.
type newUnlock struct {
	serial     uint32
	pinFile    string
	management string // file
	yes        bool
}

func (o *newUnlock) flags(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	serialFlag(cmd, a, &o.serial)
	f.StringVar(&o.pinFile, "pin-file", "", "file with that key's PIN, when nobody can be asked; a new key gets it")
	f.StringVar(&o.management, "management-key-file", "", "file with that key's management key in hexadecimal, when it is not that of a new key or the store's; - asks for it")
	f.BoolVar(&o.yes, "yes", false, "do not ask whether slot 9d is empty where the key's firmware, before 5.3, does not tell")
}

// noEscrow is the escrow of a store that is not there yet.
type noEscrow struct{}

func (noEscrow) KeepEscrow(context.Context, token.Serial, token.EscrowKind, secret.Bytes) (token.EscrowID, error) {
	return 0, errors.New("there is no store yet")
}

func (noEscrow) Escrows(context.Context, token.Serial, token.EscrowKind) ([]token.Escrow, error) {
	return nil, nil
}

func (noEscrow) SettleEscrow(context.Context, token.Serial, token.EscrowKind, token.EscrowID) error {
	return nil
}

func (noEscrow) ForgetEscrow(context.Context, token.Serial, token.EscrowKind, token.EscrowID) error {
	return nil
}

// prepareUnlock makes a YubiKey ready to open the sealing key, and proves by one ECDH that it does: a key of P-256 in slot 9D, generated on it,
// which is used as it is if it is there, and a PIN that is not that of a new key. refuse looks at the serial number before anything is done.
func (a *app) prepareUnlock(ctx context.Context, o newUnlock, escrow piv.Escrow, refuse func(token.Serial) error) (seal.Recipient, error) {
	none := seal.Recipient{}
	management, err := a.hexSecret(ctx, o.management, "Management key of the key, in hexadecimal")
	if err != nil {
		return none, err
	}
	defer management.Destroy()
	card, f, err := a.choosePIV(ctx, token.Serial(o.serial))
	if err != nil {
		return none, err
	}
	defer func() { _ = card.Close() }() // what counts is done
	if f.Serial == 0 {
		return none, problemf(exitRefused, "the key does not tell its serial number, and could not be found again")
	}
	if err := refuse(f.Serial); err != nil {
		return none, err
	}
	pin, err := a.newUnlockPIN(ctx, o, f)
	if err != nil {
		return none, err
	}
	defer pin.Destroy()
	isNew := piv.DefaultPIN()
	defer isNew.Destroy()
	if pin.Equal(isNew) {
		return none, problemf(exitRefused, "this is the PIN of every new key").hint("set another: ykman piv access change-pin")
	}
	r := &piv.Runner{Escrow: escrow, Rand: a.rand, Now: a.now, Touch: a.touchNow(f)}
	public, err := a.unlockPublic(ctx, r, card, f, piv.Given{Management: management}, o.yes)
	if err != nil {
		return none, err
	}
	point, err := public.ECDH()
	if err != nil {
		return none, err
	}
	if err := a.setUnlockPIN(ctx, card, f, pin); err != nil {
		return none, err
	}
	if f.Slot(unlockSlot).Touch > piv.TouchNever {
		a.say("the key in slot %v wants a touch: each command and server that starts waits 15 seconds for it", unlockSlot)
		r.Touch(unlockSlot)
	}
	key, err := card.Exchanger(ctx, unlockSlot, public)
	if err != nil {
		return none, err
	}
	out := seal.Recipient{Serial: uint32(f.Serial), Slot: byte(unlockSlot), Public: point}
	if err := out.Prove(key, a.rand); err != nil {
		return none, fmt.Errorf("slot %v of key %s: %w", unlockSlot, f.Serial, err)
	}
	if f.PUK.Default == piv.Yes || f.Management.Default == piv.Yes {
		a.say("key %s still has the PUK or management key of a new one, which everybody knows: who has the key can set another PIN", f.Serial)
		a.say("  set and keep others in the store: tokendesk piv init --serial %s --pin-file - --new-pin-file -", f.Serial)
	}
	return out, nil
}

// unlockPublic is the key in the slot, generated if there is none.
func (a *app) unlockPublic(ctx context.Context, r *piv.Runner, card piv.Card, f piv.Facts, g piv.Given, yes bool) (*ecdsa.PublicKey, error) {
	have := f.Slot(unlockSlot)
	if have.Public == nil && have.Key != piv.No {
		cert, err := card.Attest(ctx, unlockSlot)
		var old *piv.UnsupportedError
		if err != nil && !errors.Is(err, piv.ErrNoKey) && !errors.As(err, &old) {
			return nil, err
		}
		if err == nil {
			have.Key, have.Generated, have.Public = piv.Yes, piv.Yes, cert.PublicKey
		}
	}
	public := have.Public
	switch {
	case have.Key == piv.Yes && (have.Generated != piv.Yes || !isP256(public)):
		return nil, problemf(exitRefused, "slot %v of key %s holds a key that was not generated on it, or is not of P-256", unlockSlot, f.Serial).
			hint("nothing is overwritten: use another key, or empty this one: tokendesk piv reset")
	case have.Key == piv.Yes && have.PIN == piv.PINNever:
		return nil, problemf(exitRefused, "the key in slot %v of key %s needs no PIN: whoever has it could open the store", unlockSlot, f.Serial).
			hint("nothing is overwritten: use another key, or empty this one: tokendesk piv reset")
	case have.Key == piv.Yes:
		a.say("slot %v of key %s holds a key already, which is used", unlockSlot, f.Serial)
		return public.(*ecdsa.PublicKey), nil
	case have.Key == piv.Unknown && !have.Object: // what Generate would not see either
		const ask = "generate a key in slot %v of key %s: its firmware %v does not tell whether one is there, such as another store's, which would be lost"
		if err := a.confirm(ctx, yes, fmt.Sprintf(ask, unlockSlot, f.Serial, f.Version)); err != nil {
			return nil, err
		}
	}
	made, err := r.Generate(ctx, card, piv.GenerateSpec{Slot: unlockSlot, Key: piv.KeySpec{Algorithm: piv.P256, PIN: piv.PINOnce, Touch: piv.TouchNever}, Given: g})
	if err != nil {
		return nil, err
	}
	if !isP256(made) {
		return nil, fmt.Errorf("slot %v of key %s: %w", unlockSlot, f.Serial, piv.ErrProtocol)
	}
	return made.(*ecdsa.PublicKey), nil
}

func isP256(k crypto.PublicKey) bool {
	public, ok := k.(*ecdsa.PublicKey)
	return ok && public.Curve == elliptic.P256()
}

// newUnlockPIN is the PIN that the operator gives for a key that is prepared. One that still has the PIN of a new key gets this one, so it is
// typed twice.
func (a *app) newUnlockPIN(ctx context.Context, o newUnlock, f piv.Facts) (secret.Bytes, error) {
	if f.PIN.Blocked() {
		return secret.Bytes{}, &piv.PINError{What: token.PIVPIN}
	}
	from := o.pinFile
	if from == "" {
		if !a.stdinTTY {
			return secret.Bytes{}, problemf(exitRefused, "the PIN of key %s is needed, and nobody can be asked", f.Serial).hint("name a file that holds it: --pin-file FILE")
		}
		from = "-"
	}
	if f.PIN.Default != piv.Yes {
		return a.sharedSecret(ctx, from, fmt.Sprintf("PIN of key %s", f.Serial))
	}
	return a.newSecret(ctx, from, fmt.Sprintf("New PIN of key %s, 6 to 8 characters", f.Serial), piv.CheckPIN)
}

// setUnlockPIN has the PIN verified, once, or takes it in place of that of a new key.
func (a *app) setUnlockPIN(ctx context.Context, card piv.Card, f piv.Facts, pin secret.Bytes) error {
	if f.PIN.Default != piv.Yes {
		return piv.VerifyPIN(ctx, card, pin, false)
	}
	isNew := piv.DefaultPIN()
	defer isNew.Destroy()
	if err := card.ChangePIN(ctx, isNew, pin); err != nil {
		return err
	}
	a.say("key %s has the PIN now that was given", f.Serial)
	return card.VerifyPIN(ctx, pin)
}
