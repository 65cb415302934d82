package batch

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// signer is a key from a fixed seed.
func signer(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// sampleManifest is a batch of two keys of four, one of them touched, one uncertain, one put aside.
func sampleManifest(t testing.TB, k ed25519.PrivateKey) (Manifest, string) {
	t.Helper()
	at := time.Date(2026, 11, 22, 10, 2, 0, 0, time.UTC)
	head := audit.Head{Chain: audit.Desk, Seq: 7, At: at}
	head.Signature = ed25519.Sign(k, head.Message())
	item := func(n int, s token.ItemState, proof token.ProofRequired, proven time.Time) token.BatchItem {
		return token.BatchItem{Position: n, StockNumber: "<R>-1", Serial: token.Serial(1000 + n), State: s, Kind: token.YubicoOTP, Proof: proof, Proven: proven, Ended: at}
	}
	m, err := NewManifest(
		token.Batch{ID: 3, Profile: "staff", ProfileText: "name = staff\n", Slot: 2, Wanted: 4, Touch: "sample:1", Operator: "ada", Started: at, Ended: at},
		[]token.BatchItem{
			item(1, token.ItemDone, token.NoProof, time.Time{}), item(2, token.ItemDone, token.ByTouch, at), item(3, token.ItemOpen, token.NoProof, time.Time{}),
		}, []token.PutAside{{Serial: 9, Port: "1-1", Reason: token.AsideForeign, At: at}}, head)
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.Sign(k.Public().(ed25519.PublicKey), func(b []byte) []byte { return ed25519.Sign(k, b) })
	if err != nil {
		t.Fatal(err)
	}
	return m, text
}

// TestManifest: what was signed is read back; any other bit, key or spelling is refused.
func TestManifest(t *testing.T) {
	t.Parallel()
	k := signer(1)
	m, text := sampleManifest(t, k)
	if m.Done != 2 || m.SampleSize != 1 || m.Touched != 1 || len(m.Uncertain) != 1 || len(m.Aside) != 1 || !strings.HasPrefix(m.Statement, "2 of 4 keys were written and read back; 1 of them") {
		t.Errorf("%+v", m)
	}
	public := k.Public().(ed25519.PublicKey)
	got, err := VerifyManifest([]byte(text), public)
	if err != nil || got.RecordSet != m.RecordSet || len(got.Keys) != 2 || !got.Ended.Equal(m.Ended) {
		t.Fatalf("%+v, %v", got, err)
	}
	var packed bytes.Buffer
	if err := json.Compact(&packed, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyManifest(packed.Bytes(), public); err != nil {
		t.Errorf("other white space: %v", err)
	}
	if _, err := VerifyManifest([]byte(text), signer(2).Public().(ed25519.PublicKey)); !errors.Is(err, ErrForged) {
		t.Errorf("another key: %v", err)
	}
	blank := func(b byte) bool { return b == ' ' || b == '\n' || b == '\r' || b == '\t' }
	for n := range text {
		for bit := range 8 {
			forged := []byte(text)
			if forged[n] ^= 1 << bit; blank(forged[n]) && blank(text[n]) {
				continue
			}
			if _, err := VerifyManifest(forged, public); !errors.Is(err, ErrForged) && !errors.Is(err, ErrNoManifest) {
				t.Fatalf("byte %d, bit %d: %v", n, bit, err)
			}
		}
	}
	for name, forged := range map[string]string{
		"a field more": strings.Replace(text, `"kind":`, `"extra": 1, "kind":`, 1), "a field twice": strings.Replace(text, `"done": 2`, `"done": 2, "done": 2`, 1),
		"something behind": text + "{}", "empty": "", "no manifest": "{}", "cut": text[:len(text)/2],
	} {
		if _, err := VerifyManifest([]byte(forged), public); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestManifestHead: the audit's checkpoint in it is signed, too.
func TestManifestHead(t *testing.T) {
	t.Parallel()
	k := signer(1)
	m, _ := sampleManifest(t, k)
	m.Audit.Seq++
	text, err := m.Sign(k.Public().(ed25519.PublicKey), func(b []byte) []byte { return ed25519.Sign(k, b) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyManifest([]byte(text), k.Public().(ed25519.PublicKey)); !errors.Is(err, ErrForged) {
		t.Errorf("a checkpoint that nobody signed: %v", err)
	}
}

// FuzzManifest: what is accepted is signed again to the same compact bytes, and an error comes without a manifest.
func FuzzManifest(f *testing.F) {
	k := signer(1)
	public := k.Public().(ed25519.PublicKey)
	_, text := sampleManifest(f, k)
	for _, seed := range []string{text, "{}", strings.Replace(text, "staff", "stuff", 1), text + "x", `{"manifest":{},"public_key":"","signature":""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := VerifyManifest(text, public)
		if err != nil {
			if m.Kind != "" {
				t.Fatal("an error with a manifest")
			}
			return
		}
		again, err := m.Sign(public, func(b []byte) []byte { return ed25519.Sign(k, b) })
		var one, other bytes.Buffer
		if err != nil || json.Compact(&one, text) != nil || json.Compact(&other, []byte(again)) != nil || !bytes.Equal(one.Bytes(), other.Bytes()) {
			t.Fatal("it is signed otherwise")
		}
	})
}
