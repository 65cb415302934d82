package main

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
)

// accountForm is what accounts are, beside their names: flags of oath add and, behind "oath-", of provision.
type accountForm struct {
	kind, hash     string
	digits, period int // period in seconds, of TOTP alone
	touch          bool
}

// usualForm is what every app takes.
func usualForm() accountForm {
	return accountForm{kind: string(token.TOTP), hash: string(oath.SHA1), digits: oath.MinDigits, period: int(oathapplet.DefaultPeriod / time.Second)}
}

// flags adds the flags, each behind prefix; of says whose they are.
func (f *accountForm) flags(cmd *cobra.Command, prefix, of string) {
	*f = usualForm()
	flags := cmd.Flags()
	flags.StringVar(&f.kind, prefix+"type", f.kind, of+"totp (by the time) or hotp (by a counter)")
	flags.StringVar(&f.hash, prefix+"hash", f.hash, of+"sha1, sha256 or sha512")
	flags.IntVar(&f.digits, prefix+"digits", f.digits, of+"length of a code, 6 to 8")
	flags.IntVar(&f.period, prefix+"period", f.period, of+"how long a TOTP code lasts, in seconds")
	flags.BoolVar(&f.touch, prefix+"touch", false, of+"make codes only when the key is touched")
	complete(cmd, prefix+"type", "totp", "hotp")
	complete(cmd, prefix+"hash", "sha1", "sha256", "sha512")
	complete(cmd, prefix+"digits", "6", "7", "8")
}

// formOf is what a profile says.
func formOf(c profile.AccountForm) accountForm {
	f := usualForm()
	f.kind, f.hash, f.touch = cmp.Or(c.AccountType, f.kind), cmp.Or(c.AccountHash, f.hash), c.AccountTouch
	f.digits, f.period = cmp.Or(c.AccountDigits, f.digits), cmp.Or(c.AccountPeriod, f.period)
	return f
}

// byProfile fills in what no flag says.
func (f *accountForm) byProfile(p accountForm, given func(flag string) bool) {
	for _, x := range []struct {
		flag string
		set  func()
	}{
		{"oath-type", func() { f.kind = p.kind }}, {"oath-hash", func() { f.hash = p.hash }}, {"oath-digits", func() { f.digits = p.digits }},
		{"oath-touch", func() { f.touch = p.touch }},
	} {
		if !given(x.flag) {
			x.set()
		}
	}
	if !given("oath-period") && f.kind == string(token.TOTP) {
		f.period = p.period
	}
}

// checkPeriod looks at a period; given: somebody said it.
func (f accountForm) checkPeriod(flag string, given bool) error {
	switch {
	case given && f.kind == string(token.HOTP):
		return usagef("%s: HOTP has none", flag)
	case f.period < 1 || f.period > int(oathapplet.MaxPeriod/time.Second):
		return usagef("%s: 1 to %d seconds", flag, oathapplet.MaxPeriod/time.Second)
	}
	return nil
}

// bare is the account without a name.
func (f accountForm) bare() oathapplet.Account {
	a := oathapplet.Account{Kind: token.Kind(f.kind), Hash: oath.Hash(f.hash), Digits: f.digits, Touch: f.touch}
	if a.Kind == token.TOTP {
		a.Period = time.Duration(f.period) * time.Second
	}
	return a
}

// fits refuses a firmware that knows no such accounts.
func (f accountForm) fits(firmware ykslot.Version) error {
	a := f.bare()
	a.Name = "a"
	var old *ykslot.UnsupportedError
	if err := oathapplet.Supported(firmware, a, 1, 0); errors.As(err, &old) {
		return err
	}
	return nil
}

// account is the one of that name.
func (f accountForm) account(text string) (a oathapplet.Account, err error) {
	a = f.bare()
	if a.Issuer, a.Name, err = parseAccount(text); err == nil {
		err = a.Check()
	}
	return a, err
}

// id is how a key and the store call the account of that name: with its period, if that is not the usual one.
func (f accountForm) id(text string) string {
	a, err := f.account(text)
	if err != nil { // no key has it
		return text
	}
	return a.ID()
}

// words are the flags of provision that say the same.
func (f accountForm) words(l *commandLine) {
	usual := usualForm()
	l.add("--oath-type", f.kind, usual.kind)
	l.add("--oath-hash", f.hash, usual.hash)
	l.add("--oath-digits", strconv.Itoa(f.digits), strconv.Itoa(usual.digits))
	l.add("--oath-period", strconv.Itoa(f.period), strconv.Itoa(usual.period))
	l.on("--oath-touch", f.touch)
}
