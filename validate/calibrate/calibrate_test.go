package calibrate

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// now is the time of the codes in reference key-files.md §2.
var now = time.Unix(1772359200, 0)

// key is a seed of n bytes that no text of another encoding gives.
func key(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(37*i*i + 11*i + 200)
	}
	return b
}

// oathtool runs the OATH Toolkit's program, the judge of these codes.
func oathtool(t *testing.T, args ...string) []string {
	t.Helper()
	path, err := exec.LookPath("oathtool")
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("oathtool is not installed, and TOKENDESK_JUDGES is 1")
		}
		t.Skip("oathtool is not installed")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// written are the texts of a key, by encoding.
func written(b []byte) map[seedtable.Encoding]string {
	triplets := ""
	for _, c := range b {
		triplets += fmt.Sprintf("%03d", c)
	}
	return map[seedtable.Encoding]string{
		seedtable.Hex: strings.ToUpper(hex.EncodeToString(b)), seedtable.Base32: strings.ToLower(base32.StdEncoding.EncodeToString(b)),
		seedtable.Base64: base64.StdEncoding.EncodeToString(b), seedtable.Decimal: new(big.Int).SetBytes(b).String(), seedtable.DecimalBytes: triplets,
	}
}

func TestOathtool(t *testing.T) {
	t.Parallel()
	b := key(20)
	for encoding, text := range written(b) {
		if testing.Short() && encoding != seedtable.Base32 {
			continue
		}
		for _, want := range []Fit{
			{Kind: token.TOTP, Hash: oath.SHA1, Digits: 6, Period: time.Minute, Drift: -2 * time.Minute},
			{Kind: token.TOTP, Hash: oath.SHA256, Digits: 8, Period: 30 * time.Second, Drift: 23 * time.Hour},
			{Kind: token.TOTP, Hash: oath.SHA512, Digits: 7, Period: 15 * time.Second},
			{Kind: token.HOTP, Hash: oath.SHA1, Digits: 6, Counter: MaxCounter + 2},
			{Kind: token.HOTP, Hash: oath.SHA1, Digits: 8, Counter: 2},
		} {
			want.Encoding = encoding
			args := []string{fmt.Sprint("--digits=", want.Digits), "--window=1", hex.EncodeToString(b)}
			if want.Kind == token.HOTP {
				args = append(args, fmt.Sprint("--counter=", want.Counter-2))
			} else {
				at := now.Add(want.Drift - want.Period)
				args = append(args, "--totp="+string(want.Hash), fmt.Sprintf("--time-step-size=%ds", int(want.Period.Seconds())), fmt.Sprintf("--now=@%d", at.Unix()))
			}
			codes := oathtool(t, args...)
			fits, err := Find(secret.Copy([]byte(text)), codes[0], codes[1], now)
			if err != nil || len(fits) != 1 || fits[0] != want {
				t.Errorf("%s: got %v, %v", want, fits, err)
			}
		}
	}
}

// codes are the two that a token shows.
func codes(t *testing.T, b []byte, hash oath.Hash, digits int, c int64) (first, second string) {
	t.Helper()
	g, err := oath.New(secret.Copy(b), hash, digits)
	if err != nil {
		t.Fatal(err)
	}
	return g.Code(c), g.Code(c + 1)
}

func TestASCII(t *testing.T) {
	t.Parallel()
	text := "12345678901234567890" // the seed of RFC 4226
	fits, err := Find(secret.Copy([]byte(text)), "755224", "287 082", now)
	if err != nil || len(fits) != 1 || fits[0] != (Fit{Encoding: seedtable.ASCII, Kind: token.HOTP, Hash: oath.SHA1, Digits: 6, Counter: 2}) {
		t.Errorf("%v, %v", fits, err)
	}
}

// A text that is hexadecimal and base32 is what two codes decide.
func TestAmbiguousText(t *testing.T) {
	t.Parallel()
	text := "22334455667722334455667722334455667722AA"
	step := oath.Step(now, time.Minute)
	for _, e := range []seedtable.Encoding{seedtable.Hex, seedtable.Base32} {
		seed, err := e.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		first, second := codes(t, seed.Reveal(), oath.SHA1, 6, step-1)
		fits, err := Find(secret.Copy([]byte(text)), first, second, now)
		if err != nil || len(fits) != 1 || fits[0].Encoding != e || fits[0].Drift != 0 {
			t.Errorf("%s: %v, %v", e, fits, err)
		}
	}
}

// Several fits are all listed, the smallest drift first: step n at 30 seconds and counter n look alike near the start of time.
func TestSeveralFits(t *testing.T) {
	t.Parallel()
	early := time.Unix(600*60, 0)
	first, second := codes(t, key(20), oath.SHA1, 6, 599)
	fits, err := Find(secret.Copy([]byte(hex.EncodeToString(key(20)))), first, second, early)
	var said []string
	for _, f := range fits {
		said = append(said, f.String())
	}
	want := []string{"hex, hotp, sha1, 6 digits, counter 601", "hex, totp, sha1, 6 digits, 60 s, clock right",
		"hex, totp, sha1, 6 digits, 30 s, clock 5h0m0s slow", "hex, totp, sha1, 6 digits, 15 s, clock 7h30m0s slow"}
	if err != nil || fmt.Sprint(said) != fmt.Sprint(want) {
		t.Errorf("%q, %v", said, err)
	}
}

func TestNothingFits(t *testing.T) {
	t.Parallel()
	text := secret.Copy([]byte(hex.EncodeToString(key(20))))
	step := oath.Step(now, 30*time.Second)
	g, err := oath.New(secret.Copy(key(20)), oath.SHA1, 6)
	if err != nil {
		t.Fatal(err)
	}
	day := int64(MaxDrift / (30 * time.Second))
	for name, c := range map[string][2]string{
		"one missed":      {g.Code(step - 2), g.Code(step)},
		"wrong order":     {g.Code(step), g.Code(step - 1)},
		"more than a day": {g.Code(step + day), g.Code(step + day + 1)},
		"counter 1001":    {g.Code(MaxCounter + 1), g.Code(MaxCounter + 2)},
		"another token":   {"123456", "654321"},
	} {
		if fits, err := Find(text, c[0], c[1], now); len(fits) != 0 || err != nil {
			t.Errorf("%s: %v, %v", name, fits, err)
		}
	}
	if fits, err := Find(text, g.Code(step+day-1), g.Code(step+day), now); len(fits) != 1 || err != nil {
		t.Errorf("just a day: %v, %v", fits, err)
	}
	if fits, err := Find(secret.Copy([]byte("\x00\xFF")), "123456", "654321", now); len(fits) != 0 || err != nil {
		t.Errorf("no seed: %v, %v", fits, err)
	}
}

func TestCodesAreChecked(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		first, second string
		want          error
	}{{"12345", "12346", ErrCodes}, {"123456", "1234567", ErrCodes}, {"123456789", "123456780", ErrCodes}, {"12345a", "123456", ErrCodes}, {"", "", ErrCodes}, {"123456", "123 456", ErrSame}} {
		if fits, err := Find(secret.Copy(key(20)), tc.first, tc.second, now); !errors.Is(err, tc.want) || fits != nil {
			t.Errorf("%q, %q: %v, %v", tc.first, tc.second, fits, err)
		}
	}
}

// FuzzFind: no panic; every fit gives both codes again.
func FuzzFind(f *testing.F) {
	f.Add([]byte("12345678901234567890"), "755224", "287082")
	f.Add([]byte(hex.EncodeToString(key(20))), "000000", "1234567")
	f.Fuzz(func(t *testing.T, text []byte, first, second string) {
		fits, _ := Find(secret.Copy(text), first, second, now)
		for _, fit := range fits {
			seed, err := fit.Encoding.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			c := fit.Counter - 2
			if fit.Kind == token.TOTP {
				c = oath.Step(now.Add(fit.Drift), fit.Period) - 1
			}
			if a, b := codes(t, seed.Reveal(), fit.Hash, fit.Digits, c); a != pack(first) || b != pack(second) {
				t.Errorf("%s does not give the codes", fit)
			}
		}
	})
}

func BenchmarkFind(b *testing.B) {
	text := secret.Copy([]byte("22334455667722334455667722334455667722AA"))
	for b.Loop() {
		if _, err := Find(text, "123456", "654321", now); err != nil {
			b.Fatal(err)
		}
	}
}
