package seal

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// softCard is a YubiKey in software; asked counts how often its key was used.
type softCard struct {
	*ecdh.PrivateKey
	serial uint32
	asked  int
	broken error // what it answers instead
}

var _ ecdh.KeyExchanger = (*softCard)(nil)

func (c *softCard) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	c.asked++
	if c.broken != nil {
		return nil, c.broken
	}
	return c.PrivateKey.ECDH(peer)
}

func (c *softCard) recipient() Recipient { return Recipient{c.serial, 0x9D, c.PublicKey()} }

// unlock is what a process does that has this card only.
func (c *softCard) unlock(of []Recipient, open func(ecdh.KeyExchanger) error) error {
	for _, r := range of {
		if r.Serial == c.serial {
			return open(c)
		}
	}
	return errors.New("not for this card")
}

func newCard(t *testing.T, serial uint32) *softCard {
	t.Helper()
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &softCard{PrivateKey: k, serial: serial}
}

func set(to ...Recipient) func([]Recipient) ([]Recipient, error) {
	return func([]Recipient) ([]Recipient, error) { return to, nil }
}

func mustLoad(t *testing.T, f *File, marks Key) Key {
	t.Helper()
	k, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !k.Marks(marks) {
		t.Fatal("it is another key")
	}
	return k
}

// TestWrapped walks through the life of a wrapped file: made, loaded, changed with and without its card, a second card, the first one
// lost, and plain again.
func TestWrapped(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sealing.key")
	one, two := newCard(t, 10200301), newCard(t, 10200302)
	key, err := NewFile(path, nil).Create(rand.Reader, []Recipient{one.recipient()})
	if err != nil {
		t.Fatal(err)
	}
	if one.asked != 0 {
		t.Error("the card was used to make the file")
	}
	server := NewFile(path, one.unlock)
	mustLoad(t, server, key)
	mustLoad(t, server, key)
	if _, err := server.AddVersion(1, rand.Reader); err != nil || one.asked != 1 {
		t.Fatalf("asked %d times, %v", one.asked, err)
	}
	staff := NewFile(path, one.unlock)
	if _, err := staff.KeepVersion(2, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if k := mustLoad(t, server, key); k.Version() != 2 || len(k.Versions()) != 1 || one.asked != 2 {
		t.Errorf("versions %v after %d", k.Versions(), one.asked)
	}
	if err := staff.SetRecipients(rand.Reader, func(now []Recipient) ([]Recipient, error) { return append(now, two.recipient()), nil }); err != nil {
		t.Fatal(err)
	}
	mustLoad(t, NewFile(path, two.unlock), key)
	mustLoad(t, server, key) // which asks again: the file key is another
	if one.asked != 3 || two.asked != 1 {
		t.Errorf("asked %d and %d times", one.asked, two.asked)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewFile(path, two.unlock).SetRecipients(rand.Reader, set(two.recipient())); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(path, one.unlock).Load(); err == nil {
		t.Error("the lost card opens it")
	}
	e, err := parseWrapped(old)
	if err != nil {
		t.Fatal(err)
	}
	formerKey, err := e.fileKey(one)
	if err != nil {
		t.Fatal(err)
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = parseWrapped(now); err != nil {
		t.Fatal(err)
	}
	if _, err := e.openRing(formerKey); !errors.Is(err, ErrOpen) {
		t.Errorf("the lost card's file key: %v", err)
	}
	plain := NewFile(path, two.unlock)
	if err := plain.SetRecipients(rand.Reader, set()); err != nil {
		t.Fatal(err)
	}
	if k, err := LoadFile(path); err != nil || !k.Marks(key) || k.Version() != 2 {
		t.Errorf("plain again: %v", err)
	}
	if err := NewFile(path, nil).SetRecipients(rand.Reader, set(one.recipient())); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFile(path); !errors.Is(err, ErrWrapped) {
		t.Errorf("without a card: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

// TestWrappedAddsNobody: a recipient that was written into the file by somebody who cannot open it never gets a key.
func TestWrappedAddsNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	one, thief := newCard(t, 1), newCard(t, 2)
	key, err := NewFile(path, nil).Create(rand.Reader, []Recipient{one.recipient()})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFile(path, one.unlock)
	mustLoad(t, f, key)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	message, err := thief.recipient().wrap(secret.New(make([]byte, KeyLen)))
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Appendf(thief.recipient().line(), "%x\n", message)
	other := filepath.Join(dir, "other")
	if _, err := NewFile(other, nil).Create(rand.Reader, []Recipient{one.recipient(), thief.recipient()}); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want error
	}{
		"added":         {bytes.Join([][]byte{lines[0], lines[1], line, lines[2]}, nil), ErrOpen},
		"first":         {bytes.Join([][]byte{lines[0], line, lines[1], lines[2]}, nil), ErrOpen},
		"instead":       {bytes.Join([][]byte{lines[0], line, lines[2]}, nil), nil}, // one's unlock refuses: it is not for this card
		"other serial":  {bytes.Replace(text, []byte("piv:1:"), []byte("piv:3:"), 1), nil},
		"other slot":    {bytes.Replace(text, []byte(":9d:"), []byte(":82:"), 1), ErrOpen},
		"another's own": {foreign, ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := f.AddVersion(1, rand.Reader); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("a version was added: %v", err)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, c.text) {
				t.Error("the file was written")
			}
		})
	}
}

func TestWrappedRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	one := newCard(t, 1)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]Recipient, maxRecipients+1)
	for i := range many {
		many[i] = Recipient{uint32(i + 1), 0x9D, one.PublicKey()}
	}
	for name, to := range map[string][]Recipient{
		"no serial": {{0, 0x9D, one.PublicKey()}}, "no key": {{1, 0x9D, nil}}, "X25519": {{1, 0x9D, x25519.PublicKey()}},
		"twice": {one.recipient(), one.recipient()}, "too many": many,
	} {
		if _, err := NewFile(path, nil).Create(rand.Reader, to); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Fatalf("%d files are left", len(left))
	}
	if _, err := NewFile(path, nil).Create(rand.Reader, many[:maxRecipients]); err != nil {
		t.Fatal(err)
	}
	f := NewFile(path, func(_ []Recipient, open func(ecdh.KeyExchanger) error) error { return open(one) })
	for n := range uint32(maxVersions - 1) {
		if _, err := f.AddVersion(n+1, rand.Reader); err != nil {
			t.Fatalf("version %d of a full file: %v", n+2, err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Size() > maxWrapped {
		t.Errorf("the largest file has %d bytes", st.Size())
	}
	if to, err := NewFile(path, nil).Recipients(); err != nil || len(to) != maxRecipients {
		t.Errorf("%d recipients, %v", len(to), err)
	}
	if _, err := NewFile(path, nil).Create(rand.Reader, many[:1]); !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	one.broken = errors.New("the PIN is wrong")
	one.asked = 0
	again := NewFile(path, one.unlock)
	if _, err := again.Load(); !errors.Is(err, one.broken) || one.asked != 1 {
		t.Errorf("asked %d times: %v", one.asked, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var open *PermissionError
	if _, err := again.Load(); !errors.As(err, &open) {
		t.Errorf("open to others: %v", err)
	}
}

// TestStaleClear: what a killed process left beside the file, which may be the key in clear, goes with the next change.
func TestStaleClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sealing.key")
	if _, err := CreateFile(path, rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".sealing.key.123456", ".sealing.key.swp", "sealing.key.1", ".sealing.key."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := Leftovers(path); err != nil || len(left) != 1 || left[0] != filepath.Join(dir, ".sealing.key.123456") {
		t.Errorf("left over: %q, %v", left, err)
	}
	if err := NewFile(path, nil).SetRecipients(rand.Reader, set(newCard(t, 1).recipient())); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := ".sealing.key. .sealing.key.swp sealing.key sealing.key.1"; err != nil || strings.Join(left, " ") != want {
		t.Errorf("left %q, want %q", left, want)
	}
}

func TestProve(t *testing.T) {
	t.Parallel()
	one, two := newCard(t, 1), newCard(t, 1)
	if err := one.recipient().Prove(one, rand.Reader); err != nil {
		t.Error(err)
	}
	if err := one.recipient().Prove(two, rand.Reader); !errors.Is(err, ErrOpen) {
		t.Errorf("another key: %v", err)
	}
	if err := one.recipient().Prove(lying{two, one.PublicKey()}, rand.Reader); !errors.Is(err, ErrOpen) {
		t.Errorf("a card that says it has the key: %v", err)
	}
	one.broken = errors.New("not touched")
	if err := one.recipient().Prove(one, rand.Reader); !errors.Is(err, one.broken) {
		t.Errorf("a broken card: %v", err)
	}
}

// lying names a public key that is not its own.
type lying struct {
	ecdh.KeyExchanger
	says *ecdh.PublicKey
}

func (l lying) PublicKey() *ecdh.PublicKey { return l.says }

// vector is a file that was written once: what is written later must not be another format. It has the key "digits" in its ring.
const vector = "testdata/wrapped.key"

// vectorCard is the card that opens it, as 7 in slot 9D and as 8 in slot 82.
func vectorCard(t testing.TB) *softCard {
	t.Helper()
	private, err := ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{7}, KeyLen))
	if err != nil {
		t.Fatal(err)
	}
	return &softCard{PrivateKey: private, serial: 7}
}

func TestWrappedVector(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	text, err := os.ReadFile(vector)
	if err != nil {
		t.Fatal(err)
	}
	plain := path + ".plain"
	if err := errors.Join(os.WriteFile(path, text, 0o600), os.WriteFile(plain, []byte(sealingPrefix+"1:"+digits+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	want, err := LoadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	mustLoad(t, NewFile(path, vectorCard(t).unlock), want)
}

// FuzzParseWrapped: what is read is written back the same, as far as it is not drawn anew, and no change of a byte opens as the same file.
func FuzzParseWrapped(f *testing.F) {
	card := vectorCard(f)
	text, err := os.ReadFile(vector)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(wrappedPrefix))
	f.Add(bytes.ToUpper(text))
	f.Add(append(text, '\n'))
	f.Fuzz(func(t *testing.T, got []byte) {
		e, err := parseWrapped(got)
		if err != nil {
			if e.to != nil {
				t.Fatal("an error with recipients")
			}
			return
		}
		again := []byte(wrappedPrefix)
		for i, r := range e.to {
			again = append(hex.AppendEncode(append(again, r.line()...), e.messages[i]), '\n')
		}
		again = append(hex.AppendEncode(append(again, ringPrefix...), e.sealed), '\n')
		if !bytes.Equal(again, got) {
			t.Fatalf("read %d bytes, wrote %d", len(got), len(again))
		}
		k, err := e.fileKey(card)
		if err != nil {
			return
		}
		if r, err := e.openRing(k); err == nil && !bytes.Equal(got, text) {
			r.destroy()
			t.Fatal("a changed file opens")
		}
	})
}
