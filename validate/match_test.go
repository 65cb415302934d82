package validate_test

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

const period = 30 * time.Second

// rfcSeed is the key of the tables of both RFCs: the digits again and again.
func rfcSeed(n int) secret.Bytes { return secret.New([]byte(strings.Repeat("1234567890", 7)[:n])) }

func newGenerator(t testing.TB, key secret.Bytes, h oath.Hash, digits int) oath.Generator {
	t.Helper()
	g, err := oath.New(key, h, digits)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func rfcGenerator(t testing.TB) oath.Generator { return newGenerator(t, rfcSeed(20), oath.SHA1, 6) }

// oathRow is an enabled row whose last moving factor is that.
func oathRow(moving int64, c token.Clock) validate.Row {
	n := token.Fresh()
	n.Moving, n.Clock = moving, c
	return validate.Row{Enabled: true, State: token.Active, Token: token.Active, Counters: n}
}

// TestMatchHOTPVectors takes the codes of RFC 4226 appendix D in their order; each is spent by itself and by the next.
func TestMatchHOTPVectors(t *testing.T) {
	t.Parallel()
	g, r := rfcGenerator(t), oathRow(-1, token.Clock{})
	for n, code := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		moving, how := validate.MatchHOTP(g, r, validate.HOTPWindow, code)
		if moving != int64(n) || how != validate.Fresh {
			t.Errorf("%s: %d %s, want %d", code, moving, how, n)
		}
		r.Counters.Moving = moving
		if moving, how = validate.MatchHOTP(g, r, validate.HOTPWindow, code); how != validate.Spent || moving != int64(n) {
			t.Errorf("%s again: %d %s", code, moving, how)
		}
	}
	if _, how := validate.MatchHOTP(g, r, validate.HOTPWindow, "399871"); how != validate.NoMatch {
		t.Errorf("the code before the last one: %s", how)
	}
}

// TestMatchTOTPVectors is RFC 6238 appendix B.
func TestMatchTOTPVectors(t *testing.T) {
	t.Parallel()
	generators := []oath.Generator{newGenerator(t, rfcSeed(20), oath.SHA1, 8), newGenerator(t, rfcSeed(32), oath.SHA256, 8), newGenerator(t, rfcSeed(64), oath.SHA512, 8)}
	for _, tc := range []struct {
		unix, step int64
		codes      [3]string
	}{
		{59, 1, [3]string{"94287082", "46119246", "90693936"}},
		{1111111109, 0x23523EC, [3]string{"07081804", "68084774", "25091201"}},
		{1111111111, 0x23523ED, [3]string{"14050471", "67062674", "99943326"}},
		{1234567890, 0x273EF07, [3]string{"89005924", "91819424", "93441116"}},
		{2000000000, 0x3F940AA, [3]string{"69279037", "90698825", "38618901"}},
		{20000000000, 0x27BC86AA, [3]string{"65353130", "77737706", "47863826"}},
	} {
		for i, g := range generators {
			moving, how := validate.MatchTOTP(g, oathRow(-1, token.Clock{}), period, 1, time.Unix(tc.unix, 0), tc.codes[i])
			if moving != tc.step || how != validate.Fresh {
				t.Errorf("%d, %d: step %X %s, want %X", tc.unix, i, moving, how, tc.step)
			}
			if _, how := validate.MatchTOTP(g, oathRow(tc.step, token.Clock{}), period, 1, time.Unix(tc.unix, 0), tc.codes[i]); how != validate.Spent {
				t.Errorf("%d, %d again: %s", tc.unix, i, how)
			}
		}
	}
}

func TestHOTPWindow(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	for _, tc := range []struct {
		stored, of int64
		how        validate.Match
	}{
		{-1, 0, validate.Fresh}, {-1, 10, validate.Fresh}, {-1, 11, validate.NoMatch},
		{100, 99, validate.NoMatch}, {100, 100, validate.Spent}, {100, 101, validate.Fresh}, {100, 111, validate.Fresh}, {100, 112, validate.NoMatch},
	} {
		moving, how := validate.MatchHOTP(g, oathRow(tc.stored, token.Clock{}), validate.HOTPWindow, g.Code(tc.of))
		want := tc.stored
		if tc.how == validate.Fresh {
			want = tc.of
		}
		if how != tc.how || moving != want {
			t.Errorf("code of %d after %d: %d %s, want %d %s", tc.of, tc.stored, moving, how, want, tc.how)
		}
	}
	for _, code := range []string{"", "0", "12345", "1234567", "٧٥٥٢٢٤", "755224 ", "\x00\x00\x00\x00\x00\x00"} {
		if _, how := validate.MatchHOTP(g, oathRow(-1, token.Clock{}), validate.HOTPWindow, code); how != validate.NoMatch {
			t.Errorf("%q: %s", code, how)
		}
	}
}

func TestTOTPWindow(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	for _, tc := range []struct {
		name   string
		stored int64 // as offset from now, like drift and of
		drift  int64
		window int
		of     int64
		how    validate.Match
	}{
		{"now", -5, 0, 1, 0, validate.Fresh},
		{"one back", -5, 0, 1, -1, validate.Fresh},
		{"one ahead", -5, 0, 1, 1, validate.Fresh},
		{"two back", -5, 0, 1, -2, validate.NoMatch},
		{"two ahead", -5, 0, 1, 2, validate.NoMatch},
		{"the last one", 0, 0, 1, 0, validate.Spent},
		{"before the last one", 0, 0, 1, -1, validate.Spent},
		{"after the last one", 0, 0, 1, 1, validate.Fresh},
		{"a slow clock", -9, -4, 1, -4, validate.Fresh},
		{"a slow clock, our step", -9, -4, 1, 0, validate.NoMatch},
		{"a slow clock, the last one", -4, -4, 1, -4, validate.Spent},
		{"a wide window", -20, 0, 10, 10, validate.Fresh},
		{"a wide window, past it", -20, 0, 10, -11, validate.NoMatch},
		{"a last one far ahead", 50, 0, 1, 1, validate.Spent},
	} {
		here := oath.Step(now, period)
		moving, how := validate.MatchTOTP(g, oathRow(here+tc.stored, token.Clock{Drift: tc.drift}), period, tc.window, now, g.Code(here+tc.of))
		want := tc.stored
		if tc.how == validate.Fresh {
			want = tc.of
		}
		if how != tc.how || moving != here+want {
			t.Errorf("%s: %+d %s, want %+d %s", tc.name, moving-here, how, want, tc.how)
		}
	}
	if moving, how := validate.MatchTOTP(g, oathRow(-1, token.Clock{}), period, 1, time.Unix(0, 0), g.Code(0)); moving != 0 || how != validate.Fresh {
		t.Errorf("in 1970: %d %s", moving, how)
	}
}

// TestNoTextCountsTwice takes a seed whose first code comes again eight codes later: neither of the two counts after the other.
func TestNoTextCountsTwice(t *testing.T) {
	t.Parallel()
	key := make([]byte, 20)
	copy(key, []byte{0x30, 0xdd, 0x03}) // found by trying
	g := newGenerator(t, secret.New(key), oath.SHA1, 6)
	if g.Code(0) != g.Code(8) {
		t.Fatal("another seed is needed")
	}
	if moving, how := validate.MatchHOTP(g, oathRow(-1, token.Clock{}), validate.HOTPWindow, g.Code(0)); moving != 8 || how != validate.Fresh {
		t.Errorf("first: %d %s, want 8", moving, how)
	}
	if _, how := validate.MatchHOTP(g, oathRow(0, token.Clock{}), validate.HOTPWindow, g.Code(0)); how != validate.Spent {
		t.Errorf("after 0: %s", how)
	}
}

func TestPairHOTP(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	for _, tc := range []struct {
		name                  string
		stored, first, second int64
		want                  validate.Match
	}{
		{"next two", 99, 100, 101, validate.Fresh},
		{"far", 99, 1100, 1101, validate.Fresh},
		{"too far", 99, 1101, 1102, validate.NoMatch},
		{"the last one and the next", 100, 100, 101, validate.NoMatch},
		{"old", 100, 50, 51, validate.NoMatch},
		{"of a fresh token", -1, 0, 1, validate.Fresh},
		{"the same twice", 99, 100, 100, validate.NoMatch},
		{"one between", 99, 100, 102, validate.NoMatch},
		{"backwards", 99, 101, 100, validate.NoMatch},
	} {
		moving, how := validate.MatchPairHOTP(g, oathRow(tc.stored, token.Clock{}), g.Code(tc.first), g.Code(tc.second))
		if how != tc.want || how == validate.Fresh && moving != tc.second || how == validate.NoMatch && moving != tc.stored {
			t.Errorf("%s: %d %s, want %s", tc.name, moving, how, tc.want)
		}
	}
}

// TestEqualPair: two equal codes show nothing, even where a token really shows them one after the other.
func TestEqualPair(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	const twice = 910737 // found by trying
	if g.Code(twice) != g.Code(twice+1) {
		t.Fatal("another moving factor is needed")
	}
	if _, how := validate.MatchPairHOTP(g, oathRow(twice-5, token.Clock{}), g.Code(twice), g.Code(twice)); how != validate.NoMatch {
		t.Errorf("HOTP: %s", how)
	}
	if _, how := validate.MatchPairTOTP(g, oathRow(-1, token.Clock{}), period, time.Unix(twice*30, 0), g.Code(twice), g.Code(twice)); how != validate.NoMatch {
		t.Errorf("TOTP: %s", how)
	}
}

// TestEndOfCounters: a counter next to the largest number, of a damaged or hostile file, is looked at in finite time.
func TestEndOfCounters(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	for ahead := range int64(validate.ResyncWindow + 20) {
		r := oathRow(math.MaxInt64-ahead, token.Clock{})
		moving, how := validate.MatchHOTP(g, r, validate.HOTPWindow, g.Code(math.MaxInt64-1))
		if how == validate.Fresh && moving <= r.Counters.Moving {
			t.Errorf("%d after %d", moving, r.Counters.Moving)
		}
		if ahead%100 == 3 {
			validate.MatchPairHOTP(g, r, "000000", "000001")
		}
	}
	r := oathRow(math.MaxInt64-validate.ResyncWindow-1, token.Clock{}) // the last pair would end at the largest number
	validate.MatchPairHOTP(g, r, "000000", "000001")
}

func TestPairTOTP(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	for _, tc := range []struct {
		name                  string
		stored, first, second int64 // as offsets from now
		want                  validate.Match
	}{
		{"now", -100, -1, 0, validate.Fresh},
		{"an hour slow", -5000, -121, -120, validate.Fresh},
		{"a day slow", -5000, -2880, -2879, validate.Fresh},
		{"more than a day slow", -5000, -2881, -2880, validate.NoMatch},
		{"a day fast", -5000, 2880, 2881, validate.Fresh},
		{"more than a day fast", -5000, 2881, 2882, validate.NoMatch},
		{"20 minutes old, used since", -2, -40, -39, validate.NoMatch},
		{"one of them used", -40, -40, -39, validate.NoMatch},
		{"just past the last one", -41, -40, -39, validate.Fresh},
		{"the same twice", -100, 0, 0, validate.NoMatch},
		{"one between", -100, -2, 0, validate.NoMatch},
		{"backwards", -100, 0, -1, validate.NoMatch},
	} {
		here := oath.Step(now, period)
		moving, how := validate.MatchPairTOTP(g, oathRow(here+tc.stored, token.Clock{}), period, now, g.Code(here+tc.first), g.Code(here+tc.second))
		if how != tc.want || how == validate.Fresh && moving != here+tc.second {
			t.Errorf("%s: %+d %s, want %s", tc.name, moving-here, how, tc.want)
		}
	}
}

// TestOathtool lets oathtool make the codes of random tokens.
func TestOathtool(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("oathtool"); err != nil {
		t.Skip("oathtool is not installed")
	}
	hashes := []oath.Hash{oath.SHA1, oath.SHA256, oath.SHA512}
	periods := []time.Duration{15 * time.Second, period, time.Minute, 7 * time.Second}
	for n := range 60 {
		key, err := secret.Random(rand.Reader, 16+mathrand.IntN(49))
		if err != nil {
			t.Fatal(err)
		}
		hash, digits, p := hashes[n%3], 6+n/3%3, periods[n%4]
		g := newGenerator(t, key, hash, digits)
		at := time.Unix(mathrand.Int64N(4e9), 0).UTC()
		step, offset := oath.Step(at, p), mathrand.Int64N(21)-10
		shown := at.Add(time.Duration(offset) * p)
		code := oathtool(t, key, "--totp="+string(hash), fmt.Sprintf("--digits=%d", digits), fmt.Sprintf("--time-step-size=%ds", int(p.Seconds())),
			shown.Format("--now=2006-01-02 15:04:05 UTC"))
		clock := token.Clock{Drift: offset + mathrand.Int64N(3) - 1}
		moving, how := validate.MatchTOTP(g, oathRow(-1, clock), p, 1, at, code)
		if step+offset >= 0 && (how != validate.Fresh || moving != step+offset) {
			t.Errorf("%s, %d digits, %s, at %d, %+d steps: %d %s", hash, digits, p, at.Unix(), offset, moving-step, how)
		}
		if hash == oath.SHA1 { // oathtool has no other for HOTP
			counter := mathrand.Int64N(1 << 40)
			code := oathtool(t, key, "--hotp", fmt.Sprintf("--digits=%d", digits), fmt.Sprintf("--counter=%d", counter))
			moving, how := validate.MatchHOTP(g, oathRow(counter-1-int64(n%11), token.Clock{}), validate.HOTPWindow, code)
			if how != validate.Fresh || moving != counter {
				t.Errorf("%d digits, counter %d: %d %s", digits, counter, moving, how)
			}
		}
		key.Destroy()
	}
}

// oathtool gives the key on standard input, as it would be seen otherwise.
func oathtool(t *testing.T, key secret.Bytes, args ...string) string {
	t.Helper()
	cmd := exec.Command("oathtool", append(args, "-")...)
	cmd.Stdin = strings.NewReader(hex.EncodeToString(key.Reveal()))
	if len(key.Reveal())%2 == 1 { // both ways of writing a key
		cmd.Args = append(cmd.Args[:1:1], append([]string{"--base32"}, cmd.Args[1:]...)...)
		cmd.Stdin = strings.NewReader(base32.StdEncoding.EncodeToString(key.Reveal()))
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oathtool %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}
