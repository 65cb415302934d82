package profile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
)

// key is one line of the text form.
type key struct {
	name string
	on   func(token.Kind) bool // whether the kind has it
	get  func(*Profile) string // "": the line is left out
	set  func(*Profile, string) error
}

func every(token.Kind) bool { return true }

func only(kinds ...token.Kind) func(token.Kind) bool {
	return func(k token.Kind) bool {
		for _, one := range kinds {
			if k == one {
				return true
			}
		}
		return false
	}
}

// keys are the lines in the order in which String writes them. kind comes second, because the others depend on it.
func keys() []key {
	return append([]key{
		text("name", every, func(p *Profile) *string { return &p.Name }),
		{"kind", every, func(p *Profile) string { return string(p.Kind) }, func(p *Profile, s string) error { p.Kind = token.Kind(s); return nil }},
		text("description", every, func(p *Profile) *string { return &p.Description }),
		text("language", every, func(p *Profile) *string { return &p.Language }),
		{"slot", every, func(p *Profile) string { return strconv.Itoa(int(p.Slot)) }, func(p *Profile, s string) (err error) {
			n, err := number(s, 9)
			p.Slot = token.Slot(n)
			return err
		}},
		text("public-id", only(token.YubicoOTP), func(p *Profile) *string { return &p.PublicID }),
		text("access-code", every, func(p *Profile) *string { return &p.AccessCode }),
		{"verify", every, func(p *Profile) string { return string(p.Verify) }, func(p *Profile, s string) error { p.Verify = token.ProofRequired(s); return nil }},
		text("overwrite", every, func(p *Profile) *string { return &p.Overwrite }),
		text("reason", every, func(p *Profile) *string { return &p.Reason }),
		count("digits", only(token.HOTP), func(p *Profile) *int { return &p.Digits }),
		{"moving-factor", only(token.HOTP), func(p *Profile) string { return strconv.FormatInt(p.MovingFactor, 10) }, func(p *Profile, s string) error {
			n, err := number(s, maxMoving)
			p.MovingFactor = int64(n)
			return err
		}},
		text("challenge", only(token.ChallengeResponse), func(p *Profile) *string { return &p.Challenge }),
		yes("fixed-length", only(token.ChallengeResponse), func(p *Profile) *bool { return &p.FixedLength }),
		text("password", only(token.Static), func(p *Profile) *string { return &p.Password }),
		count("length", only(token.Static), func(p *Profile) *int { return &p.Length }),
		text("layout", only(token.Static), func(p *Profile) *string { return &p.Layout }),
		yes("button", only(token.ChallengeResponse), func(p *Profile) *bool { return &p.Button }),
		yes("append-cr", Typing, func(p *Profile) *bool { return &p.Enter }),
		yes("fast-trig", Typing, func(p *Profile) *bool { return &p.FastTrigger }),
		count("pacing", Typing, func(p *Profile) *int { return &p.Pacing }),
		yes("allow-update", every, func(p *Profile) *bool { return &p.Updatable }),
		{"touch", every, func(p *Profile) string { return p.Touch.String() }, func(p *Profile, s string) (err error) {
			p.Touch, err = ParseTouch(s)
			return err
		}},
		text("stock-prefix", every, func(p *Profile) *string { return &p.StockPrefix }),
		{"exports", every, func(p *Profile) string { return strings.Join(p.Exports, ", ") }, setExports},
		text("label", every, func(p *Profile) *string { return &p.Label }),
		text("receipt", every, func(p *Profile) *string { return &p.Receipt }),
	}, cardKeys()...)
}

func text(name string, on func(token.Kind) bool, at func(*Profile) *string) key {
	return key{name, on, func(p *Profile) string { return *at(p) }, func(p *Profile, s string) error { *at(p) = s; return nil }}
}

func count(name string, on func(token.Kind) bool, at func(*Profile) *int) key {
	return key{name, on, func(p *Profile) string { return strconv.Itoa(*at(p)) }, func(p *Profile, s string) (err error) {
		*at(p), err = number(s, maxNumber)
		return err
	}}
}

func yes(name string, on func(token.Kind) bool, at func(*Profile) *bool) key {
	return key{name, on, func(p *Profile) string {
		if *at(p) {
			return "yes"
		}
		return "no"
	}, func(p *Profile, s string) error {
		if s != "yes" && s != "no" {
			return fmt.Errorf("yes and no are possible")
		}
		*at(p) = s == "yes"
		return nil
	}}
}

func setExports(p *Profile, s string) error {
	p.Exports = items(s)
	return nil
}

// items are the words of a line with commas between them.
func items(s string) (out []string) {
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}

const maxNumber = 1000

// number reads a decimal number from 0 to most, without sign and without leading zeros.
func number(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > most || strconv.Itoa(n) != s {
		return 0, fmt.Errorf("a number from 0 to %d is wanted", most)
	}
	return n, nil
}

// SyntaxError is a text that is not of this form: where, and what to do. It never quotes a value.
type SyntaxError struct {
	Line, Column int    // from 1; columns count characters
	Key          string // "" when the line has none
	Problem      string
}

func (e *SyntaxError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
	}
	return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Key, e.Problem)
}

// Line is a key with its value and where they stand, from 1.
type Line struct {
	At, KeyColumn, ValueColumn int
	Key, Value                 string
}

// Refuse is the SyntaxError of a value that makes no sense.
func (l Line) Refuse(problem string) *SyntaxError {
	return &SyntaxError{l.At, l.ValueColumn, l.Key, problem}
}

// RefuseKey is the SyntaxError of a key that nobody knows or that comes again.
func (l Line) RefuseKey(problem string) *SyntaxError {
	return &SyntaxError{l.At, l.KeyColumn, l.Key, problem}
}

// Parse reads a profile: the keys in any order, each once; what is left out is as in New; Check is included. The error is a
// *SyntaxError, or a *CheckError for a key that the text does not have.
func Parse(s string) (Profile, error) {
	p, err := parse(s)
	if err != nil {
		return Profile{}, fmt.Errorf("profile: %w", err)
	}
	return p, nil
}

func parse(s string) (Profile, error) {
	lines, err := Lines(s)
	if err != nil {
		return Profile{}, err
	}
	known := map[string]key{}
	for _, k := range keys() {
		known[k.name] = k
	}
	var p Profile
	for _, l := range lines {
		if l.Key == "kind" {
			p = New("", token.Kind(l.Value))
		}
	}
	if p.Kind == "" {
		p = New("", token.YubicoOTP)
	}
	seen := map[string]int{}
	for _, l := range lines {
		k, ok := known[l.Key]
		switch {
		case !ok:
			return Profile{}, &SyntaxError{l.At, l.KeyColumn, "", "unknown key; the keys are " + names()}
		case seen[l.Key] > 0:
			return Profile{}, l.RefuseKey(fmt.Sprintf("is in line %d already", seen[l.Key]))
		case kindKnown(p.Kind) && !k.on(p.Kind):
			return Profile{}, l.RefuseKey("does not go with kind " + string(p.Kind))
		}
		seen[l.Key] = l.At
		if err := k.set(&p, l.Value); err != nil {
			return Profile{}, l.Refuse(err.Error())
		}
	}
	if p.Password == "ticket" && seen["length"] == 0 {
		p.Length = ticketLength
	}
	p.Cards.fillIn()
	return p, at(lines, p.Check())
}

// at says where the key is that Check found, if the text has it.
func at(lines []Line, err error) error {
	var c *CheckError
	if !errors.As(err, &c) {
		return err
	}
	for _, l := range lines {
		if l.Key == c.Key {
			return l.Refuse(c.Problem)
		}
	}
	return c
}

// ticketLength is what a static ticket types. Source: reference yubikey-otp.md §3.3 (16 bytes in ModHex).
const ticketLength = 32

// Help says of each key, in the order of String, what it takes.
type Help struct{ Key, Values string }

// Keys are all keys but name.
func Keys() []Help {
	return append([]Help{
		{"kind", "yubico-otp, hotp, challenge-response or static"},
		{"description", "one line for people"},
		{"language", "of receipts: de or en (default the site's)"},
		{"slot", "1 (short touch) or 2 (long touch)"},
		{"public-id", "yubico-otp: serial or random"},
		{"access-code", "what guards the slot: random (kept in the store), none, or keep"},
		{"verify", "touch, or none: the first good one-time password at the server is the proof"},
		{"overwrite", "what may be lost: factory or foreign"},
		{"reason", "why it may be lost; kept in the audit chain"},
		{"digits", "hotp: 6 or 8"},
		{"moving-factor", "hotp: where it starts, a multiple of 16"},
		{"challenge", "challenge-response: hmac or yubico"},
		{"fixed-length", "hmac: yes for messages of 64 bytes alone, or no"},
		{"button", "challenge-response: yes if each answer needs a touch, or no; slot program has --touch for it"},
		{"password", "static: scan-codes or ticket"},
		{"length", "static: characters of the password"},
		{"layout", "static: keyboard layout of the computers that it is typed on"},
		{"append-cr", "yes to type Enter at the end, or no"},
		{"fast-trig", "yes for a short touch at once when only slot 1 is in use, or no"},
		{"pacing", "milliseconds between characters: 0, 20, 40 or 60"},
		{"allow-update", "yes if the settings may be changed later without a new secret, or no"},
		{"touch", "which keys of a batch are proven by touch: all, none or sample:N"},
		{"stock-prefix", "stock numbers of a batch are this and a number"},
		{"exports", "key-file formats that a batch leaves, with commas between"},
		{"label", "name of the label's template"},
		{"receipt", "name of the receipt's template"},
	}, cardHelp()...)
}

// Defaults are the profiles that most sites begin with, one of each kind that is proven.
func Defaults() []Profile {
	otp, hotp, login := New("yubico-otp", token.YubicoOTP), New("hotp", token.HOTP), New("challenge-response", token.ChallengeResponse)
	otp.Description = "Yubico OTP by the long touch; slot 1 keeps what it has"
	hotp.Description = "HOTP with six digits by the long touch; slot 1 keeps what it has"
	login.Description = "HMAC-SHA1 challenge-response for log-in to computers"
	return []Profile{otp, hotp, login}
}

func names() string {
	var all []string
	for _, k := range keys() {
		all = append(all, k.name)
	}
	return strings.Join(all, ", ")
}

// Lines are those of a text of this form, without comments and empty lines; the sites' files of package paper have it too. A line ends
// with LF or CRLF. The error is a *SyntaxError.
func Lines(s string) ([]Line, error) {
	if len(s) > MaxFile {
		return nil, &SyntaxError{1, 1, "", fmt.Sprintf("is longer than %d bytes", MaxFile)}
	}
	s = strings.TrimPrefix(s, "\ufeff")
	var out []Line
	n := 0
	for raw := range strings.Lines(s) {
		n++
		l := strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
		if !utf8.ValidString(l) {
			return nil, &SyntaxError{n, 1, "", "is not UTF-8"}
		}
		if i := strings.IndexFunc(l, hidden); i >= 0 {
			return nil, &SyntaxError{n, column(l, i), "", "has a control character"}
		}
		l, _, _ = strings.Cut(l, "#")
		if strings.TrimSpace(l) == "" {
			continue
		}
		name, value, ok := strings.Cut(l, "=")
		keyCol := column(l, len(l)-len(strings.TrimLeftFunc(l, unicode.IsSpace)))
		if !ok {
			return nil, &SyntaxError{n, keyCol, "", `a line is "key = value", empty, or a comment that begins with #`}
		}
		valueCol := column(l, len(l)-len(strings.TrimLeftFunc(value, unicode.IsSpace)))
		out = append(out, Line{n, keyCol, valueCol, strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return out, nil
}

func column(l string, at int) int { return utf8.RuneCountInString(l[:at]) + 1 }

// hidden are characters that a profile may not have: what does not print, or turns the direction of what is beside it. A tab is space.
func hidden(r rune) bool {
	return r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
}

// String is the text form of a profile that Check takes: all keys that apply to its kind and are not empty.
func (p Profile) String() string {
	var b strings.Builder
	for _, k := range keys() {
		if v := k.get(&p); v != "" && (k.on(p.Kind) || !kindKnown(p.Kind)) {
			fmt.Fprintf(&b, "%-13s = %s\n", k.name, v)
		}
	}
	return b.String()
}
