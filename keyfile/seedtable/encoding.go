package seedtable

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Encoding is how a seed is written down.
type Encoding string

// The encodings.
const (
	DecimalBytes Encoding = "decimal-bytes" // three decimal digits a byte, 000 to 255
	Decimal      Encoding = "decimal"       // one big-endian number, filled up to 16, 20, 32 or 64 bytes
	Hex          Encoding = "hex"           // either case
	Base32       Encoding = "base32"        // RFC 4648 §6, either case, with or without padding
	Base64       Encoding = "base64"        // RFC 4648 §4 or §5, with or without padding
	ASCII        Encoding = "ascii"         // the characters are the bytes; never guessed
)

// Encodings lists all of them, the one with the smallest alphabet first: of two that fit equally many rows the earlier one is
// taken. A random seed of 20 bytes has hexadecimal text that is also base32 once in 10^5, base32 text that is also hexadecimal
// once in 10^13.
func Encodings() []Encoding { return []Encoding{DecimalBytes, Decimal, Hex, Base32, Base64, ASCII} }

// What a text can be that is no seed in an encoding.
var (
	errEmpty    = errors.New("empty")
	errOdd      = errors.New("an odd number of hexadecimal digits")
	errHex      = errors.New("not hexadecimal")
	errBase32   = errors.New("not base32 (A to Z, 2 to 7)")
	errBase64   = errors.New("not base64")
	errDecimal  = errors.New("not a decimal number of 36 to 155 digits")
	errTriplets = errors.New("not three decimal digits a byte")
	errASCII    = errors.New("not printable ASCII")
	errEncoding = errors.New("no such encoding")
)

// Decode reads a seed of any length but 0. Blanks and hyphens between the characters mean nothing, except in ASCII and, for
// hyphens, in base64. The error never holds the text, which stays the caller's.
func (e Encoding) Decode(text []byte) (secret.Bytes, error) {
	packed := e.pack(text)
	defer clear(packed)
	if len(packed) == 0 {
		return secret.Bytes{}, errEmpty
	}
	switch e {
	case Hex:
		if len(packed)%2 != 0 && isHex(packed) {
			return secret.Bytes{}, errOdd
		}
		return decode(packed, hex.DecodedLen(len(packed)), hex.Decode, errHex)
	case Base32:
		if seed, ok := keyfile.ParseBase32(packed); ok {
			return seed, nil
		}
		return secret.Bytes{}, errBase32
	case Base64:
		return decode(packed, base64.RawStdEncoding.DecodedLen(len(packed)), base64.RawStdEncoding.Decode, errBase64)
	case Decimal:
		return decodeNumber(packed)
	case DecimalBytes:
		return decode(packed, len(packed)/3, decodeTriplets, errTriplets)
	case ASCII:
		if bytes.ContainsFunc(packed, func(c rune) bool { return c < ' ' || c > '~' }) {
			return secret.Bytes{}, errASCII
		}
		return secret.Copy(packed), nil
	}
	return secret.Bytes{}, errEncoding
}

// pack is text in the form that the standard library decodes, in memory of its own.
func (e Encoding) pack(text []byte) []byte {
	out := make([]byte, 0, len(text))
	text = bytes.TrimSpace(text)
	if e == ASCII {
		return append(out, text...)
	}
	if e == Base64 {
		text = bytes.TrimRight(text, "=")
	}
	for _, c := range text {
		switch {
		case c == ' ' || c == '\t' || c == '-' && e != Base64:
			continue
		case e == Base64 && c == '-':
			c = '+'
		case e == Base64 && c == '_':
			c = '/'
		}
		out = append(out, c)
	}
	return out
}

func decode(packed []byte, size int, into func(dst, src []byte) (int, error), bad error) (secret.Bytes, error) {
	raw := make([]byte, size)
	n, err := into(raw, packed)
	if err != nil || n == 0 { // err may hold a character
		clear(raw)
		return secret.Bytes{}, bad
	}
	return secret.New(raw[:n]), nil
}

func isHex(b []byte) bool { return len(bytes.Trim(b, "0123456789abcdefABCDEF")) == 0 }

func isDigits(b []byte) bool { return len(b) > 0 && len(bytes.Trim(b, "0123456789")) == 0 }

func decodeTriplets(dst, src []byte) (int, error) {
	if len(src)%3 != 0 || !isDigits(src) {
		return 0, errTriplets
	}
	for i := range dst {
		n := int(src[3*i]-'0')*100 + int(src[3*i+1]-'0')*10 + int(src[3*i+2]-'0')
		if n > 255 {
			return 0, errTriplets
		}
		dst[i] = byte(n)
	}
	return len(dst), nil
}

// A number of fewer digits is a serial and no seed; 2^512 has 155.
const (
	minDecimal = 36
	maxDecimal = 155
)

// decodeNumber fills up to the next usual length, because a number does not show how many zeros it begins with.
func decodeNumber(packed []byte) (secret.Bytes, error) {
	if len(packed) < minDecimal || len(packed) > maxDecimal || !isDigits(packed) {
		return secret.Bytes{}, errDecimal
	}
	n, _ := new(big.Int).SetString(string(packed), 10)
	defer func() { clear(n.Bits()) }()
	for _, size := range []int{16, 20, 32, keyfile.MaxSeedSize} {
		if n.BitLen() <= 8*size {
			return secret.New(n.FillBytes(make([]byte, size))), nil
		}
	}
	return secret.Bytes{}, errDecimal
}

// MinSeedSize is the shortest seed that is read, in bytes. Source: RFC 4226 §4 R6; reference key-files.md §9 rule 3.
const MinSeedSize = 16

// plausible lists the encodings in which a text is a seed of a usual length. Base64 has so large an alphabet that it counts
// only where no other fits and the length is that of a hash's key.
func plausible(text []byte) []Encoding {
	var out []Encoding
	for _, e := range []Encoding{DecimalBytes, Decimal, Hex, Base32} {
		if n := size(e, text); n >= MinSeedSize && n <= keyfile.MaxSeedSize {
			out = append(out, e)
		}
	}
	if len(out) == 0 && slices.Contains([]int{16, 20, 32, 64}, size(Base64, text)) {
		out = append(out, Base64)
	}
	return out
}

// shortBy is how many zero bytes in front show that a text is no decimal number. A random seed begins with them once in 2^24; 40 or
// 64 digits, which are 20 or 32 bytes in hexadecimal without a letter (RFC 6238 appendix B's example seed), always do.
const shortBy = 3

// size is the number of bytes of a seed; 0 when the text is none in that encoding.
func size(e Encoding, text []byte) int {
	s, err := e.Decode(text)
	defer s.Destroy()
	if err != nil || e == Decimal && bytes.HasPrefix(s.Reveal(), make([]byte, shortBy)) {
		return 0
	}
	return s.Len()
}

// minSeedText is the length of the shortest text of a seed: 16 bytes in base64.
const minSeedText = 22

// looksLikeSeed tells a seed from other columns: one word, or groups of equal length.
func looksLikeSeed(text []byte) bool {
	if len(text) < minSeedText {
		return false
	}
	groups := bytes.Fields(text)
	for _, g := range groups[:max(len(groups)-1, 0)] {
		if len(g) != len(groups[0]) {
			return false
		}
	}
	return len(plausible(text)) > 0
}
