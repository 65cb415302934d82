package oathapplet

import (
	"bytes"
	"crypto/hmac"
	"maps"
)

// Account is what a test may see of an account, without its key.
type Account struct {
	Name       string // the bytes as PUT brought them
	HOTP       bool
	Hash       int // bits: 1, 256, 512
	Digits     int
	Touch      bool
	NextFactor uint64 // HOTP: of the next code
}

// Accounts lists them in the order of the card.
func (a *Applet) Accounts() []Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []Account
	for _, n := range a.accounts {
		out = append(out, Account{
			Name: string(n.name), HOTP: n.kind == kindHOTP, Hash: map[byte]int{hashSHA1: 1, hashSHA256: 256, hashSHA512: 512}[n.hash],
			Digits: int(n.digits), Touch: n.property&needsTouch != 0, NextFactor: uint64(n.imf) + n.count,
		})
	}
	return out
}

// Holds says whether the account has a key that is the same to HMAC: the end filled with zeros, or hashed where it was
// longer than the hash's block.
func (a *Applet) Holds(name string, key []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.accounts {
		if string(n.name) == name {
			probe := []byte("probe")
			return hmac.Equal(mac(n.hash, n.key, probe), mac(n.hash, key, probe))
		}
	}
	return false
}

// Locked says whether an access code is set.
func (a *Applet) Locked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.code != nil
}

// HoldsCode says whether the access code is just this key.
func (a *Applet) HoldsCode(key []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.code != nil && bytes.Equal(a.code.key, key)
}

// Salt is what SELECT shows, and the salt of passwords.
func (a *Applet) Salt() [8]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.salt
}

// Ran is how often each instruction came, by its number, since Install. SELECT (by AID) and SEND REMAINING are not counted.
func (a *Applet) Ran() map[byte]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.ran)
}
