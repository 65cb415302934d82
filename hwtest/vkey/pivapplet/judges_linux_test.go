package pivapplet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
)

// envJudges with 1 demands the programs of Debian that judge our own.
const envJudges = "TOKENDESK_JUDGES"

// startFor runs a private pcscd, or skips the test where Debian's packages are missing.
func startFor(t *testing.T, keys ...*vkey.Key) *vpcd.Daemon {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprint("piv", os.Getpid())) // the same each time with -count; short, as of a socket
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d, err := vpcd.Start(t.Context(), dir, keys...)
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv(envJudges) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// judgeTime is far more than a judge needs.
const judgeTime = 5 * time.Minute

// judge runs programs of Debian in a directory of their own, against a pcscd of our own.
type judge struct {
	*testing.T
	dir string
	env []string
}

func newJudge(t *testing.T, env string, needs ...string) judge {
	for _, name := range needs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv(envJudges) == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	return judge{t, dir, append(os.Environ(), env, "HOME="+dir)}
}

func (j judge) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(j.Context(), judgeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = j.dir, j.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// says fails the test unless the program succeeds and says what is wanted.
func (j judge) says(want string, args ...string) {
	j.Helper()
	if out, err := j.try(args...); err != nil || !strings.Contains(out, want) {
		j.Fatalf("%q: %v\n%s\nwant %q", args, err, out, want)
	}
}

func (j judge) write(name string, b []byte) {
	j.Helper()
	if err := os.WriteFile(filepath.Join(j.dir, name), b, 0o600); err != nil {
		j.Fatal(err)
	}
}

// TestJudges: Debian's yubikit, yubico-piv-tool and OpenSC, each on a key of its own, and openssl over what they made.
func TestJudges(t *testing.T) {
	t.Parallel()
	var keys []*vkey.Key
	for i, p := range []vkey.Profile{vkey.YubiKey543, vkey.YubiKey527, vkey.YubiKey435, vkey.YubiKey571} {
		k := vkey.New(p, vkey.Options{Serial: 7654321 + uint32(i)})
		pivapplet.Install(k, pivapplet.Options{NewKey: pool()})
		keys = append(keys, k)
	}
	d := startFor(t, keys...)
	until(t, d.Env(), d.Readers...)
	t.Run("each", func(t *testing.T) {
		t.Run("yubico-piv-tool", func(t *testing.T) {
			t.Parallel()
			pivTool{newJudge(t, d.Env(), "yubico-piv-tool", "openssl"), d.Readers[0], pivapplet.Of(keys[0])}.life()
		})
		t.Run("yubikit", func(t *testing.T) {
			t.Parallel()
			script, err := filepath.Abs("testdata/life.py")
			if err != nil {
				t.Fatal(err)
			}
			j := newJudge(t, d.Env(), "ykman", "/usr/bin/python3")
			j.says(strings.Join(d.Readers[2:], "\n"), append([]string{"/usr/bin/python3", script}, d.Readers[2:]...)...)
		})
	})
	// It selects the application in every reader that it finds, which would undo what the others proved.
	t.Run("OpenSC", func(t *testing.T) {
		openSC{newJudge(t, d.Env(), "pkcs11-tool", "yubico-piv-tool", "openssl"), d.Readers[1], pivapplet.Of(keys[1])}.life()
	})
}

// until waits for pcscd to know the cards.
func until(t *testing.T, env string, readers ...string) {
	t.Helper()
	j := newJudge(t, env, "opensc-tool")
	deadline := time.Now().Add(judgeTime)
	for _, r := range readers {
		for {
			if _, err := j.try("opensc-tool", "-r", r, "-a"); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no card in %s", r)
			}
		}
	}
}

// pivTool is yubico-piv-tool. Debian's 2.2.0 signs no certificate, on no card, with OpenSSL 3 (yubico-piv-tool issue 388); data it signs.
type pivTool struct {
	judge
	reader string
	app    *pivapplet.Applet
}

func (p pivTool) run(want, args string) {
	p.Helper()
	p.says(want, append([]string{"yubico-piv-tool", "-r", p.reader}, strings.Fields(args)...)...)
}

func (p pivTool) life() {
	p.run("PIN tries left:\t3", "-a status")
	p.run("changed the puk", "-a change-puk -P 12345678 -N 31415926")
	p.run("changed the pin", "-a change-pin -P 123456 -N 271828")
	if out, err := p.try("yubico-piv-tool", "-r", p.reader, "-a", "verify-pin", "-P", "000000"); err == nil || !strings.Contains(out, "2 tries left") {
		p.Errorf("wrong PIN: %v\n%s", err, out)
	}
	p.run("unblocked", "-a unblock-pin -P 31415926 -N 161803")
	p.run("new management key", "-a set-mgm-key -n 0102030405060708090a0b0c0d0e0f101112131415161718")
	const admin = " --key=0102030405060708090a0b0c0d0e0f101112131415161718 "
	p.run("", "-a set-chuid -a set-ccc"+admin)
	p.write("data", []byte("text"))
	for slot, alg := range map[string]string{"9a": "ECCP256", "9c": "RSA2048", "82": "ECCP384"} {
		p.run("generated", "-a generate -s "+slot+" -A "+alg+" -o "+slot+".pub"+admin)
		p.run("successful", "-a verify-pin -P 161803 --sign -s "+slot+" -A "+alg+" -i data -o sig")
		p.says("OK", "openssl", "dgst", "-sha256", "-verify", slot+".pub", "-signature", "sig", "data")
		p.run("", "-a attest -s "+slot+" -o attested")
		p.run("", "-a read-certificate -s f9 -o above")
		p.write("root", pivapplet.TestCA().RootPEM())
		p.says("OK", "openssl", "verify", "-CAfile", "root", "-untrusted", "above", "attested")
		p.says("", "openssl", "x509", "-in", "attested", "-noout", "-pubkey", "-out", "attested.pub")
		p.says("", "cmp", slot+".pub", "attested.pub")
	}
	p.foreign(admin)
	p.run("pin retries to 8", "-a verify-pin -P 161803 -a pin-retries --pin-retries 8 --puk-retries 9"+admin)
	if pin, puk := p.app.Tries(); pin != 8 || puk != 9 || !p.app.HoldsPIN("123456") {
		p.Errorf("%d and %d tries after pin-retries", pin, puk)
	}
	for range 3 {
		p.try("yubico-piv-tool", "-r", p.reader, "-a", "verify-pin", "-P", "000000")
	}
	p.run("PIN tries left:\t5", "-a status")
}

// foreign: a key and a certificate made by openssl come onto the card, and the tool tests them there.
func (p pivTool) foreign(admin string) {
	p.says("", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=foreign")
	p.run("imported a new private key", "-a import-key -s 9d -i key"+admin)
	p.run("imported a new certificate", "-a import-certificate -s 9d -i cert"+admin)
	p.run("Successful RSA verification", "-a verify-pin -P 161803 -a test-signature -s 9d -i cert")
	p.run("Successfully performed RSA decryption", "-a verify-pin -P 161803 -a test-decipher -s 9d -i cert")
	p.run("CN=foreign", "-a status")
	p.run("", "-a delete-certificate -s 9d"+admin)
	if p.app.Object(0x5fc10b) != nil {
		p.Error("the certificate was not deleted")
	}
}

// openSC is OpenSC's PKCS #11 module.
type openSC struct {
	judge
	reader string
	app    *pivapplet.Applet
}

func (o openSC) life() {
	for slot, alg := range map[string]string{"9a": "ECCP256", "9c": "RSA2048"} {
		o.generate(slot, alg)
	}
	o.says("Personal Identity Verification Card", "opensc-tool", "-r", o.reader, "-n")
	o.write("data", []byte("text"))
	for slot, mechanism := range map[string][]string{
		"9a": {"--id", "01", "-m", "ECDSA-SHA256", "--signature-format", "openssl"},
		"9c": {"--id", "02", "-m", "SHA256-RSA-PKCS"}, // asks for the PIN before each signature
	} {
		o.says("", append([]string{"pkcs11-tool", "--slot-description", o.reader, "--login", "--pin", "123456", "--sign", "-i", "data", "-o", "sig"}, mechanism...)...)
		o.says("OK", "openssl", "dgst", "-sha256", "-verify", slot+".pub", "-signature", "sig", "data")
	}
	if c := o.app.Counts(); c.PINWrong > 0 {
		o.Errorf("OpenSC burned %d tries", c.PINWrong)
	}
	if out, err := o.try("pkcs11-tool", "--slot-description", o.reader, "--login", "--pin", "654321", "-O"); err == nil || !strings.Contains(out, "CKR_PIN_INCORRECT") {
		o.Errorf("wrong PIN: %v\n%s", err, out)
	}
	if c := o.app.Counts(); c.PINWrong != 1 {
		o.Errorf("a wrong PIN burned %d tries", c.PINWrong)
	}
}

// generate makes a key and a certificate, which openssl signs: without one, OpenSC sees no key.
func (o openSC) generate(slot, alg string) {
	o.says("", "yubico-piv-tool", "-r", o.reader, "-a", "generate", "-s", slot, "-A", alg, "-o", slot+".pub")
	o.says("", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "ca", "-subj", "/CN=ca")
	o.says("", "openssl", "x509", "-new", "-force_pubkey", slot+".pub", "-CA", "ca", "-CAkey", "key", "-subj", "/CN=card", "-out", "cert")
	o.says("", "yubico-piv-tool", "-r", o.reader, "-a", "import-certificate", "-s", slot, "-i", "cert")
}
