// Package seal keeps secrets at rest: each row is sealed by AES-256-GCM under one key that lives in a file outside the
// database, and bound to its place, so that a row copied to another credential, another store or another purpose does not
// open. It also holds the two key files of a store: the sealing key and the Ed25519 key that signs audit heads.
// SealTo and OpenWith are for what leaves the store: they seal to the public key of a server.
//
//	place := seal.Place{Store: id, Owner: "credential", ID: 7, What: seal.AESKey}
//	row, err := key.Seal(rand.Reader, place, secret)
//	secret, err := key.Open(place, row)
//
// What this does not do: it does not hide how long a secret is, and it does not notice a row that was put back to an older
// state of the same place.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

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

// Key seals and opens rows. It may be copied and used by any number of goroutines. The zero Key opens and seals nothing.
// It does not print: the key is held by closures.
type Key struct {
	version uint32
	aead    func() cipher.AEAD
	marks   func() []byte // the key of Mark
}

// newKey takes KeyLen bytes and leaves them to the caller.
func newKey(version uint32, raw []byte) (Key, error) {
	b, err := aes.NewCipher(raw)
	if err != nil {
		return Key{}, fmt.Errorf("sealing key: %w", err)
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		return Key{}, fmt.Errorf("sealing key: %w", err)
	}
	m, err := hkdf.Key(sha256.New, raw, nil, markDomain, sha256.Size)
	if err != nil {
		return Key{}, fmt.Errorf("sealing key: %w", err)
	}
	return Key{version: version, aead: func() cipher.AEAD { return g }, marks: func() []byte { return m }}, nil
}

// Version is the key's number, from 1. It is part of the associated data.
func (k Key) Version() uint32 { return k.version }

// Seal returns nonce [12], ciphertext, tag [16]. The nonce is drawn from random, which is crypto/rand.Reader outside tests.
func (k Key) Seal(random io.Reader, p Place, s secret.Bytes) ([]byte, error) {
	if k.aead == nil {
		return nil, errors.New("seal: no key")
	}
	out := make([]byte, nonceLen, Overhead+s.Len())
	if _, err := io.ReadFull(random, out); err != nil {
		return nil, fmt.Errorf("seal: draw nonce: %w", err)
	}
	return k.aead().Seal(out, out, s.Reveal(), k.associated(p)), nil
}

// Open returns the secret of a row that Seal made for the same place, or ErrOpen. The caller destroys it.
func (k Key) Open(p Place, row []byte) (secret.Bytes, error) {
	if k.aead == nil || len(row) < Overhead {
		return secret.Bytes{}, ErrOpen
	}
	b, err := k.aead().Open(nil, row[:nonceLen], row[nonceLen:], k.associated(p))
	if err != nil {
		return secret.Bytes{}, ErrOpen
	}
	return secret.New(b), nil
}

// Mark is by what a secret of several parts is known again without opening anything: HMAC-SHA256 over each part with its length
// in front, as 32 bits, under a key derived from this one. Without the key it tells nothing about the secret, but whether two are equal.
func (k Key) Mark(parts ...secret.Bytes) [sha256.Size]byte {
	h := hmac.New(sha256.New, k.marks())
	for _, p := range parts {
		_ = binary.Write(h, binary.BigEndian, uint32(p.Len())) // a hash takes everything
		_, _ = h.Write(p.Reveal())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Check makes the value by which Matches knows this key again. It tells nothing about the key.
func (k Key) Check(random io.Reader, store StoreID) ([]byte, error) {
	return k.Seal(random, Place{Store: store, Owner: "store", What: KeyCheck}, secret.Bytes{})
}

// Matches reports whether check was made by this key for this store.
func (k Key) Matches(store StoreID, check []byte) bool {
	_, err := k.Open(Place{Store: store, Owner: "store", What: KeyCheck}, check)
	return err == nil
}

// associated is the GCM associated data: domain, store, owner and what, each with its length as 32 bits, then ID as 64 and
// the key version as 32 bits, all big-endian.
func (k Key) associated(p Place) []byte {
	out := make([]byte, 0, 96)
	for _, f := range []string{domain, string(p.Store[:]), p.Owner, string(p.What)} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
		out = append(out, f...)
	}
	out = binary.BigEndian.AppendUint64(out, uint64(p.ID))
	return binary.BigEndian.AppendUint32(out, k.version)
}
