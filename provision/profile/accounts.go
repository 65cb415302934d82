package profile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AccountForm is what all accounts of a profile are. The zero value is what every app takes: TOTP, SHA-1, 6 digits, 30 seconds.
type AccountForm struct {
	AccountType   string // "hotp"; "": totp
	AccountHash   string // "sha256" or "sha512"; "": sha1
	AccountDigits int    // 7 or 8; 0: 6
	AccountPeriod int    // totp: how long a code lasts, in seconds; 0: 30
	AccountTouch  bool   // each code needs a touch
}

// What AccountForm leaves out.
const (
	usualType   = "totp"
	usualHash   = "sha1"
	usualDigits = 6
	usualPeriod = 30
)

// Limits of accounts. Source: reference yubikey-otp.md §6.3; maxPeriod is that of otpauth URIs.
const (
	maxAccount = 64 // bytes of a name
	maxDigits  = 8
	maxPeriod  = 1<<31 - 1 // seconds
)

// accountKeys are the lines of accounts. What is as usual is left out, so that texts and fingerprints stay as they were.
func accountKeys() []key {
	return []key{
		{"oath", every, func(p *Profile) string { return strings.Join(p.Accounts, ", ") }, func(p *Profile, s string) error {
			p.Accounts = items(s)
			return nil
		}},
		unless(usualType, text("oath-type", every, func(p *Profile) *string { return &p.AccountType })),
		unless(usualHash, text("oath-hash", every, func(p *Profile) *string { return &p.AccountHash })),
		numberUnless(usualDigits, maxDigits, "oath-digits", func(p *Profile) *int { return &p.AccountDigits }),
		numberUnless(usualPeriod, maxPeriod, "oath-period", func(p *Profile) *int { return &p.AccountPeriod }),
		orNothing(yes("oath-touch", every, func(p *Profile) *bool { return &p.AccountTouch })),
	}
}

// unless leaves the line of a usual value out.
func unless(usual string, k key) key {
	set := k.set
	k.set = func(p *Profile, s string) error {
		if s == usual {
			s = ""
		}
		return set(p, s)
	}
	return k
}

func numberUnless(usual, most int, name string, at func(*Profile) *int) key {
	return key{name, every, func(p *Profile) string {
		if *at(p) == 0 {
			return ""
		}
		return strconv.Itoa(*at(p))
	}, func(p *Profile, s string) error {
		n, err := number(s, most)
		if err == nil && n == 0 {
			err = fmt.Errorf("a number from 1 to %d is wanted", most)
		}
		if n == usual {
			n = 0
		}
		*at(p) = n
		return err
	}}
}

// checkAccounts is the part of checkCards that is about accounts.
func (p Profile) checkAccounts() error {
	if len(p.Accounts) > maxList {
		return &CheckError{"oath", fmt.Sprintf("%d accounts at most", maxList)}
	}
	for i, a := range p.Accounts {
		if problem := wrongAccount(a); problem != "" {
			return &CheckError{"oath", problem}
		}
		if slices.Contains(p.Accounts[:i], a) {
			return &CheckError{"oath", "each account once, with commas between"}
		}
	}
	const none = "leave it out: there is no account"
	f, some := p.AccountForm, len(p.Accounts) > 0
	for _, c := range []struct {
		key     string
		bad     bool
		problem string
	}{
		{"oath-type", !some && f.AccountType != "", none},
		{"oath-type", f.AccountType != "" && f.AccountType != "hotp", "totp and hotp are possible"},
		{"oath-hash", !some && f.AccountHash != "", none},
		{"oath-hash", !slices.Contains([]string{"", "sha256", "sha512"}, f.AccountHash), "sha1, sha256 and sha512 are possible"},
		{"oath-digits", !some && f.AccountDigits != 0, none},
		{"oath-digits", f.AccountDigits != 0 && (f.AccountDigits <= usualDigits || f.AccountDigits > maxDigits), "6, 7 and 8 are possible"},
		{"oath-period", !some && f.AccountPeriod != 0, none},
		{"oath-period", f.AccountPeriod != 0 && f.AccountType != "", "leave it out: hotp has none"},
		{"oath-period", f.AccountPeriod < 0 || f.AccountPeriod == usualPeriod || f.AccountPeriod > maxPeriod, fmt.Sprintf("1 to %d seconds are possible", maxPeriod)},
		{"oath-touch", !some && f.AccountTouch, none},
	} {
		if c.bad {
			return &CheckError{c.key, c.problem}
		}
	}
	return nil
}

// wrongAccount says what is wrong with the name of an account; "": nothing.
func wrongAccount(a string) string {
	if rest := strings.ReplaceAll(a, Holder, ""); strings.ContainsAny(rest, "{}") {
		return "only " + Holder + " is filled in, with the account of who gets the key"
	}
	switch {
	case a == "" || strings.HasPrefix(a, ":") || strings.HasSuffix(a, ":"):
		return "an account is ISSUER:NAME, or NAME alone, such as Example:" + Holder + ", with commas between several"
	case len(a) > maxAccount:
		return fmt.Sprintf("an account is too long: %d bytes at most", maxAccount)
	case strings.TrimSpace(a) != a || strings.ContainsFunc(a, hidden) || strings.ContainsAny(a, "#\t,"):
		return "an account has a control character, # or a comma, or begins or ends with a space"
	}
	return ""
}

// accountHelp is the part of Keys that is about accounts.
func accountHelp() []Help {
	return []Help{
		{"oath", "accounts to add, ISSUER:NAME, with commas between; " + Holder + " is the account of who gets the key"},
		{"oath-type", "what these accounts are: totp (by the time) or hotp (by a counter) (default totp)"},
		{"oath-hash", "their hash: sha1, sha256 or sha512 (default sha1)"},
		{"oath-digits", "length of their codes, 6 to 8 (default 6)"},
		{"oath-period", "totp: how long a code of theirs lasts, in seconds (default 30)"},
		{"oath-touch", "yes if each code of these accounts needs a touch, or no"},
	}
}
