package usbhid

import (
	"fmt"
	"strings"
)

// VendorID is Yubico's USB vendor ID, the same for every key. Source: reference yubikey-otp.md §1.1.
const VendorID = 0x1050

// Interfaces is the set of USB interfaces a key shows. For product IDs 04xx it equals the ID's low three bits.
// Source: reference yubikey-otp.md §1.1.
type Interfaces uint8

// The interfaces. FIDO stands for U2F too, which is what NEO and YubiKey Plus call it.
const (
	OTP  Interfaces = 1 << 0
	FIDO Interfaces = 1 << 1
	CCID Interfaces = 1 << 2
)

// Has reports whether every interface of want is in the set.
func (i Interfaces) Has(want Interfaces) bool { return i&want == want }

// String is such as "OTP+FIDO+CCID"; "none" for the empty set.
func (i Interfaces) String() string {
	var names []string
	for _, n := range [...]struct {
		bit  Interfaces
		name string
	}{{OTP, "OTP"}, {FIDO, "FIDO"}, {CCID, "CCID"}} {
		if i.Has(n.bit) {
			names = append(names, n.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "+")
}

// Family is the line of products a product ID belongs to. It does not tell a YubiKey 4 from a 5: both use 04xx, and the
// generation comes from the firmware version (reference yubikey-otp.md §1.1).
type Family uint8

// The families of reference yubikey-otp.md §1.1; the zero value is a product that is not in the table.
const (
	FamilyUnknown Family = iota
	FamilyStandard
	FamilyNEO
	FamilySecurityKey
	FamilyYubiKey
	FamilyPlus
)

// String is the family's name for people.
func (f Family) String() string {
	switch f {
	case FamilyUnknown:
		return "unknown"
	case FamilyStandard:
		return "YubiKey 1/2"
	case FamilyNEO:
		return "YubiKey NEO"
	case FamilySecurityKey:
		return "Security Key"
	case FamilyYubiKey:
		return "YubiKey 4/5"
	case FamilyPlus:
		return "YubiKey Plus"
	}
	return fmt.Sprintf("Family(%d)", uint8(f))
}

// Model is one row of the product table: a product ID and what it promises. Switching interfaces on or off changes the
// product ID, so a model names a state of a key, not the key.
type Model struct {
	ProductID  uint16
	Family     Family
	Interfaces Interfaces
}

// models is the table of reference yubikey-otp.md §1.1, in order of product ID.
var models = [...]Model{
	{0x0010, FamilyStandard, OTP},
	{0x0110, FamilyNEO, OTP},
	{0x0111, FamilyNEO, OTP | CCID},
	{0x0112, FamilyNEO, CCID},
	{0x0113, FamilyNEO, FIDO},
	{0x0114, FamilyNEO, OTP | FIDO},
	{0x0115, FamilyNEO, FIDO | CCID},
	{0x0116, FamilyNEO, OTP | FIDO | CCID},
	{0x0120, FamilySecurityKey, FIDO},
	{0x0401, FamilyYubiKey, OTP},
	{0x0402, FamilyYubiKey, FIDO},
	{0x0403, FamilyYubiKey, OTP | FIDO},
	{0x0404, FamilyYubiKey, CCID},
	{0x0405, FamilyYubiKey, OTP | CCID},
	{0x0406, FamilyYubiKey, FIDO | CCID},
	{0x0407, FamilyYubiKey, OTP | FIDO | CCID},
	{0x0410, FamilyPlus, OTP | FIDO},
}

// Models returns a copy of the product table, in order of product ID.
func Models() []Model { return append([]Model(nil), models[:]...) }

// ModelOf finds a product ID in the table. For an unknown one it returns a Model that holds only the ID, and false.
func ModelOf(productID uint16) (Model, bool) {
	for _, m := range models {
		if m.ProductID == productID {
			return m, true
		}
	}
	return Model{ProductID: productID}, false
}
