package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

const digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func TestFileRoundTrip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, err := CreateFile(filepath.Join(dir, "seal"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	check, err := k.Check(rand.Reader, StoreID{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadFile(filepath.Join(dir, "seal"))
	if err != nil || !again.Matches(StoreID{}, check) || again.Version() != 1 {
		t.Fatalf("load: %v", err)
	}
	s, err := CreateSigningFile(filepath.Join(dir, "sign"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s2, err := LoadSigningFile(filepath.Join(dir, "sign"))
	if err != nil || !ed25519.Verify(s.Public(), []byte("m"), s2.Sign([]byte("m"))) {
		t.Fatalf("load signing key: %v", err)
	}
	if _, err := LoadFile(filepath.Join(dir, "sign")); !errors.Is(err, ErrFormat) {
		t.Errorf("a signing key was taken for a sealing key: %v", err)
	}
	if st, err := os.Stat(filepath.Join(dir, "seal")); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestFileIsNeverReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateFile(path, rand.Reader); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file was changed")
	}
	missing := filepath.Join(t.TempDir(), "key")
	if _, err := CreateFile(missing, bytes.NewReader(nil)); err == nil {
		t.Error("made without randomness")
	}
	if _, err := LoadFile(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestFileOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("rights are not in the mode")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(sealingPrefix+"1:"+digits+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o620: false, 0o644: false, 0o610: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadFile(path)
		var p *PermissionError
		if errors.As(err, &p) == ok || ok && err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "prefix only": sealingPrefix, "no version": sealingPrefix + digits, "version 0": sealingPrefix + "0:" + digits,
		"version 01": sealingPrefix + "01:" + digits, "version too long": sealingPrefix + "4294967296:" + digits, "empty version": sealingPrefix + ":" + digits,
		"short": sealingPrefix + "1:" + digits[2:], "long": sealingPrefix + "1:" + digits + "00", "upper case": sealingPrefix + "1:" + strings.ToUpper(digits),
		"not hex": sealingPrefix + "1:" + digits[:62] + "zz", "two lines": sealingPrefix + "1:" + digits + "\n\n", "huge": sealingPrefix + strings.Repeat("0", 300),
	} {
		_, _, err := parse([]byte(text), sealingPrefix)
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "0102") {
			t.Errorf("%s: the error shows the text", name)
		}
	}
}

// FuzzParse: what is read is written back the same, and an error leaves nothing.
func FuzzParse(f *testing.F) {
	for _, s := range []string{sealingPrefix + "1:" + digits + "\n", sealingPrefix + "4294967295:" + digits + "\r\n", sealingPrefix + "1:", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var raw secret.Bytes
		raw, version, err := parse(text, sealingPrefix)
		if err != nil {
			if raw.Len() != 0 || version != 0 {
				t.Fatal("an error with a key")
			}
			return
		}
		if got := strings.TrimRight(string(marshal(sealingPrefix, version, raw)), "\n"); got != strings.TrimRight(string(text), "\r\n") {
			t.Fatalf("read %d bytes, wrote %d", len(text), len(got))
		}
	})
}
