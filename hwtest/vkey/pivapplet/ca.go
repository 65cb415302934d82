package pivapplet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// CA stands for Yubico: it signs the attestation keys of virtual keys. Nothing about it is secret, and nothing random: two
// CAs of one name are the same, in any process.
type CA struct {
	name               string
	root, intermediate *x509.Certificate
	signs              crypto.Signer // of the root
	signsNew           crypto.Signer // of the intermediate
}

// TestCA is the CA of virtual keys that name none.
func TestCA() *CA { return NewCA("Virtual PIV") }

// NewCA is a CA of that name: a root that signs the attestation keys of firmware before 5.7, and an intermediate below it for
// the others.
func NewCA(name string) *CA {
	ca := &CA{name: name, signs: derived(name + " root"), signsNew: derived(name + " intermediate")}
	root := authority(name+" Attestation Root", 1, 2)
	ca.root = sign(root, root, ca.signs.Public(), ca.signs)
	ca.intermediate = sign(authority(name+" Attestation Intermediate", 2, 1), ca.root, ca.signsNew.Public(), ca.signs)
	return ca
}

// Root is the root certificate.
func (ca *CA) Root() *x509.Certificate { return ca.root }

// Intermediate is the certificate between the root and the attestation keys of firmware 5.7.
func (ca *CA) Intermediate() *x509.Certificate { return ca.intermediate }

// RootPEM is the root certificate as a file has it.
func (ca *CA) RootPEM() []byte { return encodePEM(ca.root) }

// IntermediatePEM is the intermediate certificate as a file has it.
func (ca *CA) IntermediatePEM() []byte { return encodePEM(ca.intermediate) }

func encodePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// validity is that of Yubico's PIV root of 2016; attestations take it from the certificate above them.
func validity() (from, to time.Time) {
	return time.Date(2016, time.March, 14, 0, 0, 0, 0, time.UTC), time.Date(2052, time.April, 17, 0, 0, 0, 0, time.UTC)
}

func authority(name string, serial int64, below int) *x509.Certificate {
	from, to := validity()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: below, MaxPathLenZero: below == 0,
	}
}

// derived is the P-256 key of a name.
func derived(name string) *ecdsa.PrivateKey {
	for n := 0; ; n++ {
		seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, n))
		if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:]); err == nil {
			return k
		}
	}
}

// sign makes a certificate. Without randomness, ECDSA is deterministic (RFC 6979). It fails for templates only that no code here makes.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(nil, template, parent, public, by)
	if err != nil {
		panic(fmt.Sprintf("pivapplet: %v", err))
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(fmt.Sprintf("pivapplet: %v", err))
	}
	return c
}
