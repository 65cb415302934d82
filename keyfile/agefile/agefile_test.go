package agefile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/keyfile/envelope/envelopetest"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// fuzzKey is nobody's.
const fuzzKey = "AGE-SECRET-KEY-1D3MGYV5U2W3LYW8U22H25CJNF68DGM6HPN8HRU92RP74TD0DQ6SSRNJRQ6"

func newIdentity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sealed(t testing.TB, clearText string, to ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := Seal(&b, to...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, clearText); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// opener opens with these answers.
func opener(answers map[keyfile.Means]string) envelopetest.Open {
	return func(src io.ReadSeeker) (io.Reader, envelope.Info, error) {
		return Open(src, envelopetest.Answers(answers))
	}
}

func withKey(id *age.X25519Identity) envelopetest.Open {
	return opener(map[keyfile.Means]string{keyfile.PrivateKey: "# a comment\n" + id.String() + "\n"})
}

func withPassphrase(p string) envelopetest.Open {
	return opener(map[keyfile.Means]string{keyfile.Passphrase: p})
}

func TestOneOfTheRecipientsOpens(t *testing.T) {
	t.Parallel()
	a, b := newIdentity(t), newIdentity(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("10200301,vvccccknlfut,\n", 10000) // several chunks
	for _, text := range []string{"", "x", long} {
		m := sealed(t, text, a.Recipient().String(), b.Recipient().String())
		if !Detect(m) || !bytes.HasSuffix(m, []byte("-----END AGE ENCRYPTED FILE-----\n")) {
			t.Errorf("no armoured file")
		}
		for _, id := range []*age.X25519Identity{a, b} {
			if info := envelopetest.AssertOpens(t, "age", withKey(id), m, []byte(text)); info != (envelope.Info{Encrypted: true}) {
				t.Errorf("%+v", info)
			}
		}
		if _, _, err := envelopetest.ReadAll(withKey(newIdentity(t)), m); !errors.Is(err, envelope.ErrWrongKey) {
			t.Errorf("another key: %v", err)
		}
	}
	m := sealed(t, long, hybrid.Recipient().String())
	envelopetest.AssertOpens(t, "hybrid", opener(map[keyfile.Means]string{keyfile.PrivateKey: hybrid.String()}), m, []byte(long))
}

func TestWholeOrNothing(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	text := strings.Repeat("10200301,vvccccknlfut,5c45bd4baca5\n", 40)
	armoured := sealed(t, text, id.Recipient().String())
	binary, err := io.ReadAll(envelope.Unarmour(bytes.NewReader(armoured), kind))
	if err != nil {
		t.Fatal(err)
	}
	envelopetest.AssertWhole(t, "binary", withKey(id), binary, []byte(text), 4)
	envelopetest.AssertWhole(t, "armoured", withKey(id), armoured, []byte(text), 11)
	long := sealed(t, strings.Repeat("a", 3*64<<10), id.Recipient().String())
	for _, cut := range []int{len(long) / 3, len(long) / 2, len(long) - 100} {
		if _, _, err := withKey(id)(bytes.NewReader(long[:cut])); !errors.Is(err, envelope.ErrBroken) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w, err := SealPassphrase(&b, secret.Copy([]byte("correct horse")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "text"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	envelopetest.AssertOpens(t, "passphrase", withPassphrase("correct horse"), b.Bytes(), []byte("text"))
}

// A key file may be an age file with a passphrase, as "age-keygen | age -p" makes it.
func TestKeyFileWithPassphrase(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	to, err := age.NewScryptRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(10) // for speed
	var file bytes.Buffer
	w, err := age.Encrypt(&file, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, id.String()+"\n"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	m := sealed(t, "text", id.Recipient().String())
	for passphrase, want := range map[string]error{"correct horse": nil, "wrong": envelope.ErrWrongKey, "": envelope.ErrWrongKey} {
		open := opener(map[keyfile.Means]string{keyfile.PrivateKey: file.String(), keyfile.Passphrase: passphrase})
		if got, _, err := envelopetest.ReadAll(open, m); !errors.Is(err, want) || want == nil && string(got) != "text" {
			t.Errorf("passphrase %q: %q, %v", passphrase, got, err)
		}
		if _, _, err := envelopetest.ReadAll(withPassphrase(passphrase), file.Bytes()); !errors.Is(err, want) {
			t.Errorf("passphrase %q: %v", passphrase, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	id := newIdentity(t)
	for _, to := range []string{"", "age1", id.String(), "ssh-ed25519 AAAA", id.Recipient().String() + "\n" + id.Recipient().String()} {
		_, err := Seal(io.Discard, to)
		if !errors.Is(err, ErrKey) || len(to) > 30 && strings.Contains(err.Error(), to[20:30]) {
			t.Errorf("recipient: %v", err)
		}
	}
	if _, err := Seal(io.Discard); err == nil {
		t.Error("sealed to nobody")
	}
	if _, err := SealPassphrase(io.Discard, secret.Bytes{}); err == nil {
		t.Error("sealed with nothing")
	}
	m := sealed(t, "text", id.Recipient().String())
	if _, _, err := Open(bytes.NewReader(m), nil); !errors.Is(err, keyfile.ErrLocked) {
		t.Errorf("nobody to ask: %v", err)
	}
	if _, _, err := envelopetest.ReadAll(withPassphrase("x"), m); !errors.Is(err, keyfile.ErrLocked) {
		t.Errorf("no key: %v", err)
	}
	bad := opener(map[keyfile.Means]string{keyfile.PrivateKey: "AGE-SECRET-KEY-1XXXX"})
	if _, _, err := envelopetest.ReadAll(bad, m); !errors.Is(err, ErrKey) || strings.Contains(err.Error(), "XXXX") {
		t.Errorf("bad key file: %v", err)
	}
	loop := opener(map[keyfile.Means]string{keyfile.PrivateKey: string(m)})
	if _, _, err := envelopetest.ReadAll(loop, m); !errors.Is(err, ErrKey) {
		t.Errorf("key file for the key file: %v", err)
	}
	heavy := intro + "-> scrypt rF0/NwblUHHTpgQgRpe5CQ 22\ngUjEymFKMVXQEKdMMHL24oYexjE3TIC0O0zGSqJ2aUY\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
	if _, _, err := envelopetest.ReadAll(withPassphrase("x"), []byte(heavy)); !errors.Is(err, ErrWork) {
		t.Errorf("work factor: %v", err)
	}
	endless := intro + strings.Repeat("-> X25519 AAAA\n\n", maxHeader/8)
	if _, _, err := envelopetest.ReadAll(withKey(id), []byte(endless)); !errors.Is(err, envelope.ErrBroken) {
		t.Errorf("endless header: %v", err)
	}
	if Detect([]byte("age-encryption.org/v2\n")) || Detect([]byte("serial,key")) || Detect(nil) {
		t.Error("taken for an age file")
	}
}

// The judges are Debian's age and age-keygen.
func TestAgeAgrees(t *testing.T) {
	t.Parallel()
	program, keygen := envelopetest.Judge(t, "age"), envelopetest.Judge(t, "age-keygen")
	file := filepath.Join(t.TempDir(), "key.txt")
	if _, said, err := envelopetest.Run(t, nil, nil, keygen, "-o", file); err != nil {
		t.Fatalf("%s: %v", said, err)
	}
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := envelopetest.Run(t, nil, nil, keygen, "-y", file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("10200301,vvccccknlfut,\n", 5000)
	got, said, err := envelopetest.Run(t, sealed(t, text, strings.TrimSpace(string(public))), nil, program, "-d", "-i", file)
	if err != nil || string(got) != text {
		t.Errorf("age on ours: %s: %v", said, err)
	}
	open := opener(map[keyfile.Means]string{keyfile.PrivateKey: string(key)})
	for _, args := range [][]string{{"-r", strings.TrimSpace(string(public))}, {"-a", "-r", strings.TrimSpace(string(public))}} {
		m, said, err := envelopetest.Run(t, []byte(text), nil, program, args...)
		if err != nil || !Detect(m) {
			t.Fatalf("%s: %v", said, err)
		}
		envelopetest.AssertOpens(t, "age's "+args[0], open, m, []byte(text))
	}
}

// FuzzOpen: what opens was sealed; every error leaves nothing.
func FuzzOpen(f *testing.F) {
	id, err := age.ParseX25519Identity(fuzzKey)
	if err != nil {
		f.Fatal(err)
	}
	m := sealed(f, "text", id.Recipient().String())
	bare, err := io.ReadAll(envelope.Unarmour(bytes.NewReader(m), kind))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range [][]byte{m, bare, m[:100], bare[:100], nil, []byte(intro), []byte("-----BEGIN " + kind + "-----\n")} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		_, info, err := envelopetest.ReadAll(withKey(id), message)
		if err == nil && !Detect(message) || !info.Encrypted {
			t.Fatalf("%+v, %v", info, err)
		}
	})
}
