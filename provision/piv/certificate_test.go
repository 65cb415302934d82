package piv

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/ykslot"
)

// certified is a card that is set up, with a key in a slot.
func certified(t *testing.T, s Slot, k KeySpec) (*fakeCard, *Runner, crypto.PublicKey) {
	t.Helper()
	c := newFake(v571)
	r, _ := newRunner(c)
	if err := setUp(t, r, c, Want{}); err != nil {
		t.Fatal(err)
	}
	public, err := r.Generate(t.Context(), c, GenerateSpec{Slot: s, Key: k})
	if err != nil {
		t.Fatal(err)
	}
	return c, r, public
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	c, r, public := certified(t, Authentication, KeySpec{})
	spec := CertificateSpec{Slot: Authentication, Subject: pkix.Name{CommonName: "Ada"}, Emails: []string{"ada@example.org"}, UPN: "ada@ad.example.org", Valid: 24 * time.Hour}
	der, err := r.Request(t.Context(), c, spec)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || request.CheckSignature() != nil || !SameKey(request.PublicKey, public) || len(request.EmailAddresses) != 1 {
		t.Errorf("request: %v", err)
	}
	own, err := r.SelfSign(t.Context(), c, spec)
	if err != nil {
		t.Fatal(err)
	}
	if own.CheckSignature(own.SignatureAlgorithm, own.RawTBSCertificate, own.Signature) != nil || own.KeyUsage != x509.KeyUsageDigitalSignature || own.NotAfter.Sub(own.NotBefore) != 24*time.Hour || c.certs[Authentication] == nil {
		t.Errorf("self-signed: %+v", own.Subject)
	}
	if _, err := r.SelfSign(t.Context(), c, spec); !errors.As(err, new(*OccupiedError)) {
		t.Errorf("over a certificate: %v", err)
	}
	issued := issue(t, public)
	if err := r.ImportCertificate(t.Context(), c, ImportSpec{Slot: Authentication, Certificate: issued}); err != nil {
		t.Errorf("in place of the self-signed one: %v", err)
	}
	if err := r.ImportCertificate(t.Context(), c, ImportSpec{Slot: Authentication, Certificate: issued}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := r.ImportCertificate(t.Context(), c, ImportSpec{Slot: Authentication, Certificate: issue(t, public)}); !errors.As(err, new(*OccupiedError)) {
		t.Errorf("in place of an issued one: %v", err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ImportCertificate(t.Context(), c, ImportSpec{Slot: Authentication, Certificate: issue(t, other.Public()), Overwrite: true}); !errors.Is(err, ErrOtherKey) {
		t.Errorf("of another key: %v", err)
	}
	if err := r.ImportCertificate(t.Context(), c, ImportSpec{Slot: KeyManagement, Certificate: issued}); !errors.Is(err, ErrNoKey) {
		t.Errorf("for an empty slot: %v", err)
	}
	if _, err := r.Generate(t.Context(), c, GenerateSpec{Slot: Authentication}); !errors.As(err, new(*OccupiedError)) {
		t.Errorf("generate over a key: %v", err)
	}
	if fresh, err := r.Generate(t.Context(), c, GenerateSpec{Slot: Authentication, Overwrite: true}); err != nil || SameKey(fresh, public) || c.certs[Authentication] != nil {
		t.Errorf("generate anew: %v, the certificate of the former key is there", err)
	}
	if _, err := r.Request(t.Context(), c, CertificateSpec{Slot: Authentication, Emails: []string{"ada lovelace"}}); err == nil {
		t.Error("an e-mail address with a space is taken")
	}
	if c.pin.wrong > 0 {
		t.Error("tries were burned")
	}
}

func issue(t *testing.T, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ada"}},
		&x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestRequestJudge: openssl verifies requests and certificates, and reads the names in them.
func TestRequestJudge(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	for _, k := range []KeySpec{{Algorithm: P256}, {Algorithm: Ed25519}} {
		c, r, _ := certified(t, Signature, k)
		spec := CertificateSpec{Slot: Signature, Subject: pkix.Name{CommonName: "Ada"}, Emails: []string{"ada@example.org"}, UPN: "ada@ad.example.org", Valid: time.Hour}
		der, err := r.Request(t.Context(), c, spec)
		if err != nil {
			t.Fatal(err)
		}
		said := openssl(t, der, "req", "-verify", "-noout", "-text")
		for _, want := range []string{"verify OK", "CN = Ada", "email:ada@example.org", "othername: UPN::ada@ad.example.org"} {
			if !strings.Contains(said, want) {
				t.Errorf("%v: openssl does not say %q:\n%s", k.Algorithm, want, said)
			}
		}
		cert, err := r.SelfSign(t.Context(), c, spec)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "cert.pem")
		if err := os.WriteFile(file, []byte(openssl(t, cert.Raw, "x509")), 0o600); err != nil {
			t.Fatal(err)
		}
		at := r.Now().Add(time.Minute)
		if said := openssl(t, nil, "verify", "-attime", big.NewInt(at.Unix()).String(), "-CAfile", file, file); !strings.Contains(said, "OK") {
			t.Errorf("%v: %s", k.Algorithm, said)
		}
	}
}

func openssl(t *testing.T, der []byte, args ...string) string {
	t.Helper()
	if der != nil {
		args = append(args, "-inform", "DER")
	}
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = bytes.NewReader(der)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, said)
	}
	return string(said)
}

func TestSupports(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version string
		key     KeySpec
		ok      bool
	}{
		{"5.7.1", KeySpec{Algorithm: Ed25519}, true}, {"5.4.3", KeySpec{Algorithm: Ed25519}, false}, {"5.4.3", KeySpec{Algorithm: RSA4096}, false},
		{"4.3.5", KeySpec{Algorithm: RSA2048}, true}, {"4.3.4", KeySpec{Algorithm: RSA2048}, false}, {"4.2.0", KeySpec{Algorithm: RSA1024}, false}, {"4.3.4", KeySpec{Algorithm: P256}, true},
		{"3.4.3", KeySpec{Algorithm: P256}, true}, {"3.4.3", KeySpec{Algorithm: P384}, false}, {"3.4.3", KeySpec{Algorithm: P256, Touch: TouchAlways}, false},
		{"4.2.0", KeySpec{Algorithm: P256, Touch: TouchCached}, false}, {"3.4.3", KeySpec{Algorithm: P256, PIN: PINAlways}, false},
		{"4.4.5", KeySpec{Algorithm: P256, PIN: PINNever}, false}, {"4.4.5", KeySpec{Algorithm: RSA1024, PIN: PINOnce}, false}, {"4.4.5", KeySpec{Algorithm: RSA2048, PIN: PINOnce}, true},
		{"4.5.0", KeySpec{Algorithm: P256, PIN: PINNever}, true}, {"4.3.7", KeySpec{Algorithm: P256, PIN: PINNever}, true},
	} {
		var v ykslot.Version
		v.Major, v.Minor, v.Patch = test.version[0]-'0', test.version[2]-'0', test.version[4]-'0'
		if err := Supports(v, test.key); test.ok != (err == nil) || err != nil && !errors.As(err, new(*UnsupportedError)) {
			t.Errorf("%s: %+v: %v", test.version, test.key, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, s := range append(Slots(), Attestation) {
		got, err := ParseSlot(s.String())
		if (err != nil) != (s == Attestation) || err == nil && got != s || s.Object() == 0 || s.Name() == "unknown" {
			t.Errorf("slot %v: %v, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "9", "9b", "81", "96", "f9", "+9a", "09a"} {
		if s, err := ParseSlot(bad); err == nil {
			t.Errorf("%q is slot %v", bad, s)
		}
	}
	for _, a := range Algorithms() {
		if got, err := ParseAlgorithm(a.String()); err != nil || got != a {
			t.Errorf("%v: %v, %v", a, got, err)
		}
	}
	for p := range touchPolicies {
		if got, err := ParseTouchPolicy(p.String()); err != nil || got != p {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	if k := (KeySpec{}).In(Signature); k.PIN != PINAlways || k.Touch != TouchNever || k.Algorithm != P256 {
		t.Errorf("%+v", k)
	}
}
