package main

import (
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// forms are the names of the shapes of firmware 5, without and with NFC, by the number of the shape. Source: reference yubikey-otp.md §7.2.
var forms = [...]struct{ plain, nfc string }{
	{"YubiKey 5", "YubiKey 5 NFC"}, {"YubiKey 5A", "YubiKey 5 NFC"}, {"YubiKey 5 Nano", "YubiKey 5 Nano"}, {"YubiKey 5C", "YubiKey 5C NFC"},
	{"YubiKey 5C Nano", "YubiKey 5C Nano"}, {"YubiKey 5Ci", "YubiKey 5Ci"}, {"YubiKey Bio", "YubiKey Bio"}, {"YubiKey C Bio", "YubiKey C Bio"},
}

// modelName is what a key is sold as, as far as it tells: by firmware, shape, and whether it has NFC.
func modelName(v ykslot.Version, info ykslot.DeviceInfo, m usbhid.Model) string {
	shape := int(info.FormFactor)
	switch {
	case info.SecurityKey, m.Family == usbhid.FamilySecurityKey:
		return securityKeyName(info)
	case m.Family == usbhid.FamilyPlus:
		return "YubiKey Plus"
	case v.Major >= 5:
		name := "YubiKey 5"
		if shape < len(forms) {
			name = forms[shape].plain
			if info.NFCSupported != 0 {
				name = forms[shape].nfc
			}
		}
		if info.FIPS {
			name += " FIPS"
		}
		return name
	case v.Major == 4 && v.Minor == 4: // sold as FIPS only
		return "YubiKey" + map[int]string{2: " Nano", 3: " C", 4: " C Nano"}[shape] + " FIPS"
	case v.Major == 4:
		return "YubiKey 4" + map[int]string{2: " Nano", 3: "C", 4: "C Nano"}[shape]
	case v.Major == 3:
		return "YubiKey NEO"
	}
	return "YubiKey " + map[uint8]string{1: "1", 2: "2"}[v.Major]
}

func securityKeyName(info ykslot.DeviceInfo) string {
	name := "Security Key"
	if info.FormFactor == 3 {
		name += " C"
	}
	if info.NFCSupported != 0 {
		name += " NFC"
	}
	return name
}
