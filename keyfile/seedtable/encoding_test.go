package seedtable

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// encode writes a seed as a vendor would, in one of the ways that the encoding allows.
func encode(r *rand.Rand, e Encoding, b []byte) string {
	var s string
	switch e {
	case DecimalBytes:
		for _, c := range b {
			s += fmt.Sprintf("%03d", c)
		}
		return s
	case Decimal:
		return new(big.Int).SetBytes(b).String()
	case Hex:
		s = hex.EncodeToString(b)
	case Base32:
		s = base32.StdEncoding.EncodeToString(b)
	case Base64:
		return base64.StdEncoding.EncodeToString(b)
	}
	if r.IntN(2) == 0 {
		s = strings.TrimRight(s, "=")
	}
	if r.IntN(2) == 0 {
		return strings.ToUpper(s)
	}
	return strings.ToLower(s)
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	carol := sample.SeedCarol
	for _, tc := range []struct {
		encoding   Encoding
		text, want string // "": refused
	}{
		{Hex, carol, carol}, {Hex, strings.ToUpper(carol), carol}, {Hex, " 124f 79a8-1d17 ", "124f79a81d17"}, {Hex, "124", ""}, {Hex, "12g4", ""}, {Hex, "", ""}, {Hex, "--", ""},
		{Base32, base32Carol, carol}, {Base32, strings.ToLower(base32Carol), carol}, {Base32, "MZXW6===", "666f6f"}, {Base32, "MZXW6", "666f6f"}, {Base32, "MZX", ""}, {Base32, "MZXW6YTBO", ""}, {Base32, "MZXW6YTBMZX", ""}, {Base32, "MZXW6YTBMZXW6Y", ""}, {Base32, "MZXW1", ""}, {Base32, "=", ""},
		{Base64, "Ek95qB0X1P8jXD4YOeITElAbuWg=", carol}, {Base64, "Ek95qB0X1P8jXD4YOeITElAbuWg", carol}, {Base64, "-_8=", "fbff"}, {Base64, "+/8", "fbff"}, {Base64, "a", ""}, {Base64, "a!==", ""},
		{DecimalBytes, "018079121168", "124f79a8"}, {DecimalBytes, "256", ""}, {DecimalBytes, "0180", ""}, {DecimalBytes, "01a", ""},
		{Decimal, strings.Repeat("0", 35) + "1", strings.Repeat("0", 31) + "1"}, {Decimal, "1", ""}, {Decimal, strings.Repeat("9", 155), ""}, {Decimal, strings.Repeat("9", 5000), ""}, {Decimal, "-" + strings.Repeat("9", 30) + "x", ""},
		{Decimal, "104535216929352129104384217206421912571158935912", "124f79a81d17d4ff235c3e1839e21312501bb968"},
		{ASCII, "ab c", "61622063"}, {ASCII, "ä", ""}, {"rot13", "ab", ""},
	} {
		if tc.encoding == Decimal && len(tc.text) == 48 {
			b, _ := hex.DecodeString(carol)
			tc.text = new(big.Int).SetBytes(b).String()
		}
		s, err := tc.encoding.Decode([]byte(tc.text))
		if got := hex.EncodeToString(s.Reveal()); got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s of %.60q: %s, %v", tc.encoding, tc.text, got, err)
		}
	}
}

// Reference key-files.md §2: a text of 2-7A-F only is hexadecimal and base32; one other row decides.
func TestAmbiguity(t *testing.T) {
	t.Parallel()
	both := "22334455667722334455667722334455667722AA"
	for name, tc := range map[string]struct {
		text string
		want Encoding
		sure int
	}{
		"alone":              {"1," + both + "\n", Hex, 100},
		"beside hexadecimal": {"1," + both + "\n2," + sample.SeedAlice + "\n", Hex, 100},
		"beside base32":      {"1," + both + "\n2," + base32Alice + "\n", Base32, 100},
		"beside both":        {"1," + both + "\n2," + base32Alice + "\n3," + sample.SeedAlice + "\n4," + sample.SeedBob + "\n", Hex, 75},
		"digits":             {"1,104535216929352129104384217206421912571158935912\n", Decimal, 100},
		"40 digits":          {"1,3132333435363738393031323334353637383930\n", Hex, 100},
		"64 digits":          {"1,3132333435363738393031323334353637383930313233343536373839303132\n", Hex, 100},
		"digits among hex":   {"1,1045352169293521291043842172064219125711\n2," + sample.SeedAlice + "\n", Hex, 100},
		"base64":             {"1,Ek95qB0X1P8jXD4YOeITElAbuWg=\n", Base64, 100},
	} {
		report, err := Reader{}.Survey(strings.NewReader(tc.text))
		if err != nil || report.Seed.Encoding != tc.want || report.Seed.Confidence() != tc.sure {
			t.Errorf("%s: %+v, %v", name, report.Seed, err)
		}
	}
}
