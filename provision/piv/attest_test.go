package piv

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/ykslot"
)

// authority is a certificate with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes one, signed by another or by itself.
func newAuthority(t *testing.T, name string, by *authority, change func(*x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, MaxPathLen: -1,
		NotBefore: time.Date(2016, time.March, 14, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2052, time.April, 17, 0, 0, 0, 0, time.UTC),
	}
	if change != nil {
		change(template)
	}
	if by == nil {
		by = &authority{template, key}
	}
	a.cert = by.sign(t, template, key.Public())
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// attestation is what a card of firmware 5.7.1 says of a key, changed by change.
func (a *authority) attestation(t *testing.T, s Slot, public crypto.PublicKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	serial, err := asn1.Marshal(7654321)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: attestedName + s.String()}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		ExtraExtensions: []pkix.Extension{
			{Id: oidFirmware, Value: []byte{5, 7, 1}}, {Id: oidSerial, Value: serial}, {Id: oidPolicy, Value: []byte{2, 3}}, {Id: oidFormFactor, Value: []byte{0x83}},
		},
	}
	if change != nil {
		change(template)
	}
	return a.sign(t, template, public)
}

func rootsOf(t *testing.T, certs ...*x509.Certificate) (r Roots) {
	t.Helper()
	for _, c := range certs {
		if err := r.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func noCA(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }

func TestVerifyAttestation(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "Root", nil, nil)
	short := newAuthority(t, "U2F Root", nil, func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	middle := newAuthority(t, "Intermediate", root, nil)
	maker := newAuthority(t, "Yubico PIV Attestation", root, nil)
	old := newAuthority(t, "Yubico PIV Attestation", root, noCA)
	ofShort := newAuthority(t, "Yubico PIV Attestation", short, noCA)
	ofMiddle := newAuthority(t, "Yubico PIV Attestation", middle, nil)
	leaf := newAuthority(t, "Yubico PIV Attestation", root, func(c *x509.Certificate) { c.IsCA = false })
	other := newAuthority(t, "Root", nil, nil)
	key := newAuthority(t, "of a card", nil, nil)
	public := key.key.Public()
	// What a counterfeit with a genuine key in its pocket could show: it calls an attested key the maker's, and has it sign.
	attested := authority{maker.attestation(t, Authentication, public, nil), key.key}
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	good := maker.attestation(t, Authentication, public, nil)
	for name, test := range map[string]struct {
		roots       Roots
		maker, cert *x509.Certificate
		slot        Slot
		at          time.Time
		ok          bool
	}{
		"genuine":                    {rootsOf(t, root.cert), maker.cert, good, Authentication, at, true},
		"among several roots":        {rootsOf(t, other.cert, root.cert), maker.cert, good, Authentication, at, true},
		"firmware 4, no constraints": {rootsOf(t, root.cert), old.cert, old.attestation(t, Authentication, public, nil), Authentication, at, true},
		"firmware 4, U2F root":       {rootsOf(t, short.cert), ofShort.cert, ofShort.attestation(t, Authentication, public, nil), Authentication, at, true},
		"by an intermediate":         {rootsOf(t, root.cert, middle.cert), ofMiddle.cert, ofMiddle.attestation(t, FirstRetired, public, nil), FirstRetired, at, true},
		"the intermediate missing":   {rootsOf(t, root.cert), ofMiddle.cert, ofMiddle.attestation(t, Authentication, public, nil), Authentication, at, false},
		"the intermediate alone":     {rootsOf(t, middle.cert), ofMiddle.cert, ofMiddle.attestation(t, Authentication, public, nil), Authentication, at, false},
		"no root":                    {Roots{}, maker.cert, good, Authentication, at, false},
		"another root of that name":  {rootsOf(t, other.cert), maker.cert, good, Authentication, at, false},
		"signed by another":          {rootsOf(t, root.cert), maker.cert, old.attestation(t, Authentication, public, nil), Authentication, at, false},
		"the maker's is no CA":       {rootsOf(t, root.cert), leaf.cert, leaf.attestation(t, Authentication, public, nil), Authentication, at, false},
		"an attested key as maker":   {rootsOf(t, root.cert, maker.cert), attested.cert, attested.attestation(t, Authentication, public, nil), Authentication, at, false},
		"of another slot":            {rootsOf(t, root.cert), maker.cert, good, Signature, at, false},
		"too early":                  {rootsOf(t, root.cert), maker.cert, good, Authentication, at.AddDate(-20, 0, 0), false},
		"too late":                   {rootsOf(t, root.cert), maker.cert, good, Authentication, at.AddDate(30, 0, 0), false},
		"not valid yet": {rootsOf(t, root.cert), maker.cert, maker.attestation(t, Authentication, public, func(c *x509.Certificate) { c.NotBefore = at.AddDate(1, 0, 0) }),
			Authentication, at, false},
		"without firmware": {rootsOf(t, root.cert), maker.cert, maker.attestation(t, Authentication, public, func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[1:] }),
			Authentication, at, false},
		"a malformed serial number": {rootsOf(t, root.cert), maker.cert, maker.attestation(t, Authentication, public, func(c *x509.Certificate) { c.ExtraExtensions[1].Value = []byte{4, 1, 1} }),
			Authentication, at, false},
		"a malformed policy": {rootsOf(t, root.cert), maker.cert, maker.attestation(t, Authentication, public, func(c *x509.Certificate) { c.ExtraExtensions[2].Value = []byte{1} }),
			Authentication, at, false},
		"no attestation": {rootsOf(t, root.cert), maker.cert, maker.attestation(t, Authentication, public, func(c *x509.Certificate) { c.Subject.CommonName = "9a" }),
			Authentication, at, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			constraints := test.maker.BasicConstraintsValid
			a, err := VerifyAttestation(test.roots, test.maker, test.cert, test.slot, test.at)
			if test.ok != (err == nil) || err != nil && !errors.Is(err, ErrNotGenuine) {
				t.Fatal(err)
			}
			if err == nil && (a.Serial != 7654321 || a.Version != v571 || a.PIN != PINOnce || a.Touch != TouchCached || a.FormFactor != ykslot.FormFactor(3) || !a.FIPS || !SameKey(a.Public, public)) {
				t.Errorf("%+v", a)
			}
			if test.maker.BasicConstraintsValid != constraints {
				t.Error("the certificate was changed")
			}
		})
	}
}

// TestAttest compares what is attested with what the card says.
func TestAttest(t *testing.T) {
	t.Parallel()
	c, r, public := certified(t, Authentication, KeySpec{})
	root := newAuthority(t, "Root", nil, nil)
	maker := newAuthority(t, "Yubico PIV Attestation", root, nil)
	c.attest = func(s Slot, public crypto.PublicKey) *x509.Certificate { return maker.attestation(t, s, public, nil) }
	roots := rootsOf(t, root.cert)
	attest := func() error {
		_, err := r.Attest(t.Context(), c, Authentication, roots)
		return err
	}
	if err := attest(); !errors.Is(err, ErrNotGenuine) {
		t.Errorf("without a certificate in F9: %v", err)
	}
	c.maker = maker.cert
	if a, err := r.Attest(t.Context(), c, Authentication, roots); err != nil || !SameKey(a.Public, public) || a.Answered {
		t.Errorf("genuine: %v, answered without a PIN: %v", err, a.Answered)
	}
	if _, err := r.Attest(t.Context(), c, Signature, roots); !errors.Is(err, ErrNoKey) {
		t.Errorf("an empty slot: %v", err)
	}
	c.serial++
	if err := attest(); !errors.Is(err, ErrNotGenuine) {
		t.Errorf("the attestation of another card: %v", err)
	}
	c.serial--
	c.version = v543
	if err := attest(); !errors.Is(err, ErrNotGenuine) {
		t.Errorf("the attestation of another firmware: %v", err)
	}
	c.version = v571
	c.attest = func(s Slot, _ crypto.PublicKey) *x509.Certificate {
		return maker.attestation(t, s, root.key.Public(), nil)
	}
	if err := attest(); !errors.Is(err, ErrNotGenuine) {
		t.Errorf("the attestation of another key: %v", err)
	}
}

// TestChallenge: a card that shows the certificates of another key, and has not that key, is found out where the key needs no PIN.
func TestChallenge(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "Root", nil, nil)
	maker := newAuthority(t, "Yubico PIV Attestation", root, nil)
	says := func(c *x509.Certificate) {
		c.ExtraExtensions[0].Value, c.ExtraExtensions[2].Value = []byte{4, 3, 5}, []byte{1, 1}
	}
	for _, k := range []KeySpec{{Algorithm: P256, PIN: PINNever}, {Algorithm: Ed25519, PIN: PINNever}} {
		c := newFake(v571)
		r, _ := newRunner(c)
		if _, err := r.Generate(t.Context(), c, GenerateSpec{Slot: LastRetired, Key: k}); err != nil {
			t.Fatal(err)
		}
		c.version, c.maker = v435, maker.cert // which does not tell the key by itself
		c.attest = func(s Slot, public crypto.PublicKey) *x509.Certificate { return maker.attestation(t, s, public, says) }
		if a, err := r.Attest(t.Context(), c, LastRetired, rootsOf(t, root.cert)); err != nil || !a.Answered {
			t.Errorf("%v: answered %v, %v", k.Algorithm, a.Answered, err)
		}
		genuine := newFake(v571)
		other, err := genuine.Generate(t.Context(), DefaultManagementKey(), LastRetired, k)
		if err != nil {
			t.Fatal(err)
		}
		copied := maker.attestation(t, LastRetired, other, says)
		c.attest = func(Slot, crypto.PublicKey) *x509.Certificate { return copied }
		if _, err := r.Attest(t.Context(), c, LastRetired, rootsOf(t, root.cert)); !errors.Is(err, ErrNotGenuine) {
			t.Errorf("%v: copies of another key's certificates: %v", k.Algorithm, err)
		}
	}
}

func TestRoots(t *testing.T) {
	t.Parallel()
	var r Roots
	for name, text := range map[string]string{"nothing": "", "text": "hello", "a key": "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "no certificate": "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"} {
		if err := r.Add([]byte(text)); err == nil || !r.Empty() {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzAttestation: what is read of a certificate names a slot and a firmware, or is an error.
func FuzzAttestation(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: attestedName + "9a"}, ExtraExtensions: []pkix.Extension{{Id: oidFirmware, Value: []byte{5, 7, 1}}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(bytes.ReplaceAll(der, []byte("9a"), []byte("f9")))
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if a, err := readAttestation(cert); err == nil && (a.Slot.Object() == 0 || a.Slot == Attestation || a.Version == (ykslot.Version{})) {
			t.Errorf("%+v", a)
		}
	})
}
