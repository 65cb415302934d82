package pcsc

import (
	"bytes"
	"strings"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Key says whether a reader is a YubiKey, or has one held to it, and what its name promises. A key on USB is a reader by
// itself, whose name says which interfaces it has: "Yubico YubiKey OTP+FIDO+CCID 00 00". A reader of others that holds a key
// by NFC is known by the key's answer to reset, which spells its name (reference yubikey-otp.md §1.2); of such a key
// nothing but CCID is promised. Not ok: it is none.
func (r Reader) Key() (m usbhid.Model, ok bool) {
	name := strings.ToLower(r.Name)
	if strings.Contains(name, "yubikey") {
		return modelOf(name), true
	}
	return usbhid.Model{Interfaces: usbhid.CCID}, bytes.Contains(bytes.ToLower(r.ATR), []byte("yubike"))
}

// modelOf finds the row of the product table that a reader's name describes, in lower case. Source: reference
// yubikey-otp.md §1.1 (parse for the substrings).
func modelOf(name string) usbhid.Model {
	family, itf := usbhid.FamilyYubiKey, usbhid.CCID
	if strings.Contains(name, "neo") {
		family = usbhid.FamilyNEO
	}
	if strings.Contains(name, "otp") {
		itf |= usbhid.OTP
	}
	if strings.Contains(name, "fido") || strings.Contains(name, "u2f") {
		itf |= usbhid.FIDO
	}
	for _, m := range usbhid.Models() {
		if m.Family == family && m.Interfaces == itf {
			return m
		}
	}
	return usbhid.Model{Family: family, Interfaces: itf} // never: both families have every set with CCID
}
