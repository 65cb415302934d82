package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// goldenMessage is "sixteen bytes ok", sealed to the key of the test digits as a journal's entry 7.
const goldenMessage = "017e8bccec496d0534313d425e5edb7f7062de4e5fa8087a3e2f62ca3a07575d5f" +
	"bb989f705954c6267c99b1ec9182e622ba8c1d45471ebc1c35b22b90551486ff"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 9180 §A.2.1, sequence number 0.
func TestOpenVector(t *testing.T) {
	t.Parallel()
	k, err := newTransferKey(unhex(t, "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := openHPKE(k, unhex(t, "4f6465206f6e2061204772656369616e2055726e"), []byte("Count-0"),
		unhex(t, "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"),
		unhex(t, "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"))
	if err != nil || string(got.Reveal()) != "Beauty is truth, truth beauty" {
		t.Fatalf("%q, %v", got.Reveal(), err)
	}
}

// A message that was sealed by the first release must open for ever.
func TestOpenGolden(t *testing.T) {
	t.Parallel()
	k, err := newTransferKey(unhex(t, digits))
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Public().String(); got != publicPrefix+"1:8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f" {
		t.Errorf("public key %s", got)
	}
	got, err := OpenWith(k, Journal, []byte("entry 7"), unhex(t, goldenMessage))
	if err != nil || string(got.Reveal()) != "sixteen bytes ok" {
		t.Fatalf("%q, %v", got.Reveal(), err)
	}
}

func TestTransferTamper(t *testing.T) {
	t.Parallel()
	k, err := CreateTransferFile(filepath.Join(t.TempDir(), "transfer"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := CreateTransferFile(filepath.Join(t.TempDir(), "transfer"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	context := []byte("serial 10200301")
	s := secret.Copy([]byte("0123456789abcdef"))
	m, err := SealTo(k.Public(), Transfer, context, s)
	if err != nil || len(m) != s.Len()+TransferOverhead {
		t.Fatalf("%d bytes, %v", len(m), err)
	}
	if got, err := OpenWith(k, Transfer, context, m); err != nil || !got.Equal(s) {
		t.Fatalf("%v", err)
	}
	again, err := SealTo(k.Public(), Transfer, context, s)
	if err != nil || bytes.Equal(again, m) {
		t.Fatalf("two messages are equal: %v", err)
	}
	refused := func(name string, k TransferKey, p Purpose, context, m []byte) {
		if got, err := OpenWith(k, p, context, m); !errors.Is(err, ErrOpen) || got.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range m {
		bad := bytes.Clone(m)
		bad[i] ^= 1
		refused(fmt.Sprintf("byte %d", i), k, Transfer, context, bad)
		refused(fmt.Sprintf("cut at %d", i), k, Transfer, context, m[:i])
	}
	refused("longer", k, Transfer, context, append(bytes.Clone(m), 0))
	refused("other key", other, Transfer, context, m)
	refused("zero key", TransferKey{}, Transfer, context, m)
	refused("other purpose", k, Journal, context, m)
	refused("other context", k, Transfer, context[1:], m)
	refused("no context", k, Transfer, nil, m)
	if _, err := SealTo(TransferPublic{}, Transfer, nil, s); err == nil {
		t.Error("sealed to nobody")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if out := fmt.Sprintf(verb, k); strings.Contains(out, "private key") || len(out) > 80 {
			t.Errorf("%s shows %s", verb, out)
		}
	}
}

func TestTransferFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "transfer")
	k, err := CreateTransferFile(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadTransferFile(path)
	if err != nil || again.Public() != k.Public() {
		t.Fatalf("load: %v", err)
	}
	p, err := ParseTransferPublic(k.Public().String() + "\n")
	if err != nil || p != k.Public() {
		t.Errorf("parse: %v", err)
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", st.Mode(), err)
	}
	if _, err := CreateTransferFile(path, rand.Reader); err == nil {
		t.Error("a key file was replaced")
	}
	if _, err := LoadFile(path); !errors.Is(err, ErrFormat) {
		t.Errorf("a transfer key was taken for a sealing key: %v", err)
	}
	private, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"private key": string(private), "empty": "", "zero": publicPrefix + "1:" + strings.Repeat("00", 32),
		"version 2": strings.Replace(k.Public().String(), ":1:", ":2:", 1), "upper case": strings.ToUpper(k.Public().String()),
		"short": k.Public().String()[:80],
	} {
		if _, err := ParseTransferPublic(text); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzOpenWith: a message that opens is one that SealTo made; nothing panics.
func FuzzOpenWith(f *testing.F) {
	k, err := newTransferKey(unhex(f, digits))
	if err != nil {
		f.Fatal(err)
	}
	golden := unhex(f, goldenMessage)
	for _, m := range [][]byte{golden, golden[:TransferOverhead], golden[:1], nil, make([]byte, 200)} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, m []byte) {
		if s, err := OpenWith(k, Journal, []byte("entry 7"), m); err == nil && !bytes.Equal(m, golden) {
			t.Fatalf("opened %d bytes", s.Len())
		}
	})
}
