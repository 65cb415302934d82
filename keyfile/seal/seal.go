// Package seal keeps secrets at rest: each row is sealed by AES-256-GCM under one key that lives in a file outside the
// database, and bound to its place, so that a row copied to another credential, another store or another purpose does not
// open. It also holds the two key files of a store: the sealing key and the Ed25519 key that signs audit heads.
// SealTo and OpenWith are for what leaves the store: they seal to the public key of a server.
//
//	place := seal.Place{Store: id, Owner: "credential", ID: 7, What: seal.AESKey}
//	row, err := key.Seal(rand.Reader, place, secret)
//	secret, err := key.Open(place, key.Version(), row)
//
// What this does not do: it does not hide how long a secret is, and it does not notice a row that was put back to an older
// state of the same place.
package seal

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Sizes in bytes.
const (
	KeyLen     = 32 // AES-256
	StoreIDLen = 16
	nonceLen   = 12 // random; GCM's standard nonce
	tagLen     = 16
	Overhead   = nonceLen + tagLen // a sealed row is longer than its secret by this
)

// domain separates these associated data from any other use of the key.
const domain = "tokendesk seal 1"

// markDomain separates the key of Mark.
const markDomain = "tokendesk mark 1"

// ErrOpen is a sealed row that does not open: another key, another place, or changed bytes. Which of them cannot be told.
var ErrOpen = errors.New("a sealed secret does not open at this place")

// What says which secret of its owner a row holds.
type What string

// The kinds of sealed rows.
const (
	AESKey     What = "aes-key" // a credential's main key, also an OATH seed
	PrivateID  What = "private-id"
	AccessCode What = "access-code"
	NextCode   What = "next-code" // an access code that is on its way to the key
	ClientKey  What = "client-key"
	KeyCheck   What = "key-check" // of an empty secret: tells a wrong key
)

// StoreID is drawn when a store is made.
type StoreID [StoreIDLen]byte

// Place is the one position in one store that a sealed row belongs to.
type Place struct {
	Store StoreID
	Owner string // "credential", "client" or "store"
	ID    int64  // the owner's number; 0 for "store"
	What  What
}

// Key seals and opens rows. It has one version or more: the newest seals, unless At chose another, and each opens what it sealed. It may
// be copied and used by any number of goroutines. The zero Key opens and seals nothing. It does not print: the keys are held by
// closures.
type Key struct {
	version uint32 // that seals
	aeads   func() map[uint32]cipher.AEAD
	marks   func() []byte // the key of Mark, which stays when versions come and go
}

// newKey takes the KeyLen bytes of each version, of which the first seals, and leaves them to the caller; marking is the key of Mark, nil to
// derive it from the first.
func newKey(versions []version, marking []byte) (Key, error) {
	aeads := map[uint32]cipher.AEAD{}
	for _, v := range versions {
		b, err := aes.NewCipher(v.raw.Reveal())
		if err != nil {
			return Key{}, fmt.Errorf("sealing key: %w", err)
		}
		if aeads[v.number], err = cipher.NewGCM(b); err != nil {
			return Key{}, fmt.Errorf("sealing key: %w", err)
		}
	}
	m := append([]byte(nil), marking...)
	if marking == nil {
		var err error
		if m, err = deriveMarks(versions[0].raw); err != nil {
			return Key{}, fmt.Errorf("sealing key: %w", err)
		}
	}
	return Key{version: versions[0].number, aeads: func() map[uint32]cipher.AEAD { return aeads }, marks: func() []byte { return m }}, nil
}

// version is one version of a key.
type version struct {
	number uint32
	raw    secret.Bytes
}

func deriveMarks(raw secret.Bytes) ([]byte, error) {
	return hkdf.Key(sha256.New, raw.Reveal(), nil, markDomain, sha256.Size)
}

// Version is the number of the version that seals, from 1; 0 of the zero Key. It is part of the associated data.
func (k Key) Version() uint32 { return k.version }

// Versions are all, the newest first.
func (k Key) Versions() []uint32 {
	if k.aeads == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(k.aeads()), func(a, b uint32) int { return cmp.Compare(b, a) })
}

// Has reports whether k opens what that version sealed.
func (k Key) Has(version uint32) bool { return k.aeads != nil && k.aeads()[version] != nil }

// At is k, sealing with another of its versions.
func (k Key) At(version uint32) (Key, bool) {
	if !k.Has(version) {
		return Key{}, false
	}
	k.version = version
	return k, true
}

// Marks reports whether two keys make the same marks, as all versions of one do.
func (k Key) Marks(as Key) bool {
	return k.marks != nil && as.marks != nil && hmac.Equal(k.marks(), as.marks())
}

// Seal returns nonce [12], ciphertext, tag [16]. The nonce is drawn from random, which is crypto/rand.Reader outside tests.
func (k Key) Seal(random io.Reader, p Place, s secret.Bytes) ([]byte, error) {
	if k.aeads == nil {
		return nil, errors.New("seal: no key")
	}
	out := make([]byte, nonceLen, Overhead+s.Len())
	if _, err := io.ReadFull(random, out); err != nil {
		return nil, fmt.Errorf("seal: draw nonce: %w", err)
	}
	return k.aeads()[k.version].Seal(out, out, s.Reveal(), associated(p, k.version)), nil
}

// Open returns the secret of a row that Seal made with a version for the same place, or ErrOpen. The caller destroys it.
func (k Key) Open(p Place, version uint32, row []byte) (secret.Bytes, error) {
	if !k.Has(version) || len(row) < Overhead {
		return secret.Bytes{}, ErrOpen
	}
	b, err := k.aeads()[version].Open(nil, row[:nonceLen], row[nonceLen:], associated(p, version))
	if err != nil {
		return secret.Bytes{}, ErrOpen
	}
	return secret.New(b), nil
}

// Mark is by what a secret of several parts is known again without opening anything: HMAC-SHA256 over each part with its length
// in front, as 32 bits, under a key of its own, which all versions of this one share. Without the key it tells nothing about the secret, but whether two are equal.
func (k Key) Mark(parts ...secret.Bytes) [sha256.Size]byte {
	h := hmac.New(sha256.New, k.marks())
	for _, p := range parts {
		_ = binary.Write(h, binary.BigEndian, uint32(p.Len())) // a hash takes everything
		_, _ = h.Write(p.Reveal())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Check makes the value by which Matches knows this version of the key again. It tells nothing about the key.
func (k Key) Check(random io.Reader, store StoreID) ([]byte, error) {
	return k.Seal(random, Place{Store: store, Owner: "store", What: KeyCheck}, secret.Bytes{})
}

// Matches reports whether check was made by one of the versions of this key for this store.
func (k Key) Matches(store StoreID, check []byte) bool {
	for _, v := range k.Versions() {
		if _, err := k.Open(Place{Store: store, Owner: "store", What: KeyCheck}, v, check); err == nil {
			return true
		}
	}
	return false
}

// associated is the GCM associated data: domain, store, owner and what, each with its length as 32 bits, then ID as 64 and
// the key version as 32 bits, all big-endian.
func associated(p Place, version uint32) []byte {
	out := make([]byte, 0, 96)
	for _, f := range []string{domain, string(p.Store[:]), p.Owner, string(p.What)} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	out = binary.BigEndian.AppendUint64(out, uint64(p.ID))
	return binary.BigEndian.AppendUint32(out, version)
}
