package openpgp

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope/envelopetest"
)

// gpg is GnuPG with a home of its own.
type gpg struct {
	t    *testing.T
	path string
	home string
}

func newGPG(t *testing.T) gpg {
	t.Helper()
	path := envelopetest.Judge(t, "gpg")
	home, err := os.MkdirTemp("", "gpg") // short: the agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	g := gpg{t, path, home}
	t.Cleanup(func() {
		_, _, _ = envelopetest.Run(t, nil, nil, "gpgconf", "--homedir", home, "--kill", "all")
		_ = os.RemoveAll(home) // the agent may still be removing its sockets
	})
	return g
}

// run is one call that must end well.
func (g gpg) run(stdin []byte, args ...string) (stdout, status string) {
	g.t.Helper()
	out, said, err := g.try(stdin, args...)
	if err != nil {
		g.t.Fatalf("gpg %v: %v\n%s", args, err, said)
	}
	return string(out), said
}

func (g gpg) try(stdin []byte, args ...string) ([]byte, string, error) {
	g.t.Helper()
	args = append([]string{"--homedir", g.home, "--batch", "--pinentry-mode", "loopback", "--trust-model", "always", "--status-fd", "2"}, args...)
	out, said, err := envelopetest.Run(g.t, stdin, nil, g.path, args...)
	return out, string(said), err
}

// key makes a key pair and returns its files, armoured and binary.
func (g gpg) key(name, passphrase, algorithm string) pair {
	g.t.Helper()
	_, status := g.run(nil, "--passphrase", passphrase, "--quick-generate-key", name+"@example.org", algorithm, "default", "never")
	if strings.HasPrefix(algorithm, "rsa") { // comes without a subkey
		made := regexp.MustCompile(`KEY_CREATED . ([0-9A-F]+)`).FindStringSubmatch(status)
		g.run(nil, "--passphrase", passphrase, "--quick-add-key", made[1], algorithm, "encr", "never")
	}
	public, _ := g.run(nil, "--armor", "--export", name+"@example.org")
	private, _ := g.run(nil, "--passphrase", passphrase, "--export-secret-keys", name+"@example.org")
	return pair{[]byte(public), []byte(private)}
}

// What ykksm-import looks for. Source: yubikey-ksm, ykksm-import.
var validSig = regexp.MustCompile(`\[GNUPG:\] VALIDSIG [0-9A-F]+([0-9A-F]{8}) `)

// gpg decrypts and verifies what we write, to the keys it made, of both kinds.
func TestGPGReadsOurs(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	curve, rsa := g.key("curve", "sesame", "future-default"), g.key("rsa", "sesame", "rsa2048")
	for algorithm, desk := range map[string]pair{"curve": curve, "RSA": rsa} {
		server := curve
		if algorithm == "curve" {
			server = rsa
		}
		ask := envelopetest.Answers(map[keyfile.Means]string{keyfile.Passphrase: "sesame"})
		signer := readKeys(t, desk.private)
		for name, v := range map[string]Envelope{
			"encrypted":            {To: readKeys(t, server.public)},
			"signed and encrypted": {To: readKeys(t, server.public), Signer: signer, Ask: ask},
			"signed":               {Signer: signer, Ask: ask},
		} {
			long := strings.Repeat(text, 1000)
			m := sealed(t, v, long)
			out, status := g.run(m, "--passphrase", "sesame", "--decrypt")
			if out != long {
				t.Errorf("%s, %s: %d bytes of %d", algorithm, name, len(out), len(long))
			}
			if encrypted := v.To.Len() > 0; strings.Contains(status, "DECRYPTION_OKAY") != encrypted || strings.Contains(status, "GOODMDC") != encrypted {
				t.Errorf("%s, %s: %s", algorithm, name, status)
			}
			if found := validSig.FindStringSubmatch(status); (found != nil) != (v.Signer.Len() > 0) {
				t.Errorf("%s, %s: ykksm-import would say %v of\n%s", algorithm, name, found, status)
			} else if found != nil && !strings.Contains(signer.Names(nil)[0], found[1]) {
				t.Errorf("%s, %s: signed by %s and not %s", algorithm, name, found[1], signer.Names(nil)[0])
			}
		}
	}
	// The judge must be able to say no.
	m := sealed(t, Envelope{To: readKeys(t, g.key("third", "", "future-default").public)}, text)
	m[len(m)/2] ^= 3
	if _, said, err := g.try(m, "--decrypt"); err == nil {
		t.Errorf("gpg takes a changed message:\n%s", said)
	}
}

// We read what gpg writes: armoured and binary, compressed as it does by default, signed, with a passphrase, to hidden keys.
func TestWeReadGPG(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	server, desk := g.key("server", "open", "future-default"), g.key("desk", "sesame", "rsa2048")
	long := strings.Repeat(text, 3000)
	file := filepath.Join(g.home, "keys.txt")
	if err := os.WriteFile(file, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args   []string
		open   envelopetest.Open
		signer bool
	}{
		"binary":               {[]string{"-r", "server@example.org", "--encrypt", "--output", "-", file}, with(server.private, "open"), false},
		"armoured":             {[]string{"--armor", "-r", "server@example.org", "--encrypt", "--output", "-", file}, with(server.private, "open"), false},
		"not compressed":       {[]string{"-z", "0", "-r", "server@example.org", "--encrypt", "--output", "-", file}, with(server.private, "open"), false},
		"hidden recipient":     {[]string{"-R", "server@example.org", "--encrypt", "--output", "-", file}, with(server.private, "open"), false},
		"two recipients":       {[]string{"-r", "desk@example.org", "-r", "server@example.org", "--encrypt", "--output", "-", file}, with(server.private, "open"), false},
		"signed and encrypted": {[]string{"--passphrase", "sesame", "-u", "desk@example.org", "-r", "server@example.org", "--sign", "--encrypt", "--output", "-", file}, with(server.private, "open", desk.public), true},
		"signed":               {[]string{"--passphrase", "sesame", "-u", "desk@example.org", "--armor", "--sign", "--output", "-", file}, with(nil, "", desk.public), true},
		"passphrase":           {[]string{"--passphrase", "correct horse", "--symmetric", "--output", "-", file}, with(nil, "correct horse"), false},
		"passphrase or key":    {[]string{"--passphrase", "correct horse", "-r", "server@example.org", "--encrypt", "--symmetric", "--output", "-", file}, with(nil, "correct horse"), false},
	} {
		out, _ := g.run(nil, tc.args...)
		if !Detect([]byte(out)) {
			t.Errorf("%s is not detected", name)
		}
		info := envelopetest.AssertOpens(t, name, tc.open, []byte(out), []byte(long))
		if (info.Signer != "") != tc.signer || tc.signer && !strings.Contains(info.Signer, "desk@example.org") {
			t.Errorf("%s: %+v", name, info)
		}
	}
}

// gpg can still be made to write what is refused.
func TestGPGsWeakMessages(t *testing.T) {
	t.Parallel()
	g := newGPG(t)
	server := g.key("server", "", "future-default")
	file := filepath.Join(g.home, "keys.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		open envelopetest.Open
		err  error
	}{
		"no MDC":   {[]string{"--rfc2440", "--disable-mdc", "--cipher-algo", "AES256", "--passphrase", "x", "--symmetric", "--output", "-", file}, with(nil, "x"), ErrUnprotected},
		"3DES":     {[]string{"--cipher-algo", "3DES", "-r", "server@example.org", "--encrypt", "--output", "-", file}, with(server.private, ""), ErrWeak},
		"CAST5":    {[]string{"--cipher-algo", "CAST5", "--passphrase", "x", "--symmetric", "--output", "-", file}, with(nil, "x"), ErrWeak},
		"SHA-1":    {[]string{"--digest-algo", "SHA1", "-r", "server@example.org", "--sign", "--encrypt", "--output", "-", file}, with(server.private, "", server.public), ErrSignature},
		"unsigned": {[]string{"--store", "--output", "-", file}, with(nil, "", server.public), ErrUnverified},
	} {
		out, _ := g.run(nil, tc.args...)
		if got, _, err := envelopetest.ReadAll(tc.open, []byte(out)); len(got) > 0 || !errors.Is(err, tc.err) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := (Envelope{To: readKeys(t, g.key("weak", "", "rsa1024").public)}).Seal(new(bytes.Buffer)); err == nil {
		t.Error("encrypted to RSA 1024")
	}
	if _, err := ReadKeys(append(g.key("a", "", "dsa2048").public, "x"...)); err == nil {
		t.Error("a key file with something behind")
	}
}
