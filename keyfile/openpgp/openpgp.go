// Package openpgp is the envelope of OpenPGP (RFC 9580, RFC 4880) by github.com/ProtonMail/go-crypto: a message encrypted to
// public keys and signed, as privacyIDEA and yubikey-ksm take it. What is written is armoured, not compressed, and begins with
// "-----BEGIN PGP MESSAGE-----", without which privacyIDEA does not see that it is one; armoured and binary messages are read.
// Clear-signed texts are not: gpg --decrypt takes them apart.
// Source: reference key-files.md §4.5, §7.5.
//
//	keys, err := openpgp.ReadKeys(file)
//	w, err := openpgp.Envelope{To: keys}.Seal(out)
//	…
//	r, info, err := openpgp.Opener{Ask: ask}.Open(file)
//
// Refused as weak: RSA below 2048 bits, DSA, ElGamal, secp256k1; MD5, SHA-1 and RIPEMD-160 in signatures, those that hold a key
// together too; ciphers with blocks of 64 bits; encryption without integrity protection. Secret keys and session keys that the
// library holds cannot be cleared from memory.
package openpgp

import (
	"bytes"
	"crypto"
	"errors"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/tokendesk/tokendesk/keyfile/envelope"
)

// What a message or key can be that is not used, apart from the errors of envelope.
var (
	ErrUnprotected = errors.New("the message is encrypted without integrity protection")
	ErrWeak        = errors.New("the message uses a cipher or hash that is too weak")
	ErrSignature   = errors.New("the message is not signed by the key that was given")
	ErrUnverified  = errors.New("the message is signed and not encrypted: the signer's public key is needed to know that it is whole")
	ErrNoSecretKey = errors.New("the key file holds no usable secret key")
	ErrKeys        = errors.New("no OpenPGP key file")
)

const (
	kind = "PGP MESSAGE"

	minRSA = 2048 // bits

	// maxClearText bounds what a compressed message can expand to, in bytes.
	maxClearText = envelope.MaxSize
)

// config is how this package uses the library; now nil is the system's clock.
func config(now func() time.Time) *packet.Config {
	limit := int64(maxClearText)
	return &packet.Config{
		Time:                       now,
		DefaultCipher:              packet.CipherAES256,
		DefaultHash:                crypto.SHA512,
		MinRSABits:                 minRSA,
		RejectHashAlgorithms:       map[crypto.Hash]bool{crypto.MD5: true, crypto.SHA1: true, crypto.RIPEMD160: true},
		MaxDecompressedMessageSize: &limit,
	}
}

// Detect reports whether a file that begins with head is an OpenPGP message, armoured or binary.
func Detect(head []byte) bool {
	return envelope.Armoured(head, kind) || startsMessage(head)
}

// Packet types. Source: RFC 9580 §5.
const (
	tagEncryptedKey       = 1 // to a public key
	tagSignature          = 2
	tagPassphraseKey      = 3
	tagOnePass            = 4
	tagCompressed         = 8
	tagEncrypted          = 9 // without integrity protection
	tagMarker             = 10
	tagProtected          = 18
	tagAEAD               = 20 // GnuPG's draft
	tagPadding            = 21
	tagSecretKey          = 5
	tagPublicKey          = 6
	newFormat             = 0x40
	alwaysSet        byte = 0x80
)

// versions are the first bytes of a packet's contents, by its type, that a message can begin with.
var versions = map[byte][]byte{
	tagEncryptedKey: {3, 6}, tagSignature: {3, 4, 6}, tagPassphraseKey: {4, 5, 6}, tagOnePass: {3, 6}, tagCompressed: {0, 1, 2, 3},
	tagProtected: {1, 2}, tagAEAD: {1},
}

// startsMessage looks at a binary packet's header and first byte; all of those versions are control characters in a text.
func startsMessage(head []byte) bool {
	if len(head) < 2 || head[0]&alwaysSet == 0 {
		return false
	}
	var tag byte
	skip := 0
	if head[0]&newFormat != 0 {
		tag = head[0] & 0x3f
		switch n := head[1]; { // RFC 9580 §4.2.1
		case n < 192, n >= 224 && n < 255:
			skip = 2
		case n == 255:
			skip = 6
		default:
			skip = 3
		}
	} else {
		tag = head[0] >> 2 & 0xf
		skip = 1 + []int{1, 2, 4, 0}[head[0]&3] // RFC 9580 §4.2.2
	}
	return len(head) > skip && bytes.IndexByte(versions[tag], head[skip]) >= 0
}

// nameOf is how the operator knows a key: the fingerprint and a user ID.
func nameOf(e *openpgp.Entity, conf *packet.Config) string {
	name := fingerprint(e)
	if _, id := e.PrimaryIdentity(conf.Now(), conf); id != nil {
		return name + " " + id.Name
	}
	return name
}
