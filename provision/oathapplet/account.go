package oathapplet

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// Limits. Source: reference yubikey-otp.md §6.3; MaxPeriod is that of otpauth URIs.
const (
	MaxID         = 64 // bytes of UTF-8
	DefaultPeriod = 30 * time.Second
	MaxPeriod     = (1<<31 - 1) * time.Second
)

// Account is one secret's place on a key, without the secret.
type Account struct {
	Issuer string
	Name   string
	Kind   token.Kind // token.TOTP or token.HOTP
	// Hash is "" where a key names one that is not known here.
	Hash oath.Hash
	// Digits is 6 to 8. List does not learn it: 0.
	Digits int
	// Period is that of a TOTP account in whole seconds; 0 stands for DefaultPeriod. An HOTP account has none.
	Period time.Duration
	// Touch: the key makes a code only when it is touched. List does not learn it; CalculateAll does, but not of HOTP.
	Touch bool
}

// ID is how the key finds the account: [period/][issuer:]name.
func (a Account) ID() string {
	id := a.Name
	if a.Issuer != "" {
		id = a.Issuer + ":" + a.Name
	}
	if p := a.period(); a.Kind == token.TOTP && p != DefaultPeriod {
		id = strconv.FormatInt(int64(p/time.Second), 10) + "/" + id
	}
	return id
}

// ParseID is the account of an ID: its issuer, its name and, of a TOTP account, its period. Its ID is id again, whatever id
// is: a number that is not written as ID would write it is part of the name, as is a colon with nothing before or after it.
func ParseID(id string, kind token.Kind) Account {
	a := Account{Kind: kind}
	if kind == token.TOTP {
		a.Period = DefaultPeriod
		if number, rest, ok := strings.Cut(id, "/"); ok && rest != "" {
			n, err := strconv.ParseInt(number, 10, 32)
			p := time.Duration(n) * time.Second
			if err == nil && n > 0 && p != DefaultPeriod && strconv.FormatInt(n, 10) == number {
				a.Period, id = p, rest
			}
		}
	}
	issuer, name, ok := strings.Cut(id, ":")
	if !ok || issuer == "" || name == "" {
		issuer, name = "", id
	}
	a.Issuer, a.Name = issuer, name
	return a
}

// Steam reports whether the codes are Steam's: 5 letters and digits, which the host makes of the whole HMAC.
func (a Account) Steam() bool { return a.Kind == token.TOTP && a.Issuer == "Steam" }

func (a Account) period() time.Duration {
	if a.Period == 0 {
		return DefaultPeriod
	}
	return a.Period
}

// Check is nil, or an *AccountError: no key can hold the account, or its ID would be read as another account's.
func (a Account) Check() error {
	switch {
	case a.Digits < oath.MinDigits || a.Digits > oath.MaxDigits:
		return &AccountError{"digits", oath.ErrDigits.Error()}
	case hashes[a.Hash].code == 0:
		return &AccountError{"hash", oath.ErrHash.Error()}
	}
	return a.checkName()
}

// checkName is Check of what the ID is made of.
func (a Account) checkName() error {
	for _, f := range []struct{ field, text string }{{"issuer", a.Issuer}, {"name", a.Name}} {
		switch {
		case !utf8.ValidString(f.text):
			return &AccountError{f.field, "it is not UTF-8"}
		case strings.ContainsFunc(f.text, unicode.IsControl):
			return &AccountError{f.field, "it contains control characters"}
		}
	}
	switch {
	case a.Kind != token.TOTP && a.Kind != token.HOTP:
		return &AccountError{"kind", "it is totp or hotp"}
	case a.Name == "":
		return &AccountError{"name", "it is empty"}
	case a.Kind == token.HOTP && a.Period != 0:
		return &AccountError{"period", "an HOTP account has none"}
	case a.Period < 0, a.Period%time.Second != 0, a.Period > MaxPeriod:
		return &AccountError{"period", fmt.Sprintf("it is 1 to %d whole seconds", MaxPeriod/time.Second)}
	}
	id := a.ID()
	if len(id) > MaxID {
		return &AccountError{"id", fmt.Sprintf("period, issuer and name together take %d bytes, and a key takes %d", len(id), MaxID)}
	}
	if back := ParseID(id, a.Kind); back.Issuer != a.Issuer || back.Name != a.Name || a.Kind == token.TOTP && back.period() == DefaultPeriod && numbered(id) {
		return &AccountError{"id", "it would be read as another issuer, name or period: leave out the colon, or the number and slash in front"}
	}
	return nil
}

// numbered reports whether Yubico's programs read a period off the front of a TOTP account's ID: any digits and a slash, also 30, 0
// and what no period can be. Source: reference yubikey-otp.md §6.3.
func numbered(id string) bool {
	number, rest, ok := strings.Cut(id, "/")
	return ok && number != "" && rest != "" && strings.TrimFunc(number, unicode.IsDigit) == ""
}
