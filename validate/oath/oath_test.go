package oath

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// seed is the key of both RFCs' tables: the digits again and again, n bytes.
func seed(n int) secret.Bytes { return secret.New([]byte(strings.Repeat("1234567890", 7)[:n])) }

func newGenerator(t testing.TB, key secret.Bytes, h Hash, digits int) Generator {
	t.Helper()
	g, err := New(key, h, digits)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestHOTP is RFC 4226 appendix D.
func TestHOTP(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, seed(20), SHA1, 6)
	for counter, want := range []struct {
		mac       string
		truncated uint32
		code      string
	}{
		{"cc93cf18508d94934c64b65d8ba7667fb7cde4b0", 1284755224, "755224"},
		{"75a48a19d4cbe100644e8ac1397eea747a2d33ab", 1094287082, "287082"},
		{"0bacb7fa082fef30782211938bc1c5e70416ff44", 137359152, "359152"},
		{"66c28227d03a2d5529262ff016a1e6ef76557ece", 1726969429, "969429"},
		{"a904c900a64b35909874b33e61c5938a8e15ed1c", 1640338314, "338314"},
		{"a37e783d7b7233c083d4f62926c7a25f238d0316", 868254676, "254676"},
		{"bc9cd28561042c83f219324d3c607256c03272ae", 1918287922, "287922"},
		{"a4fb960c0bc06e1eabb804e5b397cdc4b45596fa", 82162583, "162583"},
		{"1b3c89f65e6c9e883012052823443f048b4332db", 673399871, "399871"},
		{"1637409809a679dc698207310c8c7fc07290d9e5", 645520489, "520489"},
	} {
		mac := g.mac(int64(counter))
		if got := hex.EncodeToString(mac); got != want.mac {
			t.Errorf("%d: mac %s, want %s", counter, got, want.mac)
		}
		if got := truncate(mac); got != want.truncated {
			t.Errorf("%d: truncated %d, want %d", counter, got, want.truncated)
		}
		if got := g.Code(int64(counter)); got != want.code {
			t.Errorf("%d: code %s, want %s", counter, got, want.code)
		}
	}
}

// TestTOTP is RFC 6238 appendix B.
func TestTOTP(t *testing.T) {
	t.Parallel()
	sha1, sha256, sha512 := newGenerator(t, seed(20), SHA1, 8), newGenerator(t, seed(32), SHA256, 8), newGenerator(t, seed(64), SHA512, 8)
	for _, tc := range []struct {
		unix, step           int64
		sha1, sha256, sha512 string
	}{
		{59, 1, "94287082", "46119246", "90693936"},
		{1111111109, 0x23523EC, "07081804", "68084774", "25091201"},
		{1111111111, 0x23523ED, "14050471", "67062674", "99943326"},
		{1234567890, 0x273EF07, "89005924", "91819424", "93441116"},
		{2000000000, 0x3F940AA, "69279037", "90698825", "38618901"},
		{20000000000, 0x27BC86AA, "65353130", "77737706", "47863826"},
	} {
		step := Step(time.Unix(tc.unix, 999), 30*time.Second)
		if step != tc.step {
			t.Errorf("%d: step %X, want %X", tc.unix, step, tc.step)
		}
		for got, want := range map[string]string{sha1.Code(step): tc.sha1, sha256.Code(step): tc.sha256, sha512.Code(step): tc.sha512} {
			if got != want {
				t.Errorf("%d: %s, want %s", tc.unix, got, want)
			}
		}
	}
}

func TestStep(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ unix, period, want int64 }{
		{0, 30, 0}, {29, 30, 0}, {30, 30, 1}, {59, 60, 0}, {60, 60, 1}, {7, 1, 7}, {-1, 30, -1}, {-30, 30, -1}, {-31, 30, -2},
	} {
		if got := Step(time.Unix(tc.unix, 0), time.Duration(tc.period)*time.Second); got != tc.want {
			t.Errorf("%d in steps of %d: %d, want %d", tc.unix, tc.period, got, tc.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		key    secret.Bytes
		hash   Hash
		digits int
		want   error
	}{
		{seed(20), "md5", 6, ErrHash}, {seed(20), "", 6, ErrHash}, {seed(20), SHA1, 5, ErrDigits}, {seed(20), SHA1, 9, ErrDigits},
		{secret.Bytes{}, SHA1, 6, ErrKey}, {seed(1), SHA512, 8, nil},
	} {
		if _, err := New(tc.key, tc.hash, tc.digits); !errors.Is(err, tc.want) {
			t.Errorf("%s, %d digits, %d bytes: %v, want %v", tc.hash, tc.digits, tc.key.Len(), err, tc.want)
		}
	}
}

// TestOathtool compares with oathtool: key lengths around the block sizes, where padding and hashing of the key change.
func TestOathtool(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("oathtool")
	if err != nil {
		t.Skip("oathtool is not installed")
	}
	for _, n := range []int{1, 19, 20, 21, 63, 64, 65} {
		for digits := MinDigits; digits <= MaxDigits; digits++ {
			key := seed(n)
			out, err := exec.CommandContext(t.Context(), tool, fmt.Sprint("--digits=", digits), "--counter=9223372036854775800", "--window=3", hex.EncodeToString(key.Reveal())).Output()
			if err != nil {
				t.Fatal(err)
			}
			g := newGenerator(t, key, SHA1, digits)
			for i, want := range strings.Fields(string(out)) {
				if got := g.Code(9223372036854775800 + int64(i)); got != want {
					t.Errorf("%d bytes, %d digits, +%d: %s, want %s", n, digits, i, got, want)
				}
			}
		}
	}
}

func TestKeyDoesNotPrint(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if s := fmt.Sprintf(verb, newGenerator(t, seed(20), SHA1, 6)); strings.Contains(s, "1234") || strings.Contains(s, "31323334") {
			t.Errorf("%s: %s", verb, s)
		}
	}
}
