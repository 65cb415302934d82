package fernet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// From the specification's generate.json and verify.json.
const (
	specKey   = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
	specToken = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
)

func parseKey(t testing.TB, text string) secret.Bytes {
	t.Helper()
	k, err := ParseKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSpecification(t *testing.T) {
	t.Parallel()
	key := parseKey(t, specKey)
	now := time.Date(1985, 10, 26, 1, 20, 0, 0, time.FixedZone("", -7*3600))
	iv := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	got, err := Seal(key, now, bytes.NewReader(iv), []byte("hello"))
	if err != nil || string(got) != specToken {
		t.Errorf("seal: %s, %v", got, err)
	}
	text, made, err := Open(key, []byte(specToken+"\r\n"))
	if err != nil || string(text.Reveal()) != "hello" || !made.Equal(now) {
		t.Errorf("open: %q, %s, %v", text.Reveal(), made, err)
	}
}

// The specification's invalid.json, those that are about the token and not its age.
func TestSpecificationInvalid(t *testing.T) {
	t.Parallel()
	key := parseKey(t, specKey)
	for name, token := range map[string]string{
		"incorrect mac":                       "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
		"too short":                           "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
		"invalid base64":                      "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
		"payload size not a multiple of 16":   "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
		"payload padding error":               "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
		"incorrect IV (causes padding error)": "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
		"empty":                               "", "version": "A" + specToken[1:], "standard base64": strings.ReplaceAll(specToken, "_", "/"),
	} {
		if text, _, err := Open(key, []byte(token)); !errors.Is(err, ErrOpen) || text.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTamper(t *testing.T) {
	t.Parallel()
	key, other := parseKey(t, specKey), parseKey(t, strings.Repeat("A", 43)+"=")
	for n := range 34 { // every length of padding
		text := bytes.Repeat([]byte{'x'}, n)
		token, err := Seal(key, time.Unix(1, 0), rand.Reader, text)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Open(key, token)
		if err != nil || !bytes.Equal(got.Reveal(), text) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if _, _, err := Open(other, token); !errors.Is(err, ErrOpen) {
			t.Errorf("another key: %v", err)
		}
		for i := range token {
			bad := bytes.Clone(token)
			bad[i] ^= 1
			if _, _, err := Open(key, bad); !errors.Is(err, ErrOpen) {
				t.Errorf("%d bytes, character %d changed: %v", n, i, err)
			}
			if _, _, err := Open(key, token[:i]); !errors.Is(err, ErrOpen) {
				t.Errorf("%d bytes, cut at %d: %v", n, i, err)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key := parseKey(t, specKey+"\r\n")
	if got := KeyText(key); string(got.Reveal()) != specKey {
		t.Errorf("%s", got.Reveal())
	}
	if raw := parseKey(t, string(key.Reveal())); !raw.Equal(key) {
		t.Error("raw bytes are another key")
	}
	for _, text := range []string{"", specKey[1:], specKey + "=", specKey[:43], strings.Repeat("%", 44), strings.Repeat("A", 64)} {
		if _, err := ParseKey([]byte(text)); !errors.Is(err, ErrKey) {
			t.Errorf("%d characters: %v", len(text), err)
		}
	}
	if _, err := Seal(secret.Bytes{}, time.Time{}, rand.Reader, nil); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	if _, _, err := Open(secret.Bytes{}, []byte(specToken)); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	if _, err := Seal(key, time.Time{}, bytes.NewReader(nil), nil); err == nil {
		t.Error("sealed without randomness")
	}
}

// The judge is the implementation that privacyIDEA uses.
func TestPythonAgrees(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := exec.CommandContext(ctx, python, "-c", "import cryptography.fernet").Run(); err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatalf("python3-cryptography is not installed: %v", err)
		}
		t.Skip("python3-cryptography is not installed")
	}
	token, err := Seal(parseKey(t, specKey), time.Unix(1772359200, 0), rand.Reader, []byte("from Go"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, python, "-c", `import sys
from cryptography.fernet import Fernet
f = Fernet(sys.argv[1])
assert f.decrypt(sys.stdin.buffer.read()) == b"from Go"
sys.stdout.buffer.write(f.encrypt(b"from Python"))`, specKey)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(token), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python refuses our token: %v", err)
	}
	if text, made, err := Open(parseKey(t, specKey), out); err != nil || string(text.Reveal()) != "from Python" || made.Year() < 2026 {
		t.Errorf("%q of %s, %v", text.Reveal(), made, err)
	}
}

// FuzzOpen: what opens was sealed under the key, so it seals to the same token again.
func FuzzOpen(f *testing.F) {
	key := parseKey(f, specKey)
	for _, s := range []string{specToken, specToken + "\n", specToken[:40], "", "gAAAAA", "!"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		text, made, err := Open(key, token)
		if err != nil {
			return
		}
		plain := bytes.ReplaceAll(bytes.ReplaceAll(token, []byte("\n"), nil), []byte("\r"), nil)
		raw, _ := encoding.DecodeString(string(plain))
		again, err := Seal(key, made, bytes.NewReader(raw[1+timeSize:]), text.Reveal())
		if err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("another token: %v", err)
		}
	})
}
