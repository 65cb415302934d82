package radius

import (
	"strings"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// shownLen is the length of a temporary or recovery code as it is shown, with a dash: "7KM4Q-2X9AB".
const shownLen = token.CodeLen + 1

// split tells the code at the end of what was typed from the password before it; false if there is none. The forms of a code exclude one
// another: a Yubico OTP of the given length, in letters; a temporary or recovery code with its dash; the given number of digits.
func split(r validate.NASRules, typed string) (password, code string, ok bool) {
	if r.Password == validate.PasswordNone {
		return "", typed, true
	}
	typed = strings.TrimRight(typed, validate.Space)
	for _, form := range []struct {
		length int
		is     func(string) bool
	}{
		{r.OTPLen, func(s string) bool { return len(validate.Readings(s)) > 0 }},
		{shownLen, isShown},
		{r.CodeLen, isDigits},
	} {
		if at := len(typed) - form.length; at >= 0 && form.is(typed[at:]) {
			return typed[:at], typed[at:], true
		}
	}
	return "", "", false
}

func isShown(s string) bool {
	code, ok := token.NormaliseSpoken(s)
	return ok && s[(len(s)-1)/2] == '-' && len(code) == token.CodeLen
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// account is whom a User-Name means; "" if it is no text.
func account(r validate.NASRules, name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return ""
	}
	if !r.StripRealm {
		return name
	}
	if _, after, ok := strings.Cut(name, `\`); ok {
		name = after
	}
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		name = name[:at]
	}
	return name
}
