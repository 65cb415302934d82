package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// sign is what a recogniser says. The zero sign: the cause does not hold.
type sign struct {
	evidence string // for staff
	public   string // what may be shown before a first factor: a function of the text alone; "": nothing
	weak     bool   // likelier causes come first
	helper   string // instead of the row's helper and action; "": those
	action   string
}

// both is evidence that anybody may see.
func both(text string) sign { return sign{evidence: text, public: text} }

func empty(e *Evidence) sign {
	if !e.Text.Empty || e.Status != "" { // or it was not asked about
		return sign{}
	}
	if len(e.Text.Changes) > 0 {
		return both("there is nothing but " + strings.Join(e.Text.Changes, " and "))
	}
	return both("the field is empty")
}

func missing(e *Evidence) sign {
	if !e.Text.ModHex || e.Text.Chars <= idChars || e.Text.Chars >= otpChars {
		return sign{}
	}
	s := both(fmt.Sprintf("%d characters, a key types %d", e.Text.Chars, otpChars))
	if e.OTP.Opened { // a shorter public ID
		s.evidence = ""
	}
	s.weak = e.OTP.known()
	return s
}

func several(e *Evidence) sign {
	switch {
	case e.Text.OTPs >= 2:
		return both(fmt.Sprintf("%d one-time passwords in one text", e.Text.OTPs))
	case e.Text.TooLong:
		return both(fmt.Sprintf("%d characters, a key types %d", e.Text.Chars, otpChars))
	case e.OTP.Tail:
		return sign{evidence: fmt.Sprintf("%d characters, of which the last %d are a one-time password", e.Text.Chars, otpChars)}
	}
	return sign{}
}

func upper(e *Evidence) sign {
	if !e.Text.Upper || e.Text.Chars <= idChars {
		return sign{}
	}
	s := both("capital letters, otherwise in order")
	s.weak = !e.Accepted
	return s
}

func layout(e *Evidence) sign {
	var s sign
	switch {
	case e.OTP.Opened && e.OTP.Layout != "":
		s.evidence = "it decrypts if the keyboard is " + e.OTP.Layout + "; CRC and private ID are right"
	case e.Text.Layouts != "" && !e.OTP.Opened:
		s.evidence = "of the right length and alphabet, if the keyboard is " + e.Text.Layouts
		s.weak = e.OTP.known()
	}
	if e.Text.Layouts != "" {
		s.public = "keyboard seems to be " + e.Text.Layouts
		if e.Text.Unclear {
			s.public += ", on which nobody can tell what was typed"
			s.evidence += "; on it nobody can tell what was typed"
		}
	}
	return s
}

func digitRow(e *Evidence) sign {
	var s sign
	if e.Code.Layout != "" {
		s.evidence = "it is a code of " + nameOf(e.Code.Fits[0].Held.Token) + " if the keyboard is " + e.Code.Layout
	}
	if e.Text.DigitRows != "" {
		s.public = "the digit row may have another layout: " + e.Text.DigitRows
		if s.evidence == "" {
			s.evidence, s.weak = s.public, len(e.Code.Fits) > 0
		}
	}
	return s
}

func cleaned(e *Evidence) sign {
	if e.Text.Empty || len(e.Text.Changes) == 0 {
		return sign{}
	}
	odd := slices.ContainsFunc(e.Text.Changes, func(c string) bool { return c != modhex.LineBreak && c != modhex.Blanks })
	if !odd && !e.Text.form() {
		return sign{}
	}
	s := both("it has " + strings.Join(e.Text.Changes, ", "))
	s.weak = !odd
	return s
}

func otherKind(e *Evidence) sign {
	t := e.Text
	code := t.Digits && t.isCode()
	switch {
	case !t.form() && !t.Empty:
		return both("neither a one-time password of a key nor a code of 6 to 8 digits")
	case t.ModHex && t.Chars <= idChars && !e.OTP.Parsed:
		return both("the public ID of a key at most: the changing part is missing")
	case !e.Subject.Known() || len(e.Code.Fits) > 0 || e.OTP.known():
	case code && e.has(token.YubicoOTP) && !e.has(token.HOTP, token.TOTP):
		return sign{evidence: "a code of digits, but there is only a key that types letters"}
	case e.OTP.Parsed && e.has(token.HOTP, token.TOTP) && !e.has(token.YubicoOTP):
		return sign{evidence: "typed by a key, but there are only tokens that show digits"}
	}
	return sign{}
}

func wrongField(e *Evidence) sign {
	switch {
	case e.Text.Glued:
		return both("a one-time password is glued to something else")
	case e.Code.Glued:
		return sign{evidence: "the digits at one end are a code of " + nameOf(e.Code.Fits[0].Held.Token)}
	case e.InName:
		return sign{evidence: "the user name has the form of a one-time password"}
	}
	return sign{}
}
