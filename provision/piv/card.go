package piv

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/x509"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Card is the PIV application of one key, held until it is closed; pivhw.Card is one. It belongs to one goroutine. Nothing in it tries a
// PIN or PUK by itself: each method that takes one sends it once, and no other sends any. Where ctx ends while the card works, the
// outcome is unknown and the card can only be closed. Errors wrap those of this package, of usbhid and of pcsc.
type Card interface {
	Reader
	Credentials
	Keys
	// Close gives the card back, with the PIN forgotten. It may be called more than once.
	Close() error
}

// Reader reads what needs neither PIN nor management key.
type Reader interface {
	// Facts reads everything at once. A PIN that was verified is not any more.
	Facts(ctx context.Context) (Facts, error)
	// PINTries is how many tries the PIN has left; it costs none.
	PINTries(ctx context.Context) (int, error)
	// Attest is the card's certificate for a key that was generated in the slot, signed with the key of slot F9. Errors
	// wrap ErrNoKey (none, or an imported one) or are an *UnsupportedError (before firmware 4.3).
	Attest(ctx context.Context, s Slot) (*x509.Certificate, error)
}

// Credentials guards the card. A refused PIN or PUK is a *PINError, a refused management key wraps ErrManagementKey.
type Credentials interface {
	// VerifyPIN tries the PIN, once. It holds until Facts, Reset, DeleteKey or PutObject is called, or the card is closed; for a
	// key of policy always it holds for the one use right after it.
	VerifyPIN(ctx context.Context, pin secret.Bytes) error
	// ChangePIN replaces the PIN. A wrong one costs a try.
	ChangePIN(ctx context.Context, old, fresh secret.Bytes) error
	// ChangePUK replaces the PUK. A wrong one costs a try of the PUK.
	ChangePUK(ctx context.Context, old, fresh secret.Bytes) error
	// Unblock sets a PIN by the PUK, and gives it all its tries back. A wrong PUK costs a try of the PUK.
	Unblock(ctx context.Context, puk, fresh secret.Bytes) error
	// Authenticate tries a management key, which is not counted. It leaves nothing behind.
	Authenticate(ctx context.Context, management secret.Bytes) error
	// SetManagementKey replaces the management key; 16, 24 or 32 bytes are AES, before firmware 5.4 24 bytes are 3DES.
	SetManagementKey(ctx context.Context, old, fresh secret.Bytes) error
	// SetRetries sets how often a wrong PIN and PUK may be tried, 1 to 255. It sets PIN and PUK to 123456 and 12345678.
	SetRetries(ctx context.Context, management, pin secret.Bytes, pinTries, pukTries int) error
	// Reset blocks PIN and PUK by wrong ones and then wipes the application: every key and certificate, and the three secrets are what
	// they were new. Interrupted, it leaves a PIN or PUK blocked, and is to be called again.
	Reset(ctx context.Context) error
}

// Keys uses and changes keys and what belongs to them.
type Keys interface {
	// Generate makes a key in the slot, whatever was there. k is complete (KeySpec.In).
	Generate(ctx context.Context, management secret.Bytes, s Slot, k KeySpec) (crypto.PublicKey, error)
	// DeleteKey removes the key, not its certificate. Before firmware 5.7 an *UnsupportedError.
	DeleteKey(ctx context.Context, management secret.Bytes, s Slot) error
	// SetCertificate stores a certificate, whatever was there; nil removes it.
	SetCertificate(ctx context.Context, management secret.Bytes, s Slot, c *x509.Certificate) error
	// PutObject stores a data object, the value of its tag 53; empty removes it.
	PutObject(ctx context.Context, management secret.Bytes, o Object, value []byte) error
	// Signer is the key in the slot; public is its public key, from Facts, Generate or an attestation. Getting it sends nothing
	// that a verified PIN does not outlast, and verifying the PIN before Sign is the caller's. ctx bounds every use. Not for X25519.
	Signer(ctx context.Context, s Slot, public crypto.PublicKey) (crypto.Signer, error)
	// Exchanger is the same for agreeing on keys: P-256, P-384 and X25519. It is what crypto/hpke takes as a private key.
	Exchanger(ctx context.Context, s Slot, public crypto.PublicKey) (ecdh.KeyExchanger, error)
}

// Answer is what is known about a yes or no.
type Answer uint8

// Answers.
const (
	Unknown Answer = iota
	No
	Yes
)

// Facts is what a card tells without PIN and management key.
type Facts struct {
	Serial     token.Serial // 0: it does not tell
	Version    ykslot.Version
	PIN, PUK   Reference
	Management Management
	// Keys are the slots that hold a key or a certificate, without F9, in the order of Slots. Before firmware 5.3 an
	// imported key without a certificate cannot be seen.
	Keys []KeyFacts
	// Maker is the certificate in F9, nil without one that can be read.
	Maker *x509.Certificate
	// CHUID and CCC say whether these objects are there.
	CHUID, CCC bool
	// OnCard: another program keeps the management key on the card, behind the PIN (ykman's --protect), or derives it from the PIN.
	OnCard bool
}

// Reference is PIN or PUK.
type Reference struct {
	Left    int // tries; -1: not told (the PUK's before firmware 5.3)
	Total   int // 0: not told (before firmware 5.3)
	Default Answer
}

// Blocked reports whether no try is left.
func (r Reference) Blocked() bool { return r.Left == 0 }

// Management is the management key.
type Management struct {
	Algorithm ManagementAlgorithm
	Default   Answer
	Touch     bool // wants to be touched for it
}

// ManagementAlgorithm is the cipher of the management key, by the number that cards use.
type ManagementAlgorithm byte

// The ciphers. Source: NIST SP 800-78-4 table 6-2, reference yubikey-otp.md §8.
const (
	TripleDES ManagementAlgorithm = 0x03
	AES128    ManagementAlgorithm = 0x08
	AES192    ManagementAlgorithm = 0x0A
	AES256    ManagementAlgorithm = 0x0C
)

// String is such as "AES-192".
func (a ManagementAlgorithm) String() string {
	switch a {
	case TripleDES:
		return "3DES"
	case AES128:
		return "AES-128"
	case AES192:
		return "AES-192"
	case AES256:
		return "AES-256"
	}
	return "unknown"
}

// Len is how many bytes its keys have; 0 for an unknown one.
func (a ManagementAlgorithm) Len() int {
	switch a {
	case TripleDES, AES192:
		return 24
	case AES128:
		return 16
	case AES256:
		return 32
	}
	return 0
}

// KeyFacts is one slot.
type KeyFacts struct {
	Slot Slot
	// Key says whether there is a key. What follows is told by firmware 5.3, or is of a generated key's attestation; 0 and nil otherwise.
	Key       Answer
	Algorithm Algorithm
	PIN       PINPolicy
	Touch     TouchPolicy
	Generated Answer // on this card
	Public    crypto.PublicKey
	// Object says whether there is something where the certificate belongs; Certificate is nil if it is not one.
	Object      bool
	Certificate *x509.Certificate
}

// Slot is what is in a slot; the zero KeyFacts with that slot and Key Unknown or No if nothing was seen.
func (f Facts) Slot(s Slot) KeyFacts {
	for _, k := range f.Keys {
		if k.Slot == s {
			return k
		}
	}
	none := KeyFacts{Slot: s}
	if f.Metadata() {
		none.Key = No
	}
	return none
}

// Metadata reports whether the firmware tells defaults, tries and keys by itself. Source: reference yubikey-otp.md §8.
func (f Facts) Metadata() bool { return f.Version.AtLeast(5, 3, 0) }
