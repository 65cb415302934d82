package storetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"iter"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Attestations is where it is kept which keys are genuine.
type Attestations interface {
	KeepAttestation(ctx context.Context, a token.Attestation) error
	Attestation(ctx context.Context, serial token.Serial) (token.Attestation, error)
	SetAttestationRule(ctx context.Context, r token.AttestationRule) error
	AttestationRule(ctx context.Context) (token.AttestationRule, error)
	Audit(ctx context.Context, f func(events iter.Seq2[audit.Event, error], heads []audit.Head) error) error
}

// RunAttestations runs the suite of attestations; open gives an empty store each time.
func RunAttestations(t *testing.T, open func(t *testing.T) Attestations) {
	t.Run("kept", func(t *testing.T) { t.Parallel(); testAttestations(t, open(t)) })
	t.Run("rule", func(t *testing.T) { t.Parallel(); testAttestationRule(t, open(t)) })
	t.Run("refusals", func(t *testing.T) { t.Parallel(); testAttestationRefusals(t, open(t)) })
}

// someCertificate is one that certifies nothing.
func someCertificate(t *testing.T, n int64) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(n)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// wantAudited compares the newest events with these actions.
func wantAudited(t *testing.T, s Attestations, want ...string) {
	t.Helper()
	var got []string
	err := s.Audit(t.Context(), func(events iter.Seq2[audit.Event, error], _ []audit.Head) error {
		for e, err := range events {
			if err != nil {
				return err
			}
			if strings.HasPrefix(e.Action, "device.attest") || strings.HasPrefix(e.Action, "attestation.") {
				got = append(got, e.Action)
			}
		}
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("audited %v, want %v: %v", got, want, err)
	}
}

func testAttestations(t *testing.T, s Attestations) {
	ctx := t.Context()
	if _, err := s.Attestation(ctx, 7); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("never asked: %v", err)
	}
	leaf, maker := someCertificate(t, 1), someCertificate(t, 2)
	good := token.Attestation{Serial: 7, Firmware: "5.7.1", FormFactor: "USB-A Keychain", Root: fingerprint(maker), Chain: [][]byte{leaf, maker}}
	bad := token.Attestation{Serial: 4294967295, Refused: "it ends at no root that is known", Firmware: "5.4.3"}
	for _, a := range []token.Attestation{bad, good} {
		if err := s.KeepAttestation(ctx, a); err != nil {
			t.Fatal(err)
		}
		got, err := s.Attestation(ctx, a.Serial)
		if err != nil {
			t.Fatal(err)
		}
		if got.Serial != a.Serial || got.Genuine() != a.Genuine() || got.Refused != a.Refused || got.Firmware != a.Firmware || got.FormFactor != a.FormFactor ||
			got.Root != a.Root || !slices.EqualFunc(got.Chain, a.Chain, slices.Equal) || got.Operator == "" || got.At.IsZero() {
			t.Errorf("got %+v, want %+v", got, a)
		}
	}
	bad.Serial = 7
	if err := s.KeepAttestation(ctx, bad); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Attestation(ctx, 7); err != nil || got.Genuine() || got.Root != "" || len(got.Chain) > 0 {
		t.Errorf("an older answer is left: %+v, %v", got, err)
	}
	wantAudited(t, s, "device.attest", "device.attest", "device.attest")
}

func testAttestationRule(t *testing.T, s Attestations) {
	ctx := t.Context()
	if r, err := s.AttestationRule(ctx); err != nil || r.Required || r.Roots != nil || !r.Set.IsZero() {
		t.Errorf("of a new store: %+v, %v", r, err)
	}
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: someCertificate(t, 1)})
	roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: someCertificate(t, 2)})...)
	for _, required := range []bool{true, false} {
		if err := s.SetAttestationRule(ctx, token.AttestationRule{Required: required, Roots: roots}); err != nil {
			t.Fatal(err)
		}
		if r, err := s.AttestationRule(ctx); err != nil || r.Required != required || !slices.Equal(r.Roots, roots) || r.By == "" || r.Set.IsZero() {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if err := s.SetAttestationRule(ctx, token.AttestationRule{}); err != nil {
		t.Error(err)
	}
	wantAudited(t, s, "attestation.rule", "attestation.rule", "attestation.rule")
}

func testAttestationRefusals(t *testing.T, s Attestations) {
	ctx := t.Context()
	leaf := someCertificate(t, 1)
	for name, a := range map[string]token.Attestation{
		"no serial": {Root: fingerprint(leaf), Chain: [][]byte{leaf}}, "nothing": {Serial: 7}, "no chain": {Serial: 7, Root: fingerprint(leaf)},
		"both":       {Serial: 7, Root: fingerprint(leaf), Refused: "why", Chain: [][]byte{leaf}},
		"long chain": {Serial: 7, Root: fingerprint(leaf), Chain: [][]byte{make([]byte, 20<<10)}}, "long reason": {Serial: 7, Refused: strings.Repeat("x", 1000)},
	} {
		if err := s.KeepAttestation(ctx, a); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	for name, roots := range map[string][]byte{
		"none": nil, "text": []byte("no certificate"), "a key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: leaf}),
		"cut": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf[:len(leaf)-1]}), "long": make([]byte, 100<<10),
	} {
		if err := s.SetAttestationRule(ctx, token.AttestationRule{Required: true, Roots: roots}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	wantAudited(t, s)
}
