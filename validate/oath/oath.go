// Package oath computes the codes of RFC 4226 (HOTP) and RFC 6238 (TOTP).
//
// Both are one function of a key and a MovingFactor, which for HOTP is a counter and for TOTP the number of the time step:
//
//	g, err := oath.New(key, oath.SHA1, 6)
//	code := g.Code(counter)                     // HOTP
//	code = g.Code(oath.Step(now, 30*time.Second)) // TOTP
//
// Windows, replays and throttles are not here: they need what was accepted before.
package oath

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Hash is the hash of the HMAC. Source: RFC 4226 §5.3 for SHA-1, RFC 6238 §1.2 for the others.
type Hash string

// The hashes.
const (
	SHA1   Hash = "sha1"
	SHA256 Hash = "sha256"
	SHA512 Hash = "sha512"
)

// Codes have 6 to 8 digits. Source: reference validation-protocol.md §15.
const (
	MinDigits = 6
	MaxDigits = 8
)

// IsCode reports whether s has the form of a code: MinDigits to MaxDigits decimal digits, nothing else.
func IsCode(s string) bool {
	return len(s) >= MinDigits && len(s) <= MaxDigits && strings.Trim(s, "0123456789") == ""
}

// The errors of New.
var (
	ErrHash   = errors.New("the hash is sha1, sha256 or sha512")
	ErrDigits = errors.New("a code has 6 to 8 digits")
	ErrKey    = errors.New("the key is empty")
)

// Generator makes the codes of one key. It may be used by any number of goroutines.
type Generator struct {
	key    secret.Bytes
	hash   func() hash.Hash
	digits int
}

// New returns a Generator. The key stays the caller's, who destroys it when the Generator is no longer used. Any length but
// 0 is taken; RFC 4226 wants 16 bytes at least.
func New(key secret.Bytes, h Hash, digits int) (Generator, error) {
	hashes := map[Hash]func() hash.Hash{SHA1: sha1.New, SHA256: sha256.New, SHA512: sha512.New}
	switch {
	case hashes[h] == nil:
		return Generator{}, ErrHash
	case digits < MinDigits || digits > MaxDigits:
		return Generator{}, ErrDigits
	case key.Len() == 0:
		return Generator{}, ErrKey
	}
	return Generator{key: key, hash: hashes[h], digits: digits}, nil
}

// Code is the code for a MovingFactor: decimal digits with leading zeros.
func (g Generator) Code(movingFactor int64) string { return Truncate(g.mac(movingFactor), g.digits) }

// Truncate makes a code of MinDigits to MaxDigits digits of an HMAC of at least 20 bytes. Source: RFC 4226 §5.3.
func Truncate(mac []byte, digits int) string {
	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*s", digits, strconv.FormatUint(uint64(truncate(mac)%modulus), 10))
}

// mac is the HMAC over the MovingFactor as 8 bytes, big-endian.
func (g Generator) mac(movingFactor int64) []byte {
	m := hmac.New(g.hash, g.key.Reveal())
	var text [8]byte
	binary.BigEndian.PutUint64(text[:], uint64(movingFactor))
	m.Write(text[:])
	return m.Sum(nil)
}

// truncate takes 31 bits at the offset that the low half of the last byte gives. Source: RFC 4226 §5.3.
func truncate(mac []byte) uint32 {
	offset := mac[len(mac)-1] & 0x0F
	return binary.BigEndian.Uint32(mac[offset:]) & 0x7FFFFFFF
}

// Step is the number of the time step of t, counted from 1970 in periods of whole seconds; the first before 1970 is -1.
// It panics if period is shorter than a second.
func Step(t time.Time, period time.Duration) int64 {
	seconds, p := t.Unix(), int64(period/time.Second)
	step := seconds / p
	if seconds%p < 0 {
		step--
	}
	return step
}
