package journal

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/seal"
)

// TestHostileWords: whoever makes a file by a key of their own does not steer the terminal of who looks at it.
func TestHostileWords(t *testing.T) {
	t.Parallel()
	const steer = "\x1b]0;DESK1\a"
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(name string, records ...Record) []byte {
		out, hash := []byte(magic), [32]byte{}
		add := func(v any) {
			payload, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			hash = chain(hash, payload)
			out = frame(out, payload, ed25519.Sign(private, signed(hash)))
		}
		add(Header{Schema: schema, Series: strings.Repeat("00", seriesLen), Station: name, Public: hex.EncodeToString(public)})
		for _, r := range records {
			add(r)
		}
		return out
	}
	if _, err := Parse(forged(steer), nil); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("its name: %q", err)
	}
	f, err := Parse(forged("DESK1", Record{Seq: 1, Event: steer, Entry: 1}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Entries(); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("its events: %q", err)
	}
	key, err := seal.CreateSigningFile(filepath.Join(t.TempDir(), "k"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Snapshot{Station: steer}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseSnapshot(text, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a snapshot's name: %q", err)
	}
}
