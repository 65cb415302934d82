package vkey

import (
	"bytes"
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

// mapped is the characters of the scan map, in its order (§3.7).
const mapped = "cbdefghijklnrtuvCBDEFGHIJKLNRTUV0123456789!\t\n"

// Text reads keyboard reports as a host shows them whose layout the key's scan map was made for: a code of the map is its
// character there, any other is read as on a US keyboard.
func (k *Key) Text(reports []usbhid.Report) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var codes []byte
	for _, r := range reports {
		if r[2] == 0 {
			continue
		}
		c := r[2]
		if r[0]&leftShift != 0 {
			c |= shifted
		}
		codes = append(codes, c)
	}
	return k.text(codes)
}

func (k *Key) text(codes []byte) string {
	var b strings.Builder
	for _, c := range codes {
		if i := bytes.IndexByte(k.scanMap[:], c); i >= 0 {
			b.WriteByte(mapped[i])
			continue
		}
		b.WriteString(Text([]usbhid.Report{stroke(c)}))
	}
	return b.String()
}
