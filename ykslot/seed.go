package ykslot

import (
	"crypto/sha1"
	"encoding/binary"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// SeedLen is the longest HMAC key that a slot holds as it is, in bytes; hmacBlock is from where on HMAC itself hashes a key
// down to SeedLen. Source: reference yubikey-otp.md §3.3 (key lengths).
const (
	SeedLen   = 20
	hmacBlock = 64
)

// checkSeed says whether a slot can hold an HMAC-SHA1 key: 1 to 20 bytes, or more than 64, which HMAC hashes to 20.
func checkSeed(seed secret.Bytes) error {
	switch n := seed.Len(); {
	case n == 0:
		return &InvalidError{"the key is empty"}
	case seed.IsZero():
		return &InvalidError{"the key is all zero"}
	case n > SeedLen && n <= hmacBlock:
		return &InvalidError{"a slot holds HMAC keys of 1 to 20 bytes; of 21 to 64 it would hold another key"}
	}
	return nil
}

// splitSeed lays an HMAC-SHA1 key out in a slot: bytes 0 to 15 are the key field, 16 to 19 begin the UID field. Shorter keys
// end in zeros, which HMAC does not notice. tail is UID bytes 4 and 5.
func splitSeed(seed secret.Bytes, tail uint16) (key, uid secret.Bytes) {
	var full [SeedLen]byte
	defer clear(full[:])
	if seed.Len() > hmacBlock {
		full = sha1.Sum(seed.Reveal())
	} else {
		copy(full[:], seed.Reveal())
	}
	u := binary.BigEndian.AppendUint16(append(make([]byte, 0, UIDLen), full[KeyLen:]...), tail)
	return secret.Copy(full[:KeyLen]), secret.New(u)
}

// seed puts the 20 bytes of a slot's HMAC-SHA1 key together again. The caller destroys them.
func (c Config) seed() secret.Bytes {
	return secret.New(append(append(make([]byte, 0, SeedLen), c.Key.Reveal()...), c.UID.Reveal()[:SeedLen-KeyLen]...))
}
