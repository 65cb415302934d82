package profile_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// full are profiles with every key set to something that is not its default.
func full() []profile.Profile {
	otp := profile.New("staff-slot1", token.YubicoOTP)
	otp.Description, otp.Language, otp.Slot, otp.PublicID, otp.AccessCode = "für die Lehrenden", "de", 1, "random", "none"
	otp.Verify, otp.Overwrite, otp.Reason = token.NoProof, "factory", "new from the box = unused"
	otp.Enter, otp.FastTrigger, otp.Pacing, otp.Updatable = false, false, 60, false
	otp.Touch, otp.StockPrefix, otp.Exports, otp.Label, otp.Receipt = profile.Touch{Sample: 13}, "A-", []string{"ksm", "pskc"}, "small", "lab"
	hotp := profile.New("hotp", token.HOTP)
	hotp.Digits, hotp.MovingFactor = 8, 1048560
	chal := profile.New("login", token.ChallengeResponse)
	chal.FixedLength, chal.Button = true, true
	static := profile.New("static", token.Static)
	static.Length, static.Layout = 12, "de"
	otp.Cards = profile.Cards{
		Accounts:    []string{"Example Ltd:{account}", "Größe:x {account}y", "plain"},
		AccountForm: profile.AccountForm{AccountHash: "sha256", AccountDigits: 8, AccountPeriod: 60, AccountTouch: true},
		PIV:         true, PIVSlot: "9c", PIVAlgorithm: "rsa2048", PIVPIN: "once", PIVTouch: "cached", PIVSelfSigned: true,
	}
	hotp.Cards = profile.Cards{PIV: true, PIVSlot: "9a", PIVAlgorithm: "p256", PIVTouch: "never", PIVRequest: true, PIVSubject: "CN={account},O=Example", Accounts: []string{"Example:{account}"}, AccountForm: profile.AccountForm{AccountType: "hotp"}}
	return []profile.Profile{otp, hotp, chal, static}
}

// TestRoundTrip: what is printed is read again, and tells the same.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	all := full()
	for _, k := range profile.Kinds() {
		all = append(all, profile.New("plain", k))
	}
	for _, p := range all {
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		got, err := profile.Parse(p.String())
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("got %+v, %v\nwant %+v\nof\n%s", got, err, p, p)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	p, err := profile.Parse("\ufeff# a comment\r\n\r\n  name=staff # trailing\r\nslot = 1")
	want := profile.New("staff", token.YubicoOTP)
	want.Slot = 1
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = profile.Parse("name = pw\nkind = static\npassword = ticket\n")
	if err != nil || p.Length != 32 || p.Layout != "modhex" {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestCards: what a text leaves out of what is beside the slot is filled in; what says nothing is not written, so that texts of before stay
// the same; and accounts are named by their holder.
func TestCards(t *testing.T) {
	t.Parallel()
	p, err := profile.Parse("name = a\noath = Example Ltd:{account} ,Portal:x-{account}\noath-type = totp\noath-hash = sha1\noath-digits = 6\noath-period = 30\noath-touch = no\npiv = yes\npiv-slot = 9a")
	if err != nil || p.PIVAlgorithm != "p256" || p.PIVTouch != "never" || p.PIVPIN != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := p.AccountsOf("ada"); !reflect.DeepEqual(got, []string{"Example Ltd:ada", "Portal:x-ada"}) || !p.Any() || !p.NeedsHolder() {
		t.Errorf("%q of %+v", got, p.Cards)
	}
	want := "allow-update  = yes\ntouch         = all\noath          = Example Ltd:{account}, Portal:x-{account}\npiv           = yes\n" +
		"piv-slot      = 9a\npiv-algorithm = p256\npiv-touch-policy = never\n"
	if got := p.String(); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s", got)
	}
	p, err = profile.Parse("name = a\noath = \noath-touch = no\npiv = no\npiv-self-signed = no")
	if plain := profile.New("a", token.YubicoOTP); err != nil || !reflect.DeepEqual(p, plain) || p.Any() || p.NeedsHolder() || p.String() != plain.String() {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := profile.Parse("name = a\npiv = yes\npiv-slot = 9a\npiv-csr = yes\npiv-subject = CN=x\\,\\41\\\\{account}"); err != nil || p.SubjectOf("ada") != `CN=x\,\41\\ada` {
		t.Errorf("what is behind a backslash ends before the account: %v", err)
	}
	if s := (profile.Cards{PIVSubject: "CN={account},O=Example"}).SubjectOf(`a+b, "c"`); s != `CN=a\+b\, \"c\",O=Example` {
		t.Errorf("subject %s", s)
	}
	for _, c := range []profile.Cards{{PIVRequest: true}, {PIVSelfSigned: true, PIVSubject: "CN={account}"}} {
		if fixed := c.PIVSubject; !c.NeedsHolder() {
			t.Errorf("%s names nobody", fixed)
		}
	}
	if (profile.Cards{PIVRequest: true, PIVSubject: "CN=desk"}).NeedsHolder() {
		t.Error("one subject for all names nobody")
	}
	if fixed := (profile.Cards{Accounts: []string{"Example:desk"}, PIV: true}); fixed.NeedsHolder() || !fixed.Any() {
		t.Error("one name for all names nobody")
	}
}

// TestPrinted is the form that people sign.
func TestPrinted(t *testing.T) {
	t.Parallel()
	const want = `name          = staff
kind          = yubico-otp
slot          = 2
public-id     = serial
access-code   = random
verify        = touch
append-cr     = yes
fast-trig     = yes
pacing        = 0
allow-update  = yes
touch         = all
`
	p := profile.New("staff", token.YubicoOTP)
	if got := p.String(); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := p.Fingerprint(); len(got) != 19 || got != profile.New("staff", token.YubicoOTP).Fingerprint() {
		t.Errorf("fingerprint %q", got)
	}
}

// TestKeys: the help tells of every key that is written, in that order, and the defaults are good.
func TestKeys(t *testing.T) {
	t.Parallel()
	help := map[string]bool{"name": true}
	for _, k := range profile.Keys() {
		if help[k.Key] || k.Values == "" {
			t.Errorf("%+v", k)
		}
		help[k.Key] = true
	}
	written := map[string]bool{}
	for _, p := range full() {
		lines, err := profile.Lines(p.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			written[l.Key] = true
		}
	}
	if !reflect.DeepEqual(help, written) {
		t.Errorf("help: %v\nwritten: %v", help, written)
	}
	for _, p := range profile.Defaults() {
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                                     "profile: name: give it a name",
		"name = a\ncolour = red":                               "line 2, column 1: unknown key; the keys are name, kind",
		"name = a\n  slot = 3":                                 "line 2, column 10: slot: a key has slot 1",
		"name = a\nslot = 02":                                  "line 2, column 8: slot: a number",
		"name = a\nslot = 1\nslot = 2":                         "line 3, column 1: slot: is in line 2 already",
		"name = a\nslot":                                       `line 2, column 1: a line is "key = value"`,
		"name = A":                                             "line 1, column 8: name: give it a name",
		"name = a\nkind = piv":                                 "line 2, column 8: kind: yubico-otp, hotp",
		"name = a\ndigits = 6":                                 "line 2, column 1: digits: does not go with kind yubico-otp",
		"kind = hotp\nname = a\ndigits = 7":                    "line 3, column 10: digits: 6 and 8",
		"name = a\npublic-id = ff0001":                         "public-id: serial and random",
		"name = a\naccess-code = 010203040506":                 "the code itself is never in a profile",
		"name = a\ntouch = sample:0":                           "touch: all, none and sample:N",
		"name = a\nappend-cr = true":                           "append-cr: yes and no",
		"name = a\noverwrite = foreign":                        "profile: reason: say why",
		"name = a\nreason = because":                           "reason: leave it out",
		"name = a\npacing = 30":                                "pacing: 0, 20, 40 and 60",
		"name = a\ndescription = a\x1b[31mb":                   "line 2, column 16: has a control character",
		"name = a\ndescription = a\u202eb":                     "line 2, column 16: has a control character",
		"name = a\ndescription = \xff":                         "line 2, column 1: is not UTF-8",
		"name = a\nstock-prefix = ä":                           "stock-prefix: letters, digits",
		"name = a\nexports = ksm, ksm":                         "exports: names of key-file formats, each once",
		"name = a\nlabel = ../x":                               "label: names a template",
		"kind = challenge-response\nname = a\nverify = touch":  "verify: none: only yubico-otp and hotp",
		"name = a\noath = Example:{name}":                      "line 2, column 8: oath: only {account}",
		"name = a\noath = a, :{account}":                       "oath: an account is ISSUER:NAME",
		"name = a\noath = a:b, a:b":                            "oath: each account once",
		"name = a\noath = a,b,c,d,e,f,g,h,i":                   "oath: 8 accounts",
		"name = a\noath = " + strings.Repeat("x", 65):          "oath: an account is too long",
		"name = a\noath-touch = yes":                           "oath-touch: leave it out",
		"name = a\noath-type = hotp":                           "oath-type: leave it out",
		"name = a\noath = a\noath-type = HOTP":                 "line 3, column 13: oath-type: totp and hotp",
		"name = a\noath-hash = sha256":                         "oath-hash: leave it out",
		"name = a\noath = a\noath-hash = md5":                  "oath-hash: sha1, sha256 and sha512",
		"name = a\noath-digits = 8":                            "oath-digits: leave it out",
		"name = a\noath = a\noath-digits = 5":                  "oath-digits: 6, 7 and 8",
		"name = a\noath = a\noath-digits = 0":                  "oath-digits: a number from 1",
		"name = a\noath-period = 60":                           "oath-period: leave it out",
		"name = a\noath = a\noath-type=hotp\noath-period = 60": "oath-period: leave it out: hotp",
		"name = a\noath = a\noath-period = 2147483648":         "oath-period: a number",
		"name = a\npiv-slot = 9a":                              "line 2, column 12: piv-slot: say piv = yes",
		"name = a\npiv = yes\npiv-slot = 9b":                   "piv-slot: 9a, 9c, 9d",
		"name = a\npiv = yes\npiv-slot = 8:":                   "piv-slot: 9a, 9c, 9d",
		"name = a\npiv = yes\npiv-algorithm = p256":            "piv-algorithm: p256, p384",
		"name = a\npiv = yes\npiv-slot = 9a\npiv-algorithm=x":  "piv-algorithm: p256, p384",
		"name = a\npiv = yes\npiv-pin-policy = once":           "piv-pin-policy: never, once",
		"name = a\npiv = yes\npiv-touch-policy = cached":       "piv-touch-policy: never, always",
		"name = a\npiv = yes\npiv-self-signed = yes":           "piv-self-signed: say with piv-slot",
		"name = a\npiv = yes\npiv-csr = yes":                   "piv-csr: say with piv-slot",
		"name = a\npiv = yes\npiv-slot = 9d\npiv-algorithm = x25519\npiv-csr = yes":             "piv-csr: leave it out: x25519",
		"name = a\npiv = yes\npiv-slot = 9a\npiv-self-signed = yes\npiv-csr = yes":              "piv-csr: leave it out, or piv-self-signed",
		"name = a\npiv = yes\npiv-slot = 9a\npiv-subject = CN={account}":                        "piv-subject: say with piv-csr",
		"name = a\npiv = yes\npiv-slot = 9a\npiv-csr = yes\npiv-subject = {account}":            "piv-subject: a subject is such as",
		"name = a\npiv = yes\npiv-slot = 9a\npiv-csr = yes\npiv-subject = CN={name}":            "piv-subject: a subject is such as",
		"name = a\npiv = yes\npiv-slot = 9a\npiv-csr = yes\npiv-subject = CN=\\{account}":       "piv-subject: a subject is such as",
		"name = a\npiv = yes\npiv-slot = 9a\npiv-csr = yes\npiv-subject = CN=x\\\\\\4{account}": "piv-subject: a subject is such as",
		"name = a\npiv = on":                   "piv: yes and no",
		strings.Repeat("#", profile.MaxFile+1): "line 1, column 1: is longer than",
	} {
		p, err := profile.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "profile: ") || !reflect.DeepEqual(p, profile.Profile{}) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		var syntax *profile.SyntaxError
		var check *profile.CheckError
		if !errors.As(err, &syntax) && !errors.As(err, &check) {
			t.Errorf("%q: %T", text, err)
		}
	}
}

// FuzzParse: whatever is read is printed and read as the same.
func FuzzParse(f *testing.F) {
	for _, p := range full() {
		f.Add(p.String())
	}
	f.Add("name = a # b\r\nkind=hotp")
	f.Add("name=a\noath = Example Ltd:{account},x: y\npiv=yes\npiv-slot=9e\npiv-algorithm=ed25519")
	f.Add("name=a\noath = x\noath-type=hotp\noath-hash=sha512\noath-digits=7\noath-period=30")
	f.Add("name=a\noath=,\noath-touch=yes\npiv=no\npiv-touch-policy=always")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := profile.Parse(text)
		if err != nil {
			if !reflect.DeepEqual(p, profile.Profile{}) {
				t.Fatalf("%+v beside %v", p, err)
			}
			return
		}
		again, err := profile.Parse(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v, %v\nis not %+v", again, err, p)
		}
	})
}
