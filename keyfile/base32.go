package keyfile

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// alphabet is the base32 of RFC 4648 §6, upper case, without padding. Source: reference key-files.md §2.
var alphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

// AppendBase32 appends upper-case base32 without padding.
func AppendBase32(dst, seed []byte) []byte { return alphabet.AppendEncode(dst, seed) }

// ParseBase32 reads base32 of any length but 0 in either case, with or without padding; blanks and hyphens mean nothing, and
// neither do bits behind the last byte. ok is false for other text. It leaves text alone and keeps no copy of it.
func ParseBase32(text []byte) (seed secret.Bytes, ok bool) {
	seed, _, ok = parseBase32(text)
	return seed, ok
}

// parseBase32 is ParseBase32; whole says that no bits that mean something stand behind the last byte.
func parseBase32(text []byte) (seed secret.Bytes, whole, ok bool) {
	packed := make([]byte, 0, len(text))
	defer func() { clear(packed[:cap(packed)]) }()
	for _, c := range bytes.TrimRight(text, "= \t") {
		switch {
		case c == ' ' || c == '-' || c == '\t':
		case c >= 'a' && c <= 'z':
			packed = append(packed, c-'a'+'A')
		case c >= 'A' && c <= 'Z' || c >= '2' && c <= '7':
			packed = append(packed, c)
		default: // the decoder itself would pass over line ends
			return secret.Bytes{}, false, false
		}
	}
	if rest := len(packed) % 8; rest == 1 || rest == 3 || rest == 6 {
		return secret.Bytes{}, false, false // no bytes have that length, and the decoder would drop the rest
	}
	raw := make([]byte, alphabet.DecodedLen(len(packed)))
	n, err := alphabet.Decode(raw, packed)
	if err != nil || n == 0 {
		clear(raw)
		return secret.Bytes{}, false, false
	}
	spare := 5*len(packed) - 8*n // bits of the last character
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", packed[len(packed)-1])
	return secret.New(raw[:n:n]), last&(1<<spare-1) == 0, true
}

// ParseSeed is ParseBase32 for a seed of MinSeedSize to MaxSeedSize bytes and nothing behind the last one, which would show that
// characters are missing. cause says what is wrong, "" for nothing.
func ParseSeed(text []byte) (seed secret.Bytes, cause string) {
	seed, whole, ok := parseBase32(text)
	if !ok || !whole {
		seed.Destroy()
		return secret.Bytes{}, "not base32 (letters and the digits 2 to 7)"
	}
	if n := seed.Len(); n < MinSeedSize || n > MaxSeedSize {
		seed.Destroy()
		return secret.Bytes{}, fmt.Sprintf("want base32 of %d to %d bytes, got %d", MinSeedSize, MaxSeedSize, n)
	}
	return seed, ""
}

// Base32 reads a seed of MinSeedSize to MaxSeedSize bytes in base32, as ParseSeed does.
func (w *Row) Base32(column int, field string) secret.Bytes {
	if w.err != nil {
		return secret.Bytes{}
	}
	seed, cause := ParseSeed(w.Bytes(column))
	if cause != "" {
		w.Bad(column, field, cause)
	}
	return seed
}
