package pivhw

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Tags of metadata. Source: Yubico, PIV extensions, "GET METADATA".
const (
	metaAlgorithm = 0x01
	metaPolicy    = 0x02 // PIN ‖ touch
	metaOrigin    = 0x03 // 1 generated, 2 imported
	metaPublic    = 0x04
	metaDefault   = 0x05
	metaTries     = 0x06 // all ‖ left

	generated = 1
)

// readReference reads the metadata of PIN or PUK.
func readReference(b []byte) (piv.Reference, error) {
	n, ok := apdu.Find(b, metaTries)
	if !ok || len(n) != 2 {
		return piv.Reference{}, fmt.Errorf("%w: metadata without tries", piv.ErrProtocol)
	}
	return piv.Reference{Total: int(n[0]), Left: int(n[1]), Default: readDefault(b)}, nil
}

func readDefault(b []byte) piv.Answer {
	switch v, ok := apdu.Find(b, metaDefault); {
	case !ok || len(v) != 1:
		return piv.Unknown
	case v[0] == 0:
		return piv.No
	}
	return piv.Yes
}

// readManagement reads the metadata of the management key. Firmware 5.3 does not tell the algorithm, and has 3DES alone.
func readManagement(b []byte) (piv.Management, error) {
	m := piv.Management{Algorithm: piv.TripleDES, Default: readDefault(b)}
	if v, ok := apdu.Find(b, metaAlgorithm); ok {
		if len(v) != 1 || piv.ManagementAlgorithm(v[0]).Len() == 0 {
			return m, fmt.Errorf("%w: a management key of an unknown algorithm", piv.ErrProtocol)
		}
		m.Algorithm = piv.ManagementAlgorithm(v[0])
	}
	if v, ok := apdu.Find(b, metaPolicy); ok && len(v) == 2 {
		m.Touch = piv.TouchPolicy(v[1]) > piv.TouchNever
	}
	return m, nil
}

// readKey reads the metadata of a slot.
func readKey(b []byte, k *piv.KeyFacts) error {
	k.Key = piv.Yes
	if v, ok := apdu.Find(b, metaAlgorithm); ok && len(v) == 1 {
		k.Algorithm = piv.Algorithm(v[0])
	}
	if v, ok := apdu.Find(b, metaPolicy); ok && len(v) == 2 {
		k.PIN, k.Touch = piv.PINPolicy(v[0]), piv.TouchPolicy(v[1])
	}
	if v, ok := apdu.Find(b, metaOrigin); ok && len(v) == 1 {
		k.Generated = piv.No
		if v[0] == generated {
			k.Generated = piv.Yes
		}
	}
	v, ok := apdu.Find(b, metaPublic)
	if !ok {
		return nil
	}
	public, err := readPublic(k.Algorithm, v)
	if err != nil {
		return fmt.Errorf("slot %v: %w", k.Slot, err)
	}
	k.Public = public
	return nil
}

// Tags of a public key. Source: NIST SP 800-73-4 part 2 table 11.
const (
	tagModulus  = 0x81
	tagExponent = 0x82
	tagPoint    = 0x86
)

// readPublic reads a public key; nil for an algorithm that is not known.
func readPublic(a piv.Algorithm, b []byte) (any, error) {
	point, _ := apdu.Find(b, tagPoint)
	switch a {
	case piv.P256:
		return checked(ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point))
	case piv.P384:
		return checked(ecdsa.ParseUncompressedPublicKey(elliptic.P384(), point))
	case piv.X25519:
		return checked(ecdh.X25519().NewPublicKey(point))
	case piv.Ed25519:
		if len(point) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: a public key of %d bytes", piv.ErrProtocol, len(point))
		}
		return ed25519.PublicKey(bytes.Clone(point)), nil
	case piv.RSA1024, piv.RSA2048, piv.RSA3072, piv.RSA4096:
		n, _ := apdu.Find(b, tagModulus)
		e, _ := apdu.Find(b, tagExponent)
		exponent, modulus := new(big.Int).SetBytes(e), new(big.Int).SetBytes(n)
		public := &rsa.PublicKey{N: modulus}
		if !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 {
			return nil, fmt.Errorf("%w: a public exponent out of range", piv.ErrProtocol)
		}
		public.E = int(exponent.Int64())
		if got, ok := piv.AlgorithmOf(public); !ok || got != a {
			return nil, fmt.Errorf("%w: a modulus of %d bits", piv.ErrProtocol, modulus.BitLen())
		}
		return public, nil
	}
	return nil, nil
}

func checked[T any](public T, err error) (any, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", piv.ErrProtocol, err)
	}
	return public, nil
}

// Tags of a certificate's object. Source: NIST SP 800-73-4 part 1 table 10.
const (
	tagCertificate = 0x70
	tagInfo        = 0x71
	compressed     = 0x01 // of the info: gzip
)

// maxUnpacked bounds a compressed certificate: there are none of more than a few kilobytes.
const maxUnpacked = 64 << 10

var errNoCertificate = errors.New("no certificate")

// readCertificate reads the object of a certificate.
func readCertificate(value []byte) (*x509.Certificate, error) {
	der, ok := apdu.Find(value, tagCertificate)
	if !ok || len(der) == 0 {
		return nil, errNoCertificate
	}
	if info, ok := apdu.Find(value, tagInfo); ok && len(info) == 1 && info[0]&compressed != 0 {
		z, err := gzip.NewReader(bytes.NewReader(der))
		if err != nil {
			return nil, err
		}
		if der, err = io.ReadAll(io.LimitReader(z, maxUnpacked)); err != nil {
			return nil, err
		}
	}
	return x509.ParseCertificate(der)
}

// Tags and flags of Yubico's admin data. Source: yubikit piv.py, PivmanData.
const (
	tagAdmin      = 0x80
	tagAdminFlags = 0x81
	tagAdminSalt  = 0x82
	keyStored     = 0x02
)

// onCard reports whether admin data say that the management key is kept on the card, or made from the PIN.
func onCard(admin []byte) bool {
	if salt, ok := apdu.Find(admin, tagAdmin, tagAdminSalt); ok && len(salt) > 0 {
		return true
	}
	flags, ok := apdu.Find(admin, tagAdmin, tagAdminFlags)
	return ok && len(flags) == 1 && flags[0]&keyStored != 0
}

// ecdsaKey is a public key for agreeing on keys as one for signing, which is how certificates and piv-go have it.
func ecdsaKey(k *ecdh.PublicKey) (*ecdsa.PublicKey, error) {
	switch k.Curve() {
	case ecdh.P256():
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Bytes())
	case ecdh.P384():
		return ecdsa.ParseUncompressedPublicKey(elliptic.P384(), k.Bytes())
	}
	return nil, errors.New("no card has keys of this curve")
}
