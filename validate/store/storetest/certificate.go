package storetest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Certificates is where it is kept which certificates keys have.
type Certificates interface {
	KeepCertificate(ctx context.Context, c token.Certificate) error
	LoseCertificates(ctx context.Context, serial token.Serial, slot string) error
	Certificates(ctx context.Context, serial token.Serial) ([]token.Certificate, error)
	Audit(ctx context.Context, f func(events iter.Seq2[audit.Event, error], heads []audit.Head) error) error
}

// RunCertificates runs the suite of certificates; open gives an empty store each time.
func RunCertificates(t *testing.T, open func(t *testing.T) Certificates) {
	t.Run("kept", func(t *testing.T) { t.Parallel(); testCertificates(t, open(t)) })
	t.Run("lost", func(t *testing.T) { t.Parallel(); testCertificatesLost(t, open(t)) })
	t.Run("refusals", func(t *testing.T) { t.Parallel(); testCertificateRefusals(t, open(t)) })
}

// SomeCertificate is one of the key of serial number 7, by its slot, its letter and that of its public key.
func SomeCertificate(slot, letter, key string) token.Certificate {
	return token.Certificate{Serial: 7, Slot: slot, Issuer: "CN=Example CA,O=Example", Number: "4711ff", Subject: "CN=" + letter,
		NotAfter: at(0).Add(24 * time.Hour), SHA256: strings.Repeat(letter, 64), PublicKey: strings.Repeat(key, 64)}
}

// wantCertificates compares what is kept of a key, as "slot subject" by slot, newest first; ! behind it: gone.
func wantCertificates(t *testing.T, s Certificates, serial token.Serial, want ...string) {
	t.Helper()
	list, err := s.Certificates(t.Context(), serial)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		text := c.Slot + " " + strings.TrimPrefix(c.Subject, "CN=")
		if !c.Gone.IsZero() {
			text += "!"
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("certificates of %d: %q, want %q", serial, got, want)
	}
}

// pivAudit are the actions about PIV.
func pivAudit(t *testing.T, s Certificates) (got []string) {
	t.Helper()
	err := s.Audit(t.Context(), func(events iter.Seq2[audit.Event, error], _ []audit.Head) error {
		for e, err := range events {
			if err != nil {
				return err
			}
			if strings.HasPrefix(e.Action, "piv.") {
				got = append(got, e.Action)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func testCertificates(t *testing.T, s Certificates) {
	ctx := t.Context()
	wantCertificates(t, s, 7)
	one, other := SomeCertificate("9a", "a", "1"), SomeCertificate("9c", "b", "2")
	other.SelfSigned = true
	for _, c := range []token.Certificate{one, other, one} { // again: nothing changes
		if err := s.KeepCertificate(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	wantCertificates(t, s, 7, "9a a", "9c b")
	list, err := s.Certificates(ctx, 7)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []token.Certificate{one, other} {
		got := list[i]
		if got.Seen.IsZero() || !got.Valid(want.NotAfter.Add(-time.Second)) || got.Valid(want.NotAfter) {
			t.Errorf("%+v", got)
		}
		got.NotAfter, got.Seen = got.NotAfter.UTC(), time.Time{}
		want.NotAfter = want.NotAfter.UTC()
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got := pivAudit(t, s); !slices.Equal(got, []string{"piv.certificate", "piv.certificate"}) {
		t.Errorf("audited %v", got)
	}
}

// testCertificatesLost: what makes a certificate harmless is that its key is gone, not that another certificate lies over it.
func testCertificatesLost(t *testing.T, s Certificates) {
	ctx := t.Context()
	foreign := SomeCertificate("9a", "f", "9")
	foreign.Serial = 8
	for _, c := range []token.Certificate{SomeCertificate("9a", "a", "1"), SomeCertificate("9a", "b", "1"), SomeCertificate("9c", "c", "1"), foreign} {
		if err := s.KeepCertificate(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	wantCertificates(t, s, 7, "9a b", "9a a", "9c c")
	if err := s.KeepCertificate(ctx, SomeCertificate("9a", "d", "2")); err != nil { // of a new key
		t.Fatal(err)
	}
	wantCertificates(t, s, 7, "9a d", "9a b!", "9a a!", "9c c")
	for _, slot := range []string{"9a", "9a", "", ""} {
		if err := s.LoseCertificates(ctx, 7, slot); err != nil {
			t.Fatal(err)
		}
	}
	wantCertificates(t, s, 7, "9a d!", "9a b!", "9a a!", "9c c!")
	wantCertificates(t, s, 8, "9a f")
	if err := s.KeepCertificate(ctx, SomeCertificate("9a", "d", "2")); err != nil { // the key was put back by whoever made it elsewhere
		t.Fatal(err)
	}
	wantCertificates(t, s, 7, "9a d", "9a d!", "9a b!", "9a a!", "9c c!")
	want := []string{"piv.certificate", "piv.certificate", "piv.certificate", "piv.certificate", "piv.certificate", "piv.gone", "piv.gone", "piv.certificate"}
	if got := pivAudit(t, s); !slices.Equal(got, want) {
		t.Errorf("audited %v", got)
	}
}

func testCertificateRefusals(t *testing.T, s Certificates) {
	for name, change := range map[string]func(*token.Certificate){
		"no serial": func(c *token.Certificate) { c.Serial = 0 }, "no slot": func(c *token.Certificate) { c.Slot = "" },
		"no sum": func(c *token.Certificate) { c.SHA256 = "" }, "no public key": func(c *token.Certificate) { c.PublicKey = "" },
		"long issuer": func(c *token.Certificate) { c.Issuer = strings.Repeat("x", 10000) },
	} {
		c := SomeCertificate("9a", "a", "1")
		if change(&c); s.KeepCertificate(t.Context(), c) == nil {
			t.Errorf("%s: kept", name)
		}
	}
	wantCertificates(t, s, 7)
	if got := pivAudit(t, s); len(got) != 0 {
		t.Errorf("audited %v", got)
	}
}
