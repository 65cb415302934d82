package piv

import (
	"fmt"
	"strconv"
)

// Slot is a place for a key, by its key reference.
type Slot byte

// The slots. Source: NIST SP 800-73-4 part 1 §4.3, reference yubikey-otp.md §8.
const (
	Authentication     Slot = 0x9A
	Signature          Slot = 0x9C // wants the PIN before each use, unless told otherwise
	KeyManagement      Slot = 0x9D
	CardAuthentication Slot = 0x9E // wants no PIN, unless told otherwise
	FirstRetired       Slot = 0x82
	LastRetired        Slot = 0x95
	Attestation        Slot = 0xF9 // the maker's key that signs attestations
	// ManagementReference is no slot, but the management key's reference: Runner.Touch is told it.
	ManagementReference Slot = 0x9B
)

// Slots are all that a key can be generated in, in the order in which they are shown.
func Slots() []Slot {
	all := []Slot{Authentication, Signature, KeyManagement, CardAuthentication}
	for s := FirstRetired; s <= LastRetired; s++ {
		all = append(all, s)
	}
	return all
}

// ParseSlot reads two hexadecimal digits of a slot that a key can be generated in, in either case.
func ParseSlot(text string) (Slot, error) {
	n, err := strconv.ParseUint(text, 16, 8)
	s := Slot(n)
	if err != nil || len(text) != 2 || s.Object() == 0 || s == Attestation {
		return 0, fmt.Errorf("there is no slot %q: there are 9a, 9c, 9d, 9e and 82 to 95", text)
	}
	return s, nil
}

// String is such as "9a".
func (s Slot) String() string { return fmt.Sprintf("%02x", byte(s)) }

// Name says what the slot is for.
func (s Slot) Name() string {
	switch s {
	case Authentication:
		return "authentication"
	case Signature:
		return "signature"
	case KeyManagement:
		return "key management"
	case CardAuthentication:
		return "card authentication"
	case Attestation:
		return "attestation"
	case ManagementReference:
		return "management key"
	}
	if s.Retired() {
		return fmt.Sprintf("retired %d", s-FirstRetired+1)
	}
	return "unknown"
}

// Retired reports whether it is one of the 20 slots for former keys of key management.
func (s Slot) Retired() bool { return s >= FirstRetired && s <= LastRetired }

// Object is the tag, 3 bytes big-endian, of the data object that holds the slot's certificate; 0 for what is no slot.
// Source: NIST SP 800-73-4 part 1 table 3, reference yubikey-otp.md §8.
func (s Slot) Object() Object {
	switch s {
	case Authentication:
		return 0x5FC105
	case Signature:
		return 0x5FC10A
	case KeyManagement:
		return 0x5FC10B
	case CardAuthentication:
		return 0x5FC101
	case Attestation:
		return 0x5FFF01
	}
	if s.Retired() {
		return 0x5FC10D + Object(s-FirstRetired)
	}
	return 0
}

// Object is the tag of a data object, 3 bytes big-endian.
type Object uint32

// The objects besides certificates. Source: NIST SP 800-73-4 part 1 table 3; yubico-piv-tool ykpiv.h (admin data).
const (
	CHUID     Object = 0x5FC102 // who the card is: Windows and macOS want one
	CCC       Object = 0x5FC107 // what the card can
	Printed   Object = 0x5FC109 // readable after the PIN; ykman keeps a management key in it
	AdminData Object = 0x5FFF00 // Yubico: how PIN, PUK and management key were set up
)
