package diagnose

import (
	"strings"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// Lengths in characters. Source: reference yubikey-otp.md §4.1, §4.2.
const (
	idChars    = 12 // of the usual public ID
	blockChars = 32
	otpChars   = idChars + blockChars
	maxChars   = 64
	maxText    = 4096 // bytes; of longer text nothing is read but that
)

// Text is what can be said about typed text without knowing anybody. It holds no part of it.
type Text struct {
	Empty     bool
	Chars     int      // without what Clean drops
	Changes   []string // what modhex.Clean undid
	ModHex    bool     // nothing but ModHex letters of either case
	Upper     bool     // ModHex, with a capital letter
	Digits    bool     // nothing but digits
	OTPs      int      // whole OTPs of the usual length, one after the other, and nothing else
	TooLong   bool     // ModHex, longer than one OTP of the usual length, and no one OTP of another nor several whole ones
	Glued     bool     // an OTP of the usual length after or before something else
	Layouts   string   // of an OTP's length, not ModHex, but what it may have become on these layouts
	Unclear   bool     // on which nobody can tell what it was
	DigitRows string   // of a code's length, no digits, but what they may have become on these layouts
	Spoken    bool     // of the form of a temporary or recovery code
}

// look finds the features of typed text.
func look(typed string) Text {
	clean, changes := modhex.Clean(typed[:min(len(typed), maxText)])
	if strings.Trim(typed, validate.Space) == clean && !strings.ContainsAny(typed, "\r\n") {
		changes = nil
	}
	t := Text{Empty: clean == "", Chars: utf8.RuneCountInString(clean), Changes: changes}
	if t.Empty {
		return t
	}
	t.ModHex, t.Digits = isModHex(clean), only(clean, "0123456789")
	t.Upper = t.ModHex && strings.ContainsAny(clean, strings.ToUpper(modhex.Alphabet))
	if t.ModHex && t.Chars >= 2*otpChars && t.Chars%otpChars == 0 {
		t.OTPs = t.Chars / otpChars
	}
	t.TooLong = t.ModHex && t.OTPs == 0 && t.Chars > otpChars && (t.Chars > maxChars || t.Chars%2 == 1)
	t.Glued = glued(clean)
	if !t.ModHex && !t.Digits && t.Chars >= blockChars && t.Chars <= maxChars {
		t.Layouts, t.Unclear = layouts(typed, clean)
	}
	if t.isCode() && !t.Digits && !t.ModHex {
		t.DigitRows = modhex.Names(first(modhex.DigitVariants(clean)))
	}
	t.Spoken = isSpoken(typed)
	if t.Spoken || t.Digits && t.isCode() && strings.ReplaceAll(strings.Trim(typed, validate.Space), " ", "") == clean { // as people type them
		t.Changes = nil
	}
	return t
}

// isCode reports whether it has the length of a code of digits.
func (t Text) isCode() bool { return t.Chars >= oath.MinDigits && t.Chars <= oath.MaxDigits }

// form reports whether it may be a one-time password or code of any kind, or a part or several of them.
func (t Text) form() bool {
	return t.ModHex || t.Digits && t.isCode() || t.Layouts != "" || t.DigitRows != "" || t.Spoken || t.Glued
}

// isModHex takes either case.
func isModHex(s string) bool { return only(s, modhex.Alphabet+strings.ToUpper(modhex.Alphabet)) }

func only(s, alphabet string) bool { return s != "" && strings.Trim(s, alphabet) == "" }

// glued reports whether one end is an OTP of the usual length and the rest is something else.
func glued(clean string) bool {
	n := len(clean) - otpChars
	if n <= 0 || isModHex(clean) {
		return false
	}
	return isModHex(clean[n:]) || isModHex(clean[:otpChars])
}

// layouts are those of which the text may be, in words.
func layouts(typed, clean string) (names string, unclear bool) {
	if list := first(modhex.Variants(clean)); list != nil {
		return modhex.Names(list), false
	}
	if list := first(modhex.Variants(strings.Trim(typed, validate.Space))); list != nil {
		return modhex.Names(list), false
	}
	names = modhex.Names(modhex.Unclear(clean))
	return names, names != ""
}

// first are the layouts of all variants.
func first(list []modhex.Variant) []modhex.Layout {
	var out []modhex.Layout
	for _, v := range list {
		out = append(out, v.Layouts...)
	}
	return out
}

// isSpoken is the form of a temporary or recovery code: ten characters of an alphabet without look-alikes, one of them no digit.
func isSpoken(typed string) bool {
	code, ok := token.NormaliseSpoken(typed)
	return ok && len(code) == token.CodeLen && strings.Trim(code, "0123456789") != ""
}
