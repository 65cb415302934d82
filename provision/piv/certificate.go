package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// CertificateSpec is what a certificate or a request for one says.
type CertificateSpec struct {
	Slot Slot
	// Public is what Generate gave, if it was just now: firmware before 4.3 does not tell it again. nil: the card tells.
	Public  crypto.PublicKey
	Subject pkix.Name
	Emails  []string
	// UPN is the account that Windows logs on by the certificate, such as ada@example.org; empty: none.
	UPN string
	// Valid is how long a self-signed certificate is; a request does not say.
	Valid time.Duration
	// Overwrite: a certificate in the slot may be replaced by the self-signed one.
	Overwrite bool
	Given     Given
}

// Request is a certificate request (PKCS #10, DER), signed with the key in the slot. The PIN is verified once, if the key wants it.
// Errors wrap ErrNoKey, or are those of Verify.
func (r *Runner) Request(ctx context.Context, card Card, c CertificateSpec) ([]byte, error) {
	extra, err := c.names()
	if err != nil {
		return nil, err
	}
	f, err := card.Facts(ctx)
	if err != nil {
		return nil, err
	}
	signer, err := r.signer(ctx, card, f, c)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(r.Rand, &x509.CertificateRequest{Subject: c.Subject, ExtraExtensions: extra}, signer)
}

// SelfSign makes a certificate signed with its own key and stores it on the card. Errors wrap ErrNoKey, are an *OccupiedError, or those of
// Verify and Management.
func (r *Runner) SelfSign(ctx context.Context, card Card, c CertificateSpec) (*x509.Certificate, error) {
	extra, err := c.names()
	if err != nil {
		return nil, err
	}
	f, err := card.Facts(ctx)
	if err != nil {
		return nil, err
	}
	if f.Slot(c.Slot).Object && !c.Overwrite {
		return nil, &OccupiedError{Slot: c.Slot, Certificate: true}
	}
	management, err := r.Management(ctx, card, f, c.Given)
	if err != nil {
		return nil, err
	}
	defer management.Destroy()
	signer, err := r.signer(ctx, card, f, c)
	if err != nil {
		return nil, err
	}
	serial, err := secret.Random(r.Rand, certificateSerialLen)
	if err != nil {
		return nil, err
	}
	number := new(big.Int).SetBytes(serial.Reveal())
	now := r.Now().UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: number.SetBit(number, certificateSerialLen*8-1, 0), Subject: c.Subject, ExtraExtensions: extra,
		NotBefore: now, NotAfter: now.Add(c.Valid), BasicConstraintsValid: true,
	}
	template.KeyUsage, template.ExtKeyUsage = usage(c.Slot)
	der, err := x509.CreateCertificate(r.Rand, template, template, signer.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return cert, card.SetCertificate(ctx, management, c.Slot, cert)
}

// certificateSerialLen is of random serial numbers, in bytes; the first bit is 0. Source: RFC 5280 §4.1.2.2 (20 at most).
const certificateSerialLen = 16

// usage is what the key of a slot is for. Source: NIST SP 800-73-4 part 1 §3.1.3, §3.2.1 and §3.2.2.
func usage(s Slot) (x509.KeyUsage, []x509.ExtKeyUsage) {
	switch {
	case s == Signature:
		return x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	case s == KeyManagement, s.Retired():
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement, nil
	}
	return x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// signer is the key in a slot, with the PIN verified if it wants it.
func (r *Runner) signer(ctx context.Context, card Card, f Facts, c CertificateSpec) (crypto.Signer, error) {
	have := f.Slot(c.Slot)
	if c.Public != nil && have.Public == nil {
		have.Public = c.Public
		have.Algorithm, _ = AlgorithmOf(c.Public)
	} else {
		var err error
		if have, err = r.key(ctx, card, f, c.Slot); err != nil {
			return nil, err
		}
	}
	if a, ok := AlgorithmOf(have.Public); !ok || a == X25519 {
		return nil, fmt.Errorf("slot %v: a key of %v does not sign", c.Slot, have.Algorithm)
	}
	signer, err := card.Signer(ctx, c.Slot, have.Public)
	if err != nil {
		return nil, err
	}
	if have.PIN != PINNever {
		if err := r.Verify(ctx, card, f, c.Given); err != nil {
			return nil, err
		}
	}
	if have.Touch > TouchNever {
		r.touch(c.Slot)
	}
	return signer, nil
}

// key is what is known of the key in a slot, with its public key. Before firmware 5.3 the attestation has it; an imported one's is in the
// certificate beside it.
func (r *Runner) key(ctx context.Context, card Card, f Facts, s Slot) (KeyFacts, error) {
	have := f.Slot(s)
	if have.Public == nil && have.Key != No {
		cert, err := card.Attest(ctx, s)
		switch {
		case err == nil:
			FillAttested(&have, cert)
		case errors.Is(err, ErrNoKey) && have.Certificate != nil && !f.Metadata():
			have.Public = have.Certificate.PublicKey
		case errors.Is(err, ErrNoKey):
		default:
			return have, err
		}
	}
	if have.Public == nil {
		return have, fmt.Errorf("slot %v: %w", s, ErrNoKey)
	}
	return have, nil
}

// ImportSpec is a certificate for the key in a slot.
type ImportSpec struct {
	Slot        Slot
	Certificate *x509.Certificate
	Overwrite   bool // one that is there, for another key or of another issuer
	Given       Given
}

// maxCertificate is what the card's object for it holds, in bytes. Source: NIST SP 800-73-4 part 1 table 7 says 1856; YubiKeys take 3049.
const maxCertificate = 3000

// ImportCertificate stores a certificate that somebody issued for the key in the slot. Errors wrap ErrOtherKey or ErrNoKey, are an
// *OccupiedError, or those of Management.
func (r *Runner) ImportCertificate(ctx context.Context, card Card, i ImportSpec) error {
	f, err := card.Facts(ctx)
	if err != nil {
		return err
	}
	have, err := r.key(ctx, card, f, i.Slot)
	if err != nil {
		return err
	}
	if !SameKey(i.Certificate.PublicKey, have.Public) {
		return fmt.Errorf("slot %v: %w", i.Slot, ErrOtherKey)
	}
	if n := len(i.Certificate.Raw); n > maxCertificate {
		return fmt.Errorf("the certificate has %d bytes: a card takes %d", n, maxCertificate)
	}
	if have.Certificate != nil && have.Certificate.Equal(i.Certificate) {
		return nil
	}
	// A self-signed certificate for this key stood in for this one.
	standIn := have.Certificate != nil && SameKey(have.Certificate.PublicKey, have.Public) && bytes.Equal(have.Certificate.RawIssuer, have.Certificate.RawSubject)
	if have.Object && !standIn && !i.Overwrite {
		return &OccupiedError{Slot: i.Slot, Certificate: true}
	}
	management, err := r.Management(ctx, card, f, i.Given)
	if err != nil {
		return err
	}
	defer management.Destroy()
	return card.SetCertificate(ctx, management, i.Slot, i.Certificate)
}

// SameKey reports whether two public keys are the same.
func SameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// Where the account of Windows is said. Source: RFC 5280 §4.2.1.6 (otherName is [0], rfc822Name [1]); Microsoft KB 281245.
var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidUPN            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// names is the extension for alternative names, none without any.
func (c CertificateSpec) names() ([]pkix.Extension, error) {
	var list []asn1.RawValue
	for _, mail := range c.Emails {
		if !ascii(mail) {
			return nil, errors.New("an e-mail address in a certificate is ASCII")
		}
		list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte(mail)})
	}
	if c.UPN != "" {
		b, err := asn1.Marshal(struct {
			ID   asn1.ObjectIdentifier
			Name string `asn1:"utf8,explicit,tag:0"`
		}{oidUPN, c.UPN})
		if err != nil {
			return nil, err
		}
		var inner asn1.RawValue
		if _, err := asn1.Unmarshal(b, &inner); err != nil {
			return nil, err
		}
		list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner.Bytes})
	}
	if len(list) == 0 {
		return nil, nil
	}
	value, err := asn1.Marshal(list)
	return []pkix.Extension{{Id: oidSubjectAltName, Value: value}}, err
}

func ascii(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}
