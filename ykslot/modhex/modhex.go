// Package modhex is hexadecimal in the sixteen letters that sit on the same keys of most Latin keyboards, with the
// manners of encoding/hex. A YubiKey types everything in it: public IDs and one-time passwords.
//
// Encoding gives lower case. Decoding folds upper case, which Caps Lock or Shift make. FromDvorak undoes a US Dvorak
// layout. Other layouts type other characters and are not guessed here.
package modhex

import (
	"errors"
	"fmt"
)

// Alphabet holds the letters for the values 0 to 15. Source: reference yubikey-otp.md §4.1.
const Alphabet = "cbdefghijklnrtuv"

// dvorakAlphabet is what the keys of Alphabet type on a US Dvorak host. Source: reference yubikey-otp.md §4.1.
const dvorakAlphabet = "jxe.uidchtnbpygk"

// ErrLength is the error for an odd number of characters, as in encoding/hex.
var ErrLength = errors.New("modhex: odd length")

// InvalidByteError is the position, from 0, of the first character outside the alphabet. The text itself stays out of
// the message because it may be a one-time password.
type InvalidByteError struct{ Pos int }

func (e InvalidByteError) Error() string {
	return fmt.Sprintf("modhex: character %d is not in the alphabet", e.Pos+1)
}

// invalid marks bytes outside the alphabet in a reverse table.
const invalid = 0xFF

// reverse maps a character to its value.
var reverse = reverseOf(Alphabet)

// dvorakReverse does so for dvorakAlphabet.
var dvorakReverse = reverseOf(dvorakAlphabet)

func reverseOf(alphabet string) (t [256]byte) {
	for i := range t {
		t[i] = invalid
	}
	for i := range len(alphabet) {
		c := alphabet[i]
		t[c] = byte(i)
		if c >= 'a' && c <= 'z' {
			t[c-'a'+'A'] = byte(i)
		}
	}
	return t
}

// EncodedLen is the number of characters for n bytes: 2n.
func EncodedLen(n int) int { return 2 * n }

// DecodedLen is the number of bytes in n characters: n/2.
func DecodedLen(n int) int { return n / 2 }

// Encode writes EncodedLen(len(src)) characters to dst, high half first, and returns that number.
func Encode(dst, src []byte) int {
	for i, b := range src {
		dst[2*i] = Alphabet[b>>4]
		dst[2*i+1] = Alphabet[b&0x0F]
	}
	return EncodedLen(len(src))
}

// AppendEncode appends the characters for src to dst and returns the extended slice.
func AppendEncode(dst, src []byte) []byte {
	for _, b := range src {
		dst = append(dst, Alphabet[b>>4], Alphabet[b&0x0F])
	}
	return dst
}

// EncodeToString returns the characters for src.
func EncodeToString(src []byte) string {
	return string(AppendEncode(make([]byte, 0, EncodedLen(len(src))), src))
}

// Decode writes DecodedLen(len(src)) bytes to dst, which may be src itself, and returns the number written. On a
// character outside the alphabet it stops with an InvalidByteError, on an odd length it decodes the whole pairs and
// returns ErrLength; an invalid character is reported before an odd length.
func Decode(dst, src []byte) (int, error) { return decode(dst, src) }

// AppendDecode appends the bytes of src to dst and returns the extended slice; errors as Decode.
func AppendDecode(dst, src []byte) ([]byte, error) { return appendDecode(dst, src) }

// DecodeString returns the bytes of s, or nil and an error as Decode's.
func DecodeString(s string) ([]byte, error) {
	b, err := appendDecode(make([]byte, 0, DecodedLen(len(s))), s)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// DecodeInto decodes exactly 2*len(dst) characters of s without allocating; errors as Decode.
func DecodeInto(dst []byte, s string) error {
	if len(s) != EncodedLen(len(dst)) {
		return fmt.Errorf("modhex: want %d characters, got %d", EncodedLen(len(dst)), len(s))
	}
	_, err := decode(dst, s)
	return err
}

func appendDecode[T string | []byte](dst []byte, src T) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, DecodedLen(len(src)))...)
	n, err := decode(dst[start:], src)
	return dst[:start+n], err
}

func decode[T string | []byte](dst []byte, src T) (int, error) {
	n := DecodedLen(len(src))
	for i := range n {
		hi, lo := reverse[src[2*i]], reverse[src[2*i+1]]
		switch {
		case hi == invalid:
			return i, InvalidByteError{2 * i}
		case lo == invalid:
			return i, InvalidByteError{2*i + 1}
		}
		dst[i] = hi<<4 | lo
	}
	if len(src)%2 == 1 {
		if reverse[src[len(src)-1]] == invalid {
			return n, InvalidByteError{len(src) - 1}
		}
		return n, ErrLength
	}
	return n, nil
}

// FromDvorak turns what the ModHex keys type on a US Dvorak host back into lower-case ModHex. It reports false and an
// empty string when a character cannot come from there. Some texts are valid both ways ("cccc" is one), so it is for
// the caller to decide which reading to try first.
func FromDvorak(s string) (string, bool) {
	out := make([]byte, len(s))
	for i := range len(s) {
		v := dvorakReverse[s[i]]
		if v == invalid {
			return "", false
		}
		out[i] = Alphabet[v]
	}
	return string(out), true
}
