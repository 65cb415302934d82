// Package piv sets up the PIV application of a YubiKey: PIN, PUK and management key, keys that the card generates, their
// certificates, and the proof that they were made there. It decides; package pivhw talks to the card.
//
//	r := piv.Runner{Escrow: store, Rand: rand.Reader, Now: time.Now}
//	plan, err := r.Plan(ctx, card, piv.Want{})        // reads the card and the store, changes nothing
//	done, err := r.Init(ctx, card, plan)              // random PIN, PUK and management key, each in the store before it is on the card
//	public, err := r.Generate(ctx, card, piv.GenerateSpec{Slot: piv.Authentication})
//	request, err := r.Request(ctx, card, piv.CertificateSpec{Slot: piv.Authentication, Subject: subject})
//
// Three rules hold for everything here. A secret is durable in the escrow before the first byte of it goes to the card; a run that was
// interrupted anywhere is finished by running it again, with the same secrets. A PIN or PUK is tried once, never again
// after it was refused, and not at all while one try is left unless the operator said so. What is on the card and not ours
// stays there unless the operator said otherwise.
//
// Not done here: PIV over NFC by pairing codes, biometric policies, certificates of more than 3 KB.
//
// Sources: NIST SP 800-73-4 parts 1 and 2; Yubico's PIV extensions; reference yubikey-otp.md §8.
package piv

import (
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// What callers branch on, beside *PINError, *LastTryError, *UnsupportedError, *OccupiedError and the carrier's errors.
var (
	// ErrNoApplet: the key's PIV application is switched off here, or the key has none.
	ErrNoApplet = errors.New("the key's PIV application is switched off here, or the key has none")
	// ErrManagementKey: the card does not take the management key. Nothing is counted.
	ErrManagementKey = errors.New("the card does not take the management key")
	// ErrManagementUnknown: neither the store nor the operator has the management key that the card takes.
	ErrManagementUnknown = errors.New("no management key that is known opens the card")
	// ErrPINUnknown: neither the store nor the operator has the PIN, and nothing is guessed.
	ErrPINUnknown = errors.New("the PIN of the card is not known")
	// ErrPUKUnknown is the same of the PUK.
	ErrPUKUnknown = errors.New("the PUK of the card is not known")
	// ErrNoKey: the slot has no key, or none that the card can name.
	ErrNoKey = errors.New("there is no key in the slot")
	// ErrNotVerified: the card wants the PIN first, or the key was not touched in time.
	ErrNotVerified = errors.New("the card wants the PIN first, or a touch that did not come")
	// ErrOtherCard: the card is not the one that the plan was made for.
	ErrOtherCard = errors.New("another key is there")
	// ErrNoSerial: the key does not tell its serial number, under which the store keeps what belongs to it.
	ErrNoSerial = errors.New("the key does not tell its serial number")
	// ErrOtherKey: a certificate is for another key than the one in the slot.
	ErrOtherKey = errors.New("the certificate is for another key")
	// ErrForeign: the card was set up by somebody else.
	ErrForeign = errors.New("the card was set up elsewhere")
	// ErrNotGenuine is wrapped by every reason why an attestation does not prove anything.
	ErrNotGenuine = errors.New("the attestation does not prove a genuine key")
	// ErrProtocol: an answer that does not follow the protocol.
	ErrProtocol = errors.New("unexpected answer from the PIV application")
	// ErrPIN: a PIN or PUK that no card takes, or that the rules refuse. The text says why, without the PIN.
	ErrPIN = errors.New("not usable as a PIN")
)

// PINError: the card refused a PIN or PUK, and counted it. Left 0: it is blocked.
type PINError struct {
	What token.EscrowKind // token.PIVPIN or token.PIVPUK
	Left int
}

// Error says how many tries are left.
func (e *PINError) Error() string {
	switch e.Left {
	case 0:
		return fmt.Sprintf("the %s is blocked", pinName(e.What))
	case 1:
		return fmt.Sprintf("wrong %s: one try left", pinName(e.What))
	}
	return fmt.Sprintf("wrong %s: %d tries left", pinName(e.What), e.Left)
}

// LastTryError: one try is left, and the operator did not say that it may be used. Nothing was tried.
type LastTryError struct{ What token.EscrowKind }

// Error says what was not done.
func (e *LastTryError) Error() string {
	return fmt.Sprintf("one try is left for the %s, and it was not used", pinName(e.What))
}

func pinName(what token.EscrowKind) string {
	if what == token.PIVPUK {
		return "PUK"
	}
	return "PIN"
}

// UnsupportedError: the firmware cannot do it. Nothing was sent.
type UnsupportedError struct {
	What       string
	Has, Since ykslot.Version // Since zero: no firmware can
}

// Error names the firmware that can.
func (e *UnsupportedError) Error() string {
	if e.Since == (ykslot.Version{}) {
		return fmt.Sprintf("%s: firmware %v cannot", e.What, e.Has)
	}
	return fmt.Sprintf("%s needs firmware %v, the key has %v", e.What, e.Since, e.Has)
}

// OccupiedError: the slot holds a key or a certificate that would be lost.
type OccupiedError struct {
	Slot             Slot
	Key, Certificate bool
}

// Error names the slot and what is in it.
func (e *OccupiedError) Error() string {
	what := "a key and a certificate"
	switch {
	case !e.Certificate:
		what = "a key"
	case !e.Key:
		what = "a certificate"
	}
	return fmt.Sprintf("slot %v holds %s", e.Slot, what)
}
