package main

import (
	"crypto/ed25519"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/token"
)

// public is the key that signs manifests.
func (b *box) public() ed25519.PublicKey {
	b.r.t.Helper()
	signing, err := seal.LoadSigningFile(filepath.Join(b.r.dataDir, signingFile))
	if err != nil {
		b.r.t.Fatal(err)
	}
	return signing.Public()
}

func replaceOnce(text, old, now string) string { return strings.Replace(text, old, now, 1) }

// onManifest checks a manifest against the keys themselves: each good key is on it once, holds the secret and the access code that
// the store has, and no other secret was ever left for it; the others are put aside, with just the reason that is theirs.
func (b *box) onManifest(t *testing.T, text []byte) batch.Manifest {
	t.Helper()
	m, err := batch.VerifyManifest(text, b.public())
	if err != nil {
		t.Fatal(err)
	}
	st := b.r.open()
	if open, err := st.Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("%d entries open, %v", len(open), err)
	}
	keys, numbers := map[token.Serial]batch.ManifestKey{}, map[string]bool{}
	for n, k := range m.Keys {
		keys[k.Serial] = k
		if k.Position != n+1 || k.StockNumber == "" || numbers[k.StockNumber] {
			t.Errorf("on the manifest: %+v", k)
		}
		numbers[k.StockNumber] = true
	}
	reasons := map[token.Aside]int{}
	for _, p := range m.Aside {
		reasons[p.Reason]++
	}
	if reasons[token.AsideForeign] != 5 || reasons[token.AsideLocked] != 3 || reasons[token.AsideNoOTP] < 2 || len(reasons) != 3 {
		t.Errorf("put aside %v", reasons)
	}
	for _, key := range b.ring.keys {
		serial := token.Serial(key.Serial())
		on, ok := keys[serial]
		tok, live, err := st.Slots(t.Context(), serial)
		aside := slices.ContainsFunc(m.Aside, func(p batch.ManifestAside) bool { return p.Serial == serial })
		if !ok { // only the keys without OTP tell no serial
			if len(live) != 0 {
				t.Errorf("key %d is not on the manifest, and has %d credentials", serial, len(live))
			}
			continue
		}
		if err != nil || len(live) != 1 || aside {
			t.Errorf("key %d: %d credentials, put aside %v, %v", serial, len(live), aside, err)
			continue
		}
		s := live[0].Secrets
		if !key.Holds(boxSlot, slices.Concat(s.Key.Reveal(), s.PrivateID.Reveal())) || !key.HoldsAccessCode(boxSlot, [6]byte(s.AccessCode.Reveal())) {
			t.Errorf("key %d holds another secret than the store", serial)
		}
		if tok.State != token.InStock || tok.StockNumber != on.StockNumber || on.PublicID != live[0].PublicID.String() || live[0].Enabled {
			t.Errorf("key %d: %s %s, manifest %s", serial, tok.State, tok.StockNumber, on.StockNumber)
		}
		all, err := st.Credentials(t.Context(), tok.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.ID != live[0].ID && c.State != token.Revoked {
				t.Errorf("key %d has a second credential, %s", serial, c.State)
			}
		}
	}
	return m
}
