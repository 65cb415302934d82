package oathapplet

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"github.com/tokendesk/tokendesk/validate/oath"
)

// hashes are the hashes of a key. Source: reference yubikey-otp.md §6.2, RFC 2104.
var hashes = map[oath.Hash]struct {
	code  byte
	block int // bytes; HMAC hashes longer keys
	sum   func([]byte) []byte
}{
	oath.SHA1:   {0x01, sha1.BlockSize, func(b []byte) []byte { s := sha1.Sum(b); return s[:] }},
	oath.SHA256: {0x02, sha256.BlockSize, func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
	oath.SHA512: {0x03, sha512.BlockSize, func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }},
}

func hashOf(code byte) oath.Hash {
	for h, row := range hashes {
		if row.code == code {
			return h
		}
	}
	return ""
}

// Bytes that a key takes for a seed. Source: reference yubikey-otp.md §6.3.
const (
	minKey = 14
	maxKey = 64
)

// checkSeed is nil, or an *AccountError: a key cannot hold a seed of n bytes.
func checkSeed(n int, h oath.Hash) error {
	switch {
	case n == 0:
		return &AccountError{"seed", "it is empty"}
	case n > maxKey && n <= hashes[h].block:
		return &AccountError{"seed", fmt.Sprintf("it has %d bytes: a key takes %d, and with %s only seeds of more than %d bytes may be shortened",
			n, maxKey, h, hashes[h].block)}
	}
	return nil
}

// appendSeed appends what the key gets for a seed that checkSeed passed: the seed, or its hash if HMAC would take that, with
// zeros behind it up to minKey bytes, which HMAC takes for none. The HMAC stays the same.
func appendSeed(b, seed []byte, h oath.Hash) []byte {
	n := len(b)
	if row := hashes[h]; len(seed) > row.block {
		sum := row.sum(seed)
		b = append(b, sum...)
		clear(sum)
	} else {
		b = append(b, seed...)
	}
	for len(b)-n < minKey {
		b = append(b, 0)
	}
	return b
}
