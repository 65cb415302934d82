package token

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// EscrowKind says what an escrowed secret is for.
type EscrowKind string

// The secrets of a YubiKey that the store keeps apart from credentials: each guards an application of the key, and without it that
// application can only be reset.
const (
	LockCode         EscrowKind = "lock-code"          // 16 bytes; guards the settings of applications
	OATHPassword     EscrowKind = "oath-password"      // text; guards the OATH application
	PIVPIN           EscrowKind = "piv-pin"            // text of 6 to 8 characters
	PIVPUK           EscrowKind = "piv-puk"            // text of 6 to 8 characters
	PIVManagementKey EscrowKind = "piv-management-key" // 16, 24 or 32 bytes; the algorithm is said by the key itself
)

// escrowSizes are the least and the most bytes of each kind, and the step between. Source: reference yubikey-otp.md §6.2, §7.2, §8.
var escrowSizes = map[EscrowKind]struct{ least, most, step int }{
	LockCode: {16, 16, 1}, OATHPassword: {1, 256, 1}, PIVPIN: {6, 8, 1}, PIVPUK: {6, 8, 1}, PIVManagementKey: {16, 32, 8},
}

// EscrowKinds are all kinds, in the order in which they are shown.
func EscrowKinds() []EscrowKind {
	return []EscrowKind{LockCode, OATHPassword, PIVPIN, PIVPUK, PIVManagementKey}
}

// Check is an error for a secret that no key takes for that kind: of another length, or of nothing but zero bytes.
func (k EscrowKind) Check(s secret.Bytes) error {
	size, known := escrowSizes[k]
	switch n := s.Len(); {
	case !known:
		return fmt.Errorf("no secret is called %q", string(k))
	case n < size.least, n > size.most, (n-size.least)%size.step != 0:
		return fmt.Errorf("a %s has %d to %d bytes", k, size.least, size.most)
	case s.IsZero():
		return errors.New("a secret of zero bytes guards nothing")
	}
	return nil
}

// EscrowID names an escrowed secret in one store; 0 names none.
type EscrowID int64

// Escrow is a secret that guards, or may guard, an application of a YubiKey. The holder destroys it.
type Escrow struct {
	ID      EscrowID
	What    EscrowKind
	Held    bool // the key was seen to have it; otherwise it was on its way there
	Secret  secret.Bytes
	Created time.Time
}
