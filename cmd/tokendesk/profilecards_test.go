package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/profile"
)

// TestProfileKnowsPIV: a profile takes just the words that the flags of --piv take.
func TestProfileKnowsPIV(t *testing.T) {
	t.Parallel()
	words := map[string][]string{"piv-pin-policy": {"never", "once", "always"}, "piv-touch-policy": {"never", "always", "cached"}}
	for _, a := range piv.Algorithms() {
		words["piv-algorithm"] = append(words["piv-algorithm"], a.String())
	}
	for _, s := range piv.Slots() {
		words["piv-slot"] = append(words["piv-slot"], s.String())
	}
	for key, list := range words {
		for _, word := range append(list, "match-once", "9b", "f9", "81", "96", "sm2") {
			text := "name = a\npiv = yes\n" + key + " = " + word
			if key != "piv-slot" {
				text += "\npiv-slot = 9a"
			}
			p, err := profile.Parse(text)
			if slices.Contains(list, word) != (err == nil) {
				t.Errorf("%s %s: %v", key, word, err)
			}
			if err != nil {
				continue
			}
			o := plainCards()
			err = o.byCards(p.Cards, "ada", func(string) bool { return false })
			if err == nil {
				_, err = o.cardSteps()
			}
			if err != nil {
				t.Errorf("%s %s: %v", key, word, err)
			}
		}
	}
}

// TestProfileAndFlags: flags go before the profile, one by one.
func TestProfileAndFlags(t *testing.T) {
	t.Parallel()
	c := profile.Cards{Accounts: []string{"Example:{account}"}, AccountForm: profile.AccountForm{AccountType: "hotp", AccountTouch: true}, PIV: true, PIVSlot: "9a", PIVAlgorithm: "p384", PIVTouch: "cached", PIVSelfSigned: true}
	for name, x := range map[string]struct {
		flags map[string]func(*provisionOptions)
		want  string
	}{
		"none":     {nil, "Example:ada hotp 30 true true 9a p384 cached true"},
		"oath":     {map[string]func(*provisionOptions){"oath": func(o *provisionOptions) { o.oath = []string{"My:own"} }}, "My:own hotp 30 true true 9a p384 cached true"},
		"no touch": {map[string]func(*provisionOptions){"oath-touch": func(*provisionOptions) {}}, "Example:ada hotp 30 false true 9a p384 cached true"},
		"a minute": {map[string]func(*provisionOptions){"oath-type": func(*provisionOptions) {}, "oath-period": func(o *provisionOptions) { o.form.period = 60 }},
			"Example:ada totp 60 true true 9a p384 cached true"},
		"no PIV":    {map[string]func(*provisionOptions){"piv": func(*provisionOptions) {}}, "Example:ada hotp 30 true false  p256 never false"},
		"algorithm": {map[string]func(*provisionOptions){"piv-algorithm": func(o *provisionOptions) { o.piv.key.algorithm = "rsa2048" }}, "Example:ada hotp 30 true true 9a rsa2048 cached true"},
		"request":   {map[string]func(*provisionOptions){"piv-csr": func(o *provisionOptions) { o.piv.key.csr = "x" }}, "Example:ada hotp 30 true true 9a p384 cached false"},
	} {
		o := plainCards()
		for _, set := range x.flags {
			set(&o)
		}
		err := o.byCards(c, "ada", func(f string) bool { return x.flags[f] != nil })
		word := func(b bool) string { return map[bool]string{true: "true", false: "false"}[b] }
		k := o.piv.key
		if got := strings.Join([]string{o.oath[0], o.form.kind, strconv.Itoa(o.form.period), word(o.form.touch), word(o.piv.on), k.slot, k.algorithm, k.touch, word(k.selfSigned)}, " "); err != nil || got != x.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	c.PIVSelfSigned, c.PIVRequest, c.PIVSubject = false, true, "CN={account},O=Example"
	for csr, want := range map[string]string{"": "", "ada.csr": "CN=a\\,b,O=Example"} {
		o := plainCards()
		o.piv.key.csr = csr
		err := o.byCards(c, "a,b", func(f string) bool { return f == "piv-csr" && csr != "" })
		if (err == nil) != (csr != "") || o.piv.key.subject != want || o.piv.key.selfSigned {
			t.Errorf("request in %q: %q, %v", csr, o.piv.key.subject, err)
		}
	}
	o := plainCards()
	if err := o.byCards(c, "", func(string) bool { return false }); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("accounts of nobody: %v", err)
	}
	if err := o.byCards(profile.Cards{Accounts: []string{"Example:desk"}, PIV: true}, "", func(string) bool { return false }); err != nil || o.oath[0] != "Example:desk" || !o.piv.on {
		t.Errorf("%+v, %v", o, err)
	}
}
