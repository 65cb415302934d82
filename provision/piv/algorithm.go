package piv

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot"
)

// Algorithm is a kind of key, by the number that cards use.
type Algorithm byte

// The algorithms. Source: NIST SP 800-78-4 table 6-2, reference yubikey-otp.md §8.
const (
	RSA1024 Algorithm = 0x06
	RSA2048 Algorithm = 0x07
	RSA3072 Algorithm = 0x05
	RSA4096 Algorithm = 0x16
	P256    Algorithm = 0x11
	P384    Algorithm = 0x14
	Ed25519 Algorithm = 0xE0
	X25519  Algorithm = 0xE1 // agrees on keys, does not sign
)

// algorithms are the names, and the firmware that has each. Source: reference yubikey-otp.md §8.
var algorithms = []struct {
	algorithm Algorithm
	name      string
	since     ykslot.Version
}{
	{P256, "p256", ykslot.Version{}},
	{P384, "p384", ykslot.Version{Major: 4}},
	{RSA2048, "rsa2048", ykslot.Version{}},
	{RSA3072, "rsa3072", ykslot.Version{Major: 5, Minor: 7}},
	{RSA4096, "rsa4096", ykslot.Version{Major: 5, Minor: 7}},
	{Ed25519, "ed25519", ykslot.Version{Major: 5, Minor: 7}},
	{X25519, "x25519", ykslot.Version{Major: 5, Minor: 7}},
	{RSA1024, "rsa1024", ykslot.Version{}},
}

// Algorithms are all, the one to take first.
func Algorithms() []Algorithm {
	all := make([]Algorithm, len(algorithms))
	for i, row := range algorithms {
		all[i] = row.algorithm
	}
	return all
}

// ParseAlgorithm reads a name that String writes.
func ParseAlgorithm(text string) (Algorithm, error) {
	for _, row := range algorithms {
		if row.name == text {
			return row.algorithm, nil
		}
	}
	return 0, fmt.Errorf("there is no algorithm %q", text)
}

// String is such as "p256".
func (a Algorithm) String() string {
	for _, row := range algorithms {
		if row.algorithm == a {
			return row.name
		}
	}
	return fmt.Sprintf("algorithm %02x", byte(a))
}

// AlgorithmOf is the algorithm of a public key: *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey or *ecdh.PublicKey (X25519). Not ok: no
// card has such keys.
func AlgorithmOf(public crypto.PublicKey) (a Algorithm, ok bool) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return P256, true
		case elliptic.P384():
			return P384, true
		}
	case *rsa.PublicKey:
		switch k.N.BitLen() {
		case 1024:
			return RSA1024, true
		case 2048:
			return RSA2048, true
		case 3072:
			return RSA3072, true
		case 4096:
			return RSA4096, true
		}
	case ed25519.PublicKey:
		return Ed25519, true
	case *ecdh.PublicKey:
		return X25519, k.Curve() == ecdh.X25519()
	}
	return 0, false
}

// PINPolicy says when a key wants the PIN.
type PINPolicy byte

// The policies. 0 stands for the slot's own: 9c always, 9e never, others once.
const (
	PINNever       PINPolicy = 1
	PINOnce        PINPolicy = 2
	PINAlways      PINPolicy = 3
	PINMatchOnce   PINPolicy = 4 // a finger, of keys with a sensor
	PINMatchAlways PINPolicy = 5
)

var pinPolicies = map[PINPolicy]string{PINNever: "never", PINOnce: "once", PINAlways: "always", PINMatchOnce: "match-once", PINMatchAlways: "match-always"}

// String is such as "once".
func (p PINPolicy) String() string { return policyName(pinPolicies, p) }

// ParsePINPolicy reads never, once or always.
func ParsePINPolicy(text string) (PINPolicy, error) {
	for _, p := range []PINPolicy{PINNever, PINOnce, PINAlways} {
		if pinPolicies[p] == text {
			return p, nil
		}
	}
	return 0, fmt.Errorf("there is no PIN policy %q: never, once or always", text)
}

// TouchPolicy says when a key wants to be touched.
type TouchPolicy byte

// The policies. 0 stands for never.
const (
	TouchNever  TouchPolicy = 1
	TouchAlways TouchPolicy = 2
	TouchCached TouchPolicy = 3 // a touch counts for 15 seconds
)

var touchPolicies = map[TouchPolicy]string{TouchNever: "never", TouchAlways: "always", TouchCached: "cached"}

// String is such as "cached".
func (p TouchPolicy) String() string { return policyName(touchPolicies, p) }

// ParseTouchPolicy reads never, always or cached.
func ParseTouchPolicy(text string) (TouchPolicy, error) {
	for p, name := range touchPolicies {
		if name == text {
			return p, nil
		}
	}
	return 0, fmt.Errorf("there is no touch policy %q: never, always or cached", text)
}

func policyName[P ~byte](names map[P]string, p P) string {
	if name, ok := names[p]; ok {
		return name
	}
	if p == 0 {
		return "default"
	}
	return fmt.Sprintf("policy %d", byte(p))
}

// KeySpec is the key to be generated. The zero value is P-256 with the slot's own policies.
type KeySpec struct {
	Algorithm Algorithm
	PIN       PINPolicy
	Touch     TouchPolicy
}

// In is the specification for a slot, with everything said. Source of the defaults: Yubico, PIV certificate slots.
func (k KeySpec) In(s Slot) KeySpec {
	if k.Algorithm == 0 {
		k.Algorithm = P256
	}
	if k.PIN == 0 {
		switch s {
		case Signature:
			k.PIN = PINAlways
		case CardAuthentication:
			k.PIN = PINNever
		default:
			k.PIN = PINOnce
		}
	}
	if k.Touch == 0 {
		k.Touch = TouchNever
	}
	return k
}
