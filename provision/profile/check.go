package profile

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
)

// CheckError is a profile that makes no sense: which key, and what to do.
type CheckError struct{ Key, Problem string }

func (e *CheckError) Error() string { return fmt.Sprintf("%s: %s", e.Key, e.Problem) }

// Kinds are those that a profile can have.
func Kinds() []token.Kind {
	return []token.Kind{token.YubicoOTP, token.HOTP, token.ChallengeResponse, token.Static}
}

func kindKnown(k token.Kind) bool { return slices.Contains(Kinds(), k) }

// Check says what is wrong and what to do: nil, or a *CheckError.
func (p Profile) Check() error {
	for _, c := range []struct {
		key     string
		bad     bool
		problem string
	}{
		{"name", !isName(p.Name, MaxName), fmt.Sprintf("give it a name of a–z, 0–9, -, _ and ., with a letter or digit first, %d at most", MaxName)},
		{"kind", !kindKnown(p.Kind), "yubico-otp, hotp, challenge-response and static are possible"},
		{"language", !slices.Contains([]string{"", "de", "en"}, p.Language), "de and en are possible, or leave it out: the site's"},
		{"slot", p.Slot != 1 && p.Slot != 2, "a key has slot 1 (short touch) and slot 2 (long touch)"},
		{"public-id", !slices.Contains([]string{"serial", "random", "none"}, p.PublicID),
			"serial and random are possible, and none where the kind has no public ID; one ID for many keys is not"},
		{"public-id", p.Kind == token.YubicoOTP && p.PublicID == "none", "serial and random are possible: without one no server knows whose OTP it is"},
		{"public-id", p.Kind != token.YubicoOTP && p.PublicID != "none", "leave it out: only yubico-otp has a public ID"},
		{"access-code", !slices.Contains([]string{"random", "none", "keep"}, p.AccessCode), "random, none and keep are possible; the code itself is never in a profile"},
		{"verify", p.Verify != token.ByTouch && p.Verify != token.NoProof, "touch and none are possible"},
		{"overwrite", !slices.Contains([]string{"", "factory", "foreign"}, p.Overwrite), "factory and foreign are possible, or leave it out"},
		{"reason", p.Overwrite != "" && p.Reason == "", "say why what is in the slot may be lost: it cannot be restored"},
		{"reason", p.Overwrite == "" && p.Reason != "", "leave it out, or say with overwrite what may be lost"},
	} {
		if c.bad {
			return &CheckError{c.key, c.problem}
		}
	}
	for _, check := range []func() error{p.checkOptions, p.checkCards, p.checkPaper} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (p Profile) checkOptions() error {
	typing, hotp, static, chal := Typing(p.Kind), p.Kind == token.HOTP, p.Kind == token.Static, p.Kind == token.ChallengeResponse
	for _, c := range []struct {
		key     string
		bad     bool
		problem string
	}{
		{"verify", p.Verify == token.ByTouch && !provable(p.Kind), "none: only yubico-otp and hotp are proven by touch"},
		{"touch", (p.Touch.All || p.Touch.Sample != 0) && !provable(p.Kind), "none: only yubico-otp and hotp are proven by touch"},
		{"touch", p.Touch.All && p.Touch.Sample != 0 || p.Touch.Sample < 0 || p.Touch.Sample > maxSample, "all, none and sample:N are possible"},
		{"digits", hotp && p.Digits != 6 && p.Digits != 8 || !hotp && p.Digits != 0, "6 and 8 are possible, for hotp alone"},
		{"moving-factor", p.MovingFactor < 0 || p.MovingFactor > maxMoving || p.MovingFactor%16 != 0 || !hotp && p.MovingFactor != 0,
			fmt.Sprintf("a multiple of 16 up to %d is possible, for hotp alone", maxMoving)},
		{"challenge", !among(p.Challenge, chal, "hmac", "yubico"), "hmac and yubico are possible, for challenge-response alone"},
		{"fixed-length", p.FixedLength && p.Challenge != "hmac", "leave it out: only hmac has messages of any length"},
		{"password", !among(p.Password, static, "scan-codes", "ticket"), "scan-codes and ticket are possible, for static alone"},
		{"length", static && (p.Length < 1 || p.Length > maxPassword) || !static && p.Length != 0, fmt.Sprintf("1 to %d characters, for static alone", maxPassword)},
		{"layout", static && !isName(p.Layout, MaxName) || !static && p.Layout != "", "names a keyboard layout, such as modhex or de, for static alone"},
		{"button", p.Button && p.Kind != token.ChallengeResponse, "leave it out: the other kinds always need a touch"},
		{"pacing", !slices.Contains([]int{0, 20, 40, 60}, p.Pacing) || p.Pacing != 0 && !typing, "0, 20, 40 and 60 milliseconds are possible, for kinds that type"},
		{"append-cr", p.Enter && !typing, "leave it out: the slot types nothing"},
		{"fast-trig", p.FastTrigger && !typing, "leave it out: the slot types nothing"},
	} {
		if c.bad {
			return &CheckError{c.key, c.problem}
		}
	}
	return nil
}

// maxMoving is the highest start of a moving factor. Source: reference yubikey-otp.md §3.8 (16 bits, in units of 16).
const maxMoving = 0xffff * 16

// maxPassword is the most that a slot types from scan codes. Source: reference yubikey-otp.md §3.3 (fixed, UID and key: 38 bytes).
const maxPassword = 38

// among: a value of the list where it applies, and nothing where it does not.
func among(s string, applies bool, list ...string) bool {
	if !applies {
		return s == ""
	}
	return slices.Contains(list, s)
}

// provable: a touch types something of which the station can tell that it holds the new secret.
func provable(k token.Kind) bool { return k == token.YubicoOTP || k == token.HOTP }

func (p Profile) checkPaper() error {
	for _, c := range []struct {
		key, value string
		most       int
	}{{"description", p.Description, MaxText}, {"reason", p.Reason, MaxText}, {"stock-prefix", p.StockPrefix, MaxStock}} {
		switch {
		case len(c.value) > c.most:
			return &CheckError{c.key, fmt.Sprintf("is too long: %d bytes at most", c.most)}
		case !utf8.ValidString(c.value):
			return &CheckError{c.key, "is not UTF-8"}
		case strings.ContainsFunc(c.value, hidden) || strings.ContainsAny(c.value, "#\t"):
			return &CheckError{c.key, "has a control character or #"}
		case strings.TrimSpace(c.value) != c.value:
			return &CheckError{c.key, "begins or ends with a space"}
		}
	}
	if i := strings.IndexFunc(p.StockPrefix, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return &CheckError{"stock-prefix", "letters, digits and signs that a barcode holds are possible, without spaces"}
	}
	for _, t := range []struct{ key, name string }{{"label", p.Label}, {"receipt", p.Receipt}} {
		if t.name != "" && !isName(t.name, MaxName) {
			return &CheckError{t.key, "names a template: a–z, 0–9, -, _ and . are possible"}
		}
	}
	if len(p.Exports) > maxList {
		return &CheckError{"exports", fmt.Sprintf("%d formats at most", maxList)}
	}
	for i, one := range p.Exports {
		if !isName(one, MaxName) || slices.Contains(p.Exports[:i], one) {
			return &CheckError{"exports", "names of key-file formats, each once, with commas between (tokendesk keyfile formats)"}
		}
	}
	return nil
}

// isName is a word that is safe as a file's name and on a command line.
func isName(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '-' || c == '_' || c == '.'):
		default:
			return false
		}
	}
	return true
}
