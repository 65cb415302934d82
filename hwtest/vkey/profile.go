package vkey

import (
	"fmt"
	"strings"
)

// Version is a firmware version; each part is 0 to 9 (reference yubikey-otp.md §1.7: clients read single digits).
type Version struct{ Major, Minor, Build byte }

// String writes the version as 5.4.3.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Build) }

// Less orders versions.
func (v Version) Less(o Version) bool {
	if v.Major != o.Major {
		return v.Major < o.Major
	}
	if v.Minor != o.Minor {
		return v.Minor < o.Minor
	}
	return v.Build < o.Build
}

// Interface is a set of USB interfaces, with the bits of the PIDs 04xx (§1.1).
type Interface byte

// The interfaces of a YubiKey.
const (
	OTP  Interface = 1
	FIDO Interface = 2
	CCID Interface = 4
)

// Profile is a kind of YubiKey: firmware, interfaces, radio and what it does unlike others. Change one with With and its
// own fields.
type Profile struct {
	Version Version
	PID     uint16
	// NFC is whether the key has a radio, and with it NDEF records.
	NFC bool
	// FormFactor is tag 04 of device info (§7.2): 1 A-keychain, 3 C-keychain …
	FormFactor byte
	// Quirks are what §1.7 and §5 say of this firmware.
	Quirks Quirk
}

// The profiles: one of each firmware generation that behaves differently, as sold.
var (
	YubiKey24  = Profile{Version: Version{2, 4, 3}, PID: 0x0010}
	YubiKeyNEO = Profile{Version: Version{3, 4, 3}, PID: 0x0116, NFC: true}.withQuirks()
	YubiKey435 = Profile{Version: Version{4, 3, 5}, PID: 0x0407, FormFactor: 1}.withQuirks()
	YubiKey527 = Profile{Version: Version{5, 2, 7}, PID: 0x0407, FormFactor: 3}.withQuirks()
	YubiKey543 = Profile{Version: Version{5, 4, 3}, PID: 0x0407, NFC: true, FormFactor: 1}.withQuirks()
	YubiKey571 = Profile{Version: Version{5, 7, 1}, PID: 0x0407, NFC: true, FormFactor: 3}.withQuirks()
)

// Profiles returns all profiles, oldest firmware first.
func Profiles() []Profile {
	return []Profile{YubiKey24, YubiKeyNEO, YubiKey435, YubiKey527, YubiKey543, YubiKey571}
}

// At returns the profile with another firmware and its quirks.
func (p Profile) At(v Version) Profile {
	p.Version = v
	return p.withQuirks()
}

func (p Profile) withQuirks() Profile {
	p.Quirks = quirksOf(p.Version)
	return p
}

// WithPID returns the profile with another PID: 0401 is OTP only, 0402 FIDO only.
func (p Profile) WithPID(pid uint16) Profile {
	p.PID = pid
	return p
}

// Without returns the profile with interfaces switched off, which changes the PID. Only for firmware 3 and later.
func (p Profile) Without(off Interface) Profile {
	return p.WithPID(p.pidOf(Interfaces(p.PID) &^ off))
}

// pidOf is the PID of the profile's generation with these interfaces, §1.1.
func (p Profile) pidOf(i Interface) uint16 {
	if p.Version.Major == 3 {
		return neoPIDs[i]
	}
	return 0x0400 | uint16(i)
}

// neoPIDs are the NEO's, by its interfaces.
var neoPIDs = map[Interface]uint16{
	OTP: 0x0110, OTP | CCID: 0x0111, CCID: 0x0112, FIDO: 0x0113, OTP | FIDO: 0x0114, FIDO | CCID: 0x0115, OTP | FIDO | CCID: 0x0116,
}

// Interfaces returns what a key with the PID presents, by the table of §1.1; 0 for a PID that is not in it.
func Interfaces(pid uint16) Interface {
	switch pid {
	case 0x0010, 0x0110:
		return OTP
	case 0x0111:
		return OTP | CCID
	case 0x0112:
		return CCID
	case 0x0113, 0x0120:
		return FIDO
	case 0x0114, 0x0410:
		return OTP | FIDO
	case 0x0115:
		return FIDO | CCID
	case 0x0116:
		return OTP | FIDO | CCID
	}
	if pid >= 0x0401 && pid <= 0x0407 {
		return Interface(pid & 7)
	}
	return 0
}

// product is the USB product string, §1.1; the name of 2.x keys is as they were sold.
func (p Profile) product() string {
	if p.Version.Major < 3 {
		return "Yubico Yubikey II"
	}
	family, fido := "YubiKey ", "FIDO"
	if p.Version.Major == 3 {
		family, fido = "Yubikey NEO ", "U2F"
	}
	var names []string
	for _, i := range []struct {
		bit  Interface
		name string
	}{{OTP, "OTP"}, {FIDO, fido}, {CCID, "CCID"}} {
		if Interfaces(p.PID)&i.bit != 0 {
			names = append(names, i.name)
		}
	}
	return family + strings.Join(names, "+")
}
