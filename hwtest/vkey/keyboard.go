package vkey

import (
	"strings"

	"github.com/tokendesk/tokendesk/usbhid"
)

// usLayout is what usage codes 04 to 38 type on a US keyboard, plain and with Shift (reference yubikey-otp.md §3.7).
// 31 and 32 are one key, once on ANSI and once on ISO keyboards.
const (
	usFirst   = 0x04
	usPlain   = "abcdefghijklmnopqrstuvwxyz1234567890\n\x1b\b\t -=[]\\\\;'`,./"
	usShifted = "ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\n\x1b\b\t _+{}||:\"~<>?"
)

// Text reads keyboard reports as a US keyboard shows them: press reports give a character, release reports nothing, an
// unknown key U+FFFD.
func Text(reports []usbhid.Report) string {
	var b strings.Builder
	for _, r := range reports {
		if r[2] == 0 {
			continue
		}
		layout := usPlain
		if r[0]&leftShift != 0 {
			layout = usShifted
		}
		switch i := int(r[2]) - usFirst; {
		case i >= 0 && i < len(layout):
			b.WriteByte(layout[i])
		case r[2] == keypad0:
			b.WriteByte('0')
		case r[2] >= keypad1 && r[2] < keypad0:
			b.WriteByte('1' + r[2] - keypad1)
		default:
			b.WriteRune('\ufffd')
		}
	}
	return b.String()
}
