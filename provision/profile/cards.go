package profile

import (
	"regexp"
	"slices"
	"strings"
)

// Cards are what a key gets beside its slot, in the applications of its smart card. The zero value is nothing.
type Cards struct {
	Accounts []string // accounts of OATH, "issuer:name" or "name"; Holder in them is replaced by the account of who gets the key
	AccountForm

	PIV           bool   // the PIV application is set up
	PIVSlot       string // a key is generated in it: "9a" …; "": none
	PIVAlgorithm  string // of that key, such as "p256"
	PIVPIN        string // when it wants the PIN: "never", "once" or "always"; "": the slot's own rule
	PIVTouch      string // when it wants a touch: "never", "always" or "cached"
	PIVSelfSigned bool   // with a certificate that it signs itself
	PIVRequest    bool   // with a certificate request for the site's authority, as a file
	PIVSubject    string // whose either is, such as "CN=account,O=Example" with Holder in it; "": CN is the account of who gets the key
}

// Holder stands in an account for the account of who gets the key.
const Holder = "{account}"

// Any reports whether a key gets anything beside its slot.
func (c Cards) Any() bool { return len(c.Accounts) > 0 || c.PIV }

// NeedsHolder reports whether it must be known who gets the key.
func (c Cards) NeedsHolder() bool {
	subject := (c.PIVSelfSigned || c.PIVRequest) && (c.PIVSubject == "" || strings.Contains(c.PIVSubject, Holder))
	return subject || slices.ContainsFunc(c.Accounts, func(a string) bool { return strings.Contains(a, Holder) })
}

// AccountsOf are the accounts of somebody.
func (c Cards) AccountsOf(account string) (out []string) {
	for _, a := range c.Accounts {
		out = append(out, strings.ReplaceAll(a, Holder, account))
	}
	return out
}

// SubjectOf is whose certificate somebody's is, as RFC 4514 writes it; "" where nothing is said.
func (c Cards) SubjectOf(account string) string {
	return strings.ReplaceAll(c.PIVSubject, Holder, escaped(account))
}

// escaped is a value in a name. Source: RFC 4514 §2.4.
func escaped(value string) string {
	var b strings.Builder
	for _, r := range value {
		if strings.ContainsRune(`\,+"<>;`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// The defaults of a generated key, as tokendesk provision --piv has them.
const (
	plainAlgorithm = "p256"
	plainTouch     = "never"
)

// Words that a PIV key may have. Source: reference yubikey-otp.md §8; package piv has the same, which a test of the program holds.
var (
	pivAlgorithms = []string{"p256", "p384", "rsa2048", "rsa3072", "rsa4096", "ed25519", "x25519", "rsa1024"}
	pivPINs       = []string{"never", "once", "always"}
	pivTouches    = []string{"never", "always", "cached"}
)

// cardKeys are the lines of Cards. Each is left out where it says nothing, so that profiles without them stay as they were.
func cardKeys() []key {
	return append(accountKeys(), []key{
		orNothing(yes("piv", every, func(p *Profile) *bool { return &p.PIV })),
		text("piv-slot", every, func(p *Profile) *string { return &p.PIVSlot }),
		text("piv-algorithm", every, func(p *Profile) *string { return &p.PIVAlgorithm }),
		text("piv-pin-policy", every, func(p *Profile) *string { return &p.PIVPIN }),
		text("piv-touch-policy", every, func(p *Profile) *string { return &p.PIVTouch }),
		orNothing(yes("piv-self-signed", every, func(p *Profile) *bool { return &p.PIVSelfSigned })),
		orNothing(yes("piv-csr", every, func(p *Profile) *bool { return &p.PIVRequest })),
		text("piv-subject", every, func(p *Profile) *string { return &p.PIVSubject }),
	}...)
}

// orNothing leaves the line of a no out.
func orNothing(k key) key {
	get := k.get
	k.get = func(p *Profile) string { return strings.TrimPrefix(get(p), "no") }
	return k
}

// fillIn gives a key that is generated what its text leaves out.
func (c *Cards) fillIn() {
	if c.PIVSlot == "" {
		return
	}
	if c.PIVAlgorithm == "" {
		c.PIVAlgorithm = plainAlgorithm
	}
	if c.PIVTouch == "" {
		c.PIVTouch = plainTouch
	}
}

// checkCards is the part of Check that is about Cards.
func (p Profile) checkCards() error {
	if err := p.checkAccounts(); err != nil {
		return err
	}
	made := p.PIVSlot != ""
	for _, c := range []struct {
		key     string
		bad     bool
		problem string
	}{
		{"piv-slot", made && !p.PIV, "say piv = yes with it"},
		{"piv-slot", made && !pivSlot(p.PIVSlot), "9a, 9c, 9d, 9e and 82 to 95 are possible, or leave it out: no key is generated"},
		{"piv-algorithm", !among(p.PIVAlgorithm, made, pivAlgorithms...), strings.Join(pivAlgorithms, ", ") + " are possible, with piv-slot"},
		{"piv-pin-policy", p.PIVPIN != "" && !among(p.PIVPIN, made, pivPINs...), "never, once and always are possible, with piv-slot; or leave it out: the slot's own"},
		{"piv-touch-policy", !among(p.PIVTouch, made, pivTouches...), "never, always and cached are possible, with piv-slot"},
		{"piv-self-signed", p.PIVSelfSigned && !made, "say with piv-slot which key signs it"},
		{"piv-self-signed", p.PIVSelfSigned && p.PIVAlgorithm == "x25519", "leave it out: x25519 signs nothing"},
		{"piv-csr", p.PIVRequest && !made, "say with piv-slot which key signs it"},
		{"piv-csr", p.PIVRequest && p.PIVAlgorithm == "x25519", "leave it out: x25519 signs nothing"},
		{"piv-csr", p.PIVRequest && p.PIVSelfSigned, "leave it out, or piv-self-signed: the certificate is one or the other"},
		{"piv-subject", p.PIVSubject != "" && !p.PIVRequest && !p.PIVSelfSigned, "say with piv-csr or piv-self-signed what it is the subject of"},
		{"piv-subject", p.PIVSubject != "" && wrongSubject(p.PIVSubject), "a subject is such as CN=" + Holder + ",O=Example; only " + Holder + " is filled in"},
	} {
		if c.bad {
			return &CheckError{c.key, c.problem}
		}
	}
	return nil
}

// wrongSubject reports whether a template of a subject cannot be one. What it becomes is read when it is used.
func wrongSubject(s string) bool {
	rest := strings.ReplaceAll(s, Holder, "")
	// A backslash would take one or two characters of the account as what it stands for. Source: RFC 4514 §2.4.
	within := regexp.MustCompile(`^([^\\]|\\[0-9A-Fa-f]{2}|\\.)*\\[0-9A-Fa-f]?` + regexp.QuoteMeta(Holder)).MatchString(s)
	return within || len(s) > MaxText || !strings.Contains(rest, "=") || strings.ContainsAny(rest, "{}#\t") || strings.TrimSpace(s) != s || strings.ContainsFunc(s, hidden)
}

// pivSlot reports whether a key can be generated in a slot of that name.
func pivSlot(s string) bool {
	switch s {
	case "9a", "9c", "9d", "9e":
		return true
	}
	return len(s) == 2 && (s[0] == '8' && s >= "82" && s <= "8f" || s[0] == '9' && s <= "95") && strings.Trim(s, "0123456789abcdef") == ""
}

// cardHelp is the part of Keys that is about Cards.
func cardHelp() []Help {
	return append(accountHelp(), []Help{
		{"piv", "yes to set the PIV application up: random PIN, PUK and management key, kept in the store; or no"},
		{"piv-slot", "with piv: generate a key in this slot, such as 9a"},
		{"piv-algorithm", "kind of key: " + strings.Join(pivAlgorithms, ", ")},
		{"piv-pin-policy", "when the key wants the PIN: never, once or always (default the slot's own)"},
		{"piv-touch-policy", "when it wants a touch: never, always or cached (15 seconds)"},
		{"piv-self-signed", "yes to store a certificate of who gets the key, signed with the key itself, or no"},
		{"piv-csr", "yes to make a certificate request for the site's authority: a file in the --requests of a desk, the --piv-csr of provision; or no"},
		{"piv-subject", "whose the certificate or request is, such as CN=" + Holder + ",O=Example (default CN= the account of who gets the key)"},
	}...)
}
