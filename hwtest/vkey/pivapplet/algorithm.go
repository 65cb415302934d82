package pivapplet

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// Algorithm is what a key is for, as P1 and tag 80 name it: reference yubikey-otp.md §8, SP 800-78-4 table 6-2.
type Algorithm byte

// The algorithms of slots.
const (
	RSA1024 Algorithm = 0x06
	RSA2048 Algorithm = 0x07
	RSA3072 Algorithm = 0x05
	RSA4096 Algorithm = 0x16
	P256    Algorithm = 0x11
	P384    Algorithm = 0x14
	Ed25519 Algorithm = 0xe0
	X25519  Algorithm = 0xe1
)

// knows says whether the firmware has the algorithm: P-384 came with 4.0, the longer RSA and Curve25519 with 5.7.
func (a *Applet) knows(alg Algorithm) bool {
	switch alg {
	case RSA1024, RSA2048, P256:
		return true
	case P384:
		return a.since(4, 0)
	case RSA3072, RSA4096, Ed25519, X25519:
		return a.since(5, 7)
	}
	return false
}

// bits is the length of an RSA modulus, 0 for what is not RSA.
func (alg Algorithm) bits() int {
	switch alg {
	case RSA1024:
		return 1024
	case RSA2048:
		return 2048
	case RSA3072:
		return 3072
	case RSA4096:
		return 4096
	}
	return 0
}

// curve is the curve of ECDSA and ECDH, nil for what is neither.
func (alg Algorithm) curve() elliptic.Curve {
	switch alg {
	case P256:
		return elliptic.P256()
	case P384:
		return elliptic.P384()
	}
	return nil
}

// algorithmOf is the algorithm of a private key, 0 for one that no slot can hold.
func algorithmOf(private crypto.PrivateKey) Algorithm {
	switch k := private.(type) {
	case *rsa.PrivateKey:
		for _, alg := range [...]Algorithm{RSA1024, RSA2048, RSA3072, RSA4096} {
			if k.N.BitLen() == alg.bits() {
				return alg
			}
		}
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return P256
		case elliptic.P384():
			return P384
		}
	case ed25519.PrivateKey:
		return Ed25519
	case *ecdh.PrivateKey:
		if k.Curve() == ecdh.X25519() {
			return X25519
		}
	}
	return 0
}

// draw makes a key.
func (a *Applet) draw(alg Algorithm) crypto.PrivateKey {
	if a.opts.NewKey != nil {
		if k := a.opts.NewKey(alg); k != nil && algorithmOf(k) == alg {
			return k
		}
	}
	var k crypto.PrivateKey
	var err error
	switch {
	case alg.bits() > 0:
		k, err = rsa.GenerateKey(rand.Reader, alg.bits())
	case alg.curve() != nil:
		k, err = ecdsa.GenerateKey(alg.curve(), rand.Reader)
	case alg == Ed25519:
		_, k, err = ed25519.GenerateKey(rand.Reader)
	case alg == X25519:
		k, err = ecdh.X25519().GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil
	}
	return k
}

// Tags of a private key in IMPORT, Yubico's "PIV extensions": p, q, dp, dq, qinv, the scalar, and the seeds of Curve25519.
const (
	tagPrime1      = 0x01
	tagPrime2      = 0x02
	tagExponent1   = 0x03
	tagExponent2   = 0x04
	tagCoefficient = 0x05
	tagScalar      = 0x06
	tagEdSeed      = 0x07
	tagXSeed       = 0x08
)

// decode reads the private key of an IMPORT; nil for one that is none.
func (alg Algorithm) decode(items []item) crypto.PrivateKey {
	switch {
	case alg.bits() > 0:
		return decodeRSA(alg.bits(), items)
	case alg.curve() != nil:
		if k, err := ecdsa.ParseRawPrivateKey(alg.curve(), find(items, tagScalar)); err == nil {
			return k
		}
	case alg == Ed25519:
		if seed := find(items, tagEdSeed); len(seed) == ed25519.SeedSize {
			return ed25519.NewKeyFromSeed(seed)
		}
	case alg == X25519:
		if k, err := ecdh.X25519().NewPrivateKey(find(items, tagXSeed)); err == nil {
			return k
		}
	}
	return nil
}

// exponent is the public one of every RSA key here: the card learns p and q only.
const exponent = 65537

func decodeRSA(bits int, items []item) crypto.PrivateKey {
	for _, tag := range [...]uint32{tagPrime1, tagPrime2, tagExponent1, tagExponent2, tagCoefficient} {
		if len(find(items, tag)) != bits/16 {
			return nil
		}
	}
	p, q := new(big.Int).SetBytes(find(items, tagPrime1)), new(big.Int).SetBytes(find(items, tagPrime2))
	one := big.NewInt(1)
	order := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(exponent), order)
	if d == nil {
		return nil
	}
	k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent}, D: d, Primes: []*big.Int{p, q}}
	if k.N.BitLen() != bits || k.Validate() != nil {
		return nil
	}
	k.Precompute()
	return k
}

// Tags of a public key (7F49), SP 800-73-4 part 2 table 11.
const (
	tagPublicKey = 0x7f49
	tagModulus   = 0x81
	tagExponent  = 0x82
	tagPublic    = 0x86
)

// encode is the public key as GENERATE and METADATA give it, without the outer tag.
func (k *key) encode() []byte {
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		return add(add(nil, tagModulus, p.N.Bytes()), tagExponent, big.NewInt(int64(p.E)).Bytes())
	case *ecdsa.PrivateKey:
		if point, err := p.PublicKey.Bytes(); err == nil {
			return add(nil, tagPublic, point)
		}
	case ed25519.PrivateKey:
		return add(nil, tagPublic, p.Public().(ed25519.PublicKey))
	case *ecdh.PrivateKey:
		return add(nil, tagPublic, p.PublicKey().Bytes())
	}
	return nil
}

// public is the public key.
func (k *key) public() crypto.PublicKey {
	if p, ok := k.private.(interface{ Public() crypto.PublicKey }); ok {
		return p.Public()
	}
	return nil
}

// compute is the private operation on what the host sent: raw RSA, ECDSA (the signature in DER), Ed25519 over the message, or the agreed
// secret where it sent a point; 6a80 for what does not fit.
func (k *key) compute(data, point []byte) ([]byte, uint16) {
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		m := new(big.Int).SetBytes(data)
		if len(data) == p.Size() && m.Cmp(p.N) < 0 {
			return m.Exp(m, p.D, p.N).FillBytes(make([]byte, p.Size())), vkey.SWSuccess
		}
	case *ecdsa.PrivateKey:
		if point != nil {
			return agree(p.ECDH, point)
		}
		if size := (p.Curve.Params().BitSize + 7) / 8; len(data) > 0 && len(data) <= size {
			if sig, err := ecdsa.SignASN1(rand.Reader, p, data); err == nil {
				return sig, vkey.SWSuccess
			}
		}
	case ed25519.PrivateKey:
		if data != nil {
			return ed25519.Sign(p, data), vkey.SWSuccess
		}
	case *ecdh.PrivateKey:
		if point != nil {
			return agree(func() (*ecdh.PrivateKey, error) { return p, nil }, point)
		}
	}
	return nil, vkey.SWWrongData
}

func agree(private func() (*ecdh.PrivateKey, error), point []byte) ([]byte, uint16) {
	p, err := private()
	if err != nil {
		return nil, vkey.SWWrongData
	}
	peer, err := p.Curve().NewPublicKey(point)
	if err != nil {
		return nil, vkey.SWWrongData
	}
	shared, err := p.ECDH(peer)
	if err != nil {
		return nil, vkey.SWWrongData
	}
	return shared, vkey.SWSuccess
}
