package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

// awkward is a word that a shell would take apart.
const awkward = `o'brien $(x) "y",z`

// steering would do the same to a terminal.
const steering = "-%s\\ \n1\x1b[2J\u202e\xff"

// TestPIVAgain: the command that is told has every flag of the one that was interrupted, as a shell and the program read them; no flag that
// would write a slot anew.
func TestPIVAgain(t *testing.T) {
	t.Parallel()
	give := []string{"--piv-slot", "9c", "--piv-algorithm", "rsa2048", "--piv-pin-policy", "once", "--piv-touch-policy", "cached", "--piv-overwrite", "--piv-subject", "CN=" + awkward,
		"--piv-email", `"a,b@example.org"`, "--piv-email", "c@example.org", "--piv-upn", "ada@example.org", "--piv-self-signed", "--piv-valid", "48h", "--piv-letter", "my letter.txt", "--piv-letter-language", "de"}
	for name, words := range map[string][]string{"all": give, "request": {"--piv-slot", "9a", "--piv-csr", steering + ".csr", "--piv-subject", "ada"}, "nothing": nil} {
		read := func(words []string) (o provisionOptions) {
			cmd := &cobra.Command{Use: "provision", RunE: func(*cobra.Command, []string) error { return nil }}
			o.flags(cmd, &app{})
			o.cardFlags(cmd)
			cmd.SetArgs(words)
			if err := cmd.Execute(); err != nil {
				t.Fatalf("%s: %q: %v", name, words, err)
			}
			o.piv.key.account, o.piv.key.reason = o.to, o.reason
			return o
		}
		first := read(append([]string{"--piv", "--slot", "2", "--to", awkward, "--reason", "why not; it's " + steering + " new", "--reassign", "--yes"}, words...))
		told := first.piv.again(7, first.reassign, first.yes)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "for w in "+told+`; do printf '%s\000' "$w"; done`).Output()
		if err != nil {
			t.Fatalf("%s: %v", told, err)
		}
		split := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		again := read(split[2:])
		if printable(told) != told {
			t.Errorf("%s: told %q", name, told)
		}
		if text := again.piv.again(7, again.reassign, again.yes); text != told || again.serial != 7 || again.slot != 0 {
			t.Errorf("%s: told %s\nread %s", name, told, text)
		}
		if !first.piv.key.overwrite { // nobody asks why
			first.piv.key.reason, first.yes = "", false
		}
		if !reflect.DeepEqual(first.piv, again.piv) || first.to != again.to || first.reassign != again.reassign || first.yes != again.yes {
			t.Errorf("%s: %+v\nread again as %+v", name, first, again)
		}
	}
}

// TestPIVLeft: what resume settles of a slot or an account leaves PIV to be done, which is said; nothing is said where nothing was written.
func TestPIVLeft(t *testing.T) {
	t.Parallel()
	o := pivWork{on: true, key: pivKeyOptions{slot: "9a", prefix: "piv-", account: "bob"}}
	open := &provision.UncertainError{Entry: token.Entry{Serial: 7, Slot: 2}, Err: provision.ErrNoTouch}
	x := explain(o.left(open, cardWork{}, 7))
	if text := strings.Join(x.hints, "\n"); !strings.Contains(text, "provision resume --serial 7") || !strings.Contains(text, "tokendesk provision --piv --serial 7 --to bob --piv-slot 9a") || x.code != exitVerify {
		t.Errorf("%d, %s\n%s", x.code, x.line, text)
	}
	for _, err := range []error{o.left(provision.ErrOccupied, cardWork{}, 7), (&pivWork{}).left(open, cardWork{}, 7)} {
		if x := explain(err); strings.Contains(strings.Join(x.hints, "\n"), "PIV") {
			t.Errorf("%v: %q", err, x.hints)
		}
	}
}

// TestPIVInitAgain does the same for piv init.
func TestPIVInitAgain(t *testing.T) {
	t.Parallel()
	o := pivInitOptions{pinTries: "5", pukTries: "4", newPIN: "-", reset: true, reason: "handed on", yes: true,
		key: pivKeyOptions{slot: "9a", algorithm: "p384", touch: "never", csr: "ada's.csr", subject: "ada"}, letter: letterOptions{flag: "--letter", file: "l", language: "en"}}
	o.management, o.lastTry = "m.hex", true
	const want = `tokendesk piv init --serial 7 --management-key-file m.hex --new-pin-file '-' --pin-tries 5 --puk-tries 4 --last-try ` +
		`--slot 9a --algorithm p384 --subject ada --csr 'ada'\''s.csr' --letter l --reset --reason 'handed on' --yes`
	if got := o.repeat(7); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestLeftBehind: of a file that exists only what an interrupted run made for this key is replaced.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request := func(name string, k *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, k)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	}
	o := pivKeyOptions{name: pkix.Name{CommonName: "ada"}}
	ours := request("ada", key)
	for name, test := range map[string]struct {
		text        []byte
		looks, fits bool
	}{
		"ours": {ours, true, true}, "another's": {request("bob", key), true, false}, "of another key": {request("ada", other), true, false},
		"with more": {append(bytes.Clone(ours), ours...), false, false}, "torn": {ours[:200], false, false}, "text": {[]byte("mine"), false, false},
	} {
		if looks, fits := isRequest(test.text), o.requests(test.text, key.Public()); looks != test.looks || fits != test.fits {
			t.Errorf("%s: looks like one: %v, is: %v", name, looks, fits)
		}
	}
	letter := fmt.Appendf(nil, letters["de"], token.Serial(7), "826405", 3)
	for pin, want := range map[string]bool{"826405": true, "826404": false, "82640": false} {
		if tells(letter, 7, []byte(pin)) != want {
			t.Errorf("with PIN %s: want %v", pin, want)
		}
	}
	if tells(letter, 8, []byte("826405")) || !isLetter(letter) || isLetter([]byte("Dear Ada")) {
		t.Error("letters are taken for one another")
	}

	write := func(w io.Writer) error { _, err := w.Write([]byte("new")); return err }
	name := filepath.Join(dir, "f")
	for i, test := range []struct {
		text, left []byte
		replaced   bool
	}{{nil, nil, true}, {[]byte("x"), nil, false}, {[]byte("x"), []byte("x"), true}, {[]byte("y"), []byte("x"), false}} {
		if err := os.WriteFile(name, test.text, 0o644); err != nil {
			t.Fatal(err)
		}
		err := remakeFile(name, test.left, write)
		got, readErr := os.ReadFile(name)
		info, statErr := os.Stat(name)
		if readErr != nil || statErr != nil || (err == nil) != test.replaced || (string(got) == "new") != test.replaced || test.replaced && info.Mode().Perm() != 0o600 {
			t.Errorf("%d: %v, now %q, %v", i, err, got, info.Mode())
		}
	}
	if err := os.Symlink(name, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, ok := leftBehind(filepath.Join(dir, "link")); ok {
		t.Error("a link is taken for a file of ours")
	}
}
