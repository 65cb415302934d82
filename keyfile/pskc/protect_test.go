package pskc

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

var update = flag.Bool("update", false, "write golden files")

// password is that of the golden file.
const password = "correct horse 7"

func withKey() Codec {
	return Codec{Protect: Protection{Key: secret.Copy(figureKey()), Random: dice()}}
}

func withPassword() Codec {
	return Codec{Protect: Protection{Password: secret.Copy([]byte(password)), Name: "Batch 7 & 8", Random: dice()}}
}

func goldenFiles() map[string]Codec {
	return map[string]Codec{"written-key.xml": withKey(), "written-password.xml": withPassword()}
}

// The golden files are proved by python-pskc, in TestPythonReadsOurs.
func TestProtectGolden(t *testing.T) {
	t.Parallel()
	for name, c := range goldenFiles() {
		got, err := sample.Encode(c, sample.Dave(), sample.Bob())
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v, got\n%s", name, err, got)
		}
		if err := keyfile.Check(c, strings.NewReader(got), keyfile.All([]keyfile.Record{sample.Dave(), sample.Bob()})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What every server wants to find, by the fact of reference key-files.md §0 that asks for it.
func TestProtectedFilesAreWhatServersRead(t *testing.T) {
	t.Parallel()
	for name, c := range goldenFiles() {
		text, err := sample.Encode(c, sample.All()...)
		if err != nil {
			t.Fatal(err)
		}
		in := strings.Index(text, "<pskc:ValueMAC>")
		if in < strings.Index(text, "<pskc:Secret>") || in > strings.Index(text, "</pskc:Secret>") {
			t.Errorf("%s: ValueMAC is outside Secret (fact 16)", name)
		}
		if n := strings.Count(text, "<pskc:EncryptedValue>"); n != len(sample.All()) || strings.Contains(text, "<pskc:Counter><pskc:Encrypted") {
			t.Errorf("%s: %d encrypted values (fact 13)", name, n)
		}
		if !strings.Contains(text, "<pskc:MACKey>") || strings.Contains(text, "aes256") {
			t.Errorf("%s: no MACKey, or AES-256 (facts 14, 16)", name)
		}
		derived := strings.Contains(text, "<Salt><Specified>") && strings.Contains(text, "<pkcs5:PBKDF2-params>") &&
			strings.Contains(text, "<IterationCount>100000</IterationCount>") && strings.Contains(text, "<KeyLength>16</KeyLength>") &&
			strings.Contains(text, "<xenc11:MasterKeyName>Batch 7 &amp; 8<")
		if named := strings.Contains(text, "<ds:KeyName>Pre-shared-key<"); named == derived {
			t.Errorf("%s: no name, or not figure 7's elements (fact 14, §6.5)", name)
		}
		for _, rec := range sample.All() {
			if strings.Contains(text, base64Of(rec.Key.Reveal())) {
				t.Errorf("%s: the key of %s is in clear", name, rec.Name())
			}
		}
	}
}

func TestProtectedLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, withKey())
	sample.AssertLoss(t, withKey(), "private ID in clear", sample.First(), "private-id", false)
	for _, l := range (Codec{}).Loss(sample.First()) {
		if l.Field == "private-id" {
			t.Errorf("a plain file does not warn of the private ID: %v", l)
		}
	}
}

// A file is never encrypted twice with the same vector, MAC key or salt.
func TestFreshness(t *testing.T) {
	t.Parallel()
	c := withPassword()
	seen := map[string]bool{}
	for range 2 {
		text, err := sample.Encode(c, sample.Dave(), sample.Dave())
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"<xenc:CipherValue>", "<Specified>"} {
			for _, part := range strings.Split(text, tag)[1:] {
				if v := part[:20]; seen[v] {
					t.Errorf("%s begins with %s again", tag, v)
				} else {
					seen[v] = true
				}
			}
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d values, want 8", len(seen))
	}
}

func TestProtectionsThatAreRefused(t *testing.T) {
	t.Parallel()
	key, word := secret.Copy(figureKey()), secret.Copy([]byte(password))
	for name, tc := range map[string]struct {
		p    Protection
		want error
	}{
		"AES-256 key":    {Protection{Key: secret.Copy(make([]byte, 32)), Random: dice()}, ErrPresharedKey},
		"short password": {Protection{Password: secret.Copy([]byte("short")), Random: dice()}, ErrPassword},
		"long password":  {Protection{Password: secret.Copy([]byte(strings.Repeat("a", 65))), Random: dice()}, ErrPassword},
		"umlaut":         {Protection{Password: secret.Copy([]byte("pässwörter")), Random: dice()}, ErrPassword},
		"newline":        {Protection{Password: secret.Copy([]byte(password + "\n")), Random: dice()}, ErrPassword},
		"both":           {Protection{Key: key, Password: word, Random: dice()}, ErrProtection},
		"no randomness":  {Protection{Key: key}, ErrProtection},
		"few iterations": {Protection{Password: word, Iterations: 1000, Random: dice()}, ErrProtection},
		"name":           {Protection{Key: key, Name: "a\nb", Random: dice()}, ErrProtection},
	} {
		if out, err := sample.Encode(Codec{Protect: tc.p}, sample.Dave()); !errors.Is(err, tc.want) || out != "" {
			t.Errorf("%s: %v after %d bytes", name, err, len(out))
		}
	}
	for n := range int64(macKeySize + 2*16) {
		c := Codec{Protect: Protection{Key: key, Random: io.LimitReader(dice(), n)}}
		if out, err := sample.Encode(c, sample.Dave()); err == nil || out != "" {
			t.Errorf("with %d random bytes: %v after %d bytes", n, err, len(out))
		}
	}
	if _, err := sample.Encode(withKey()); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty container: %v", err)
	}
	wrong := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Digits = 9 })
	sample.AssertLoss(t, withKey(), "digits", wrong, "digits", true)
}
