//go:build cgo && !nopcsc

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestPIV runs the commands over Debian's pcscd, with keys of three firmwares.
func TestPIV(t *testing.T) {
	t.Parallel()
	for _, lane := range []struct {
		name    string
		profile vkey.Profile
		run     func(pivKey)
	}{
		{"enrolled", vkey.YubiKey571, pivKey.enrol}, {"refused", vkey.YubiKey543, pivKey.refuse}, {"without metadata", vkey.YubiKey435, pivKey.setUpOld},
		{"slot, account and PIV", vkey.YubiKey543, pivKey.oneRun},
	} {
		t.Run(lane.name, func(t *testing.T) {
			t.Parallel()
			lane.run(newPIVKey(t, lane.profile))
		})
	}
}

// enrol sets a new key up, has a certificate issued for its key, and proves where that was made.
func (k pivKey) enrol() {
	csr, letter := k.path("csr.pem"), k.path("letter.txt")
	words := []string{"init", "--slot", "9a", "--subject", `CN=Ada \, Countess,O=Example`, "--email", "ada@example.org", "--upn", "ada@example.org", "--csr", csr, "--letter", letter, "--pin-tries", "5", "--puk-tries", "4"}
	var planned struct{ Plan []pivPlanned }
	k.answers(&planned, append(words, "--dry-run")...)
	if n := len(planned.Plan); n < 6 || !strings.Contains(planned.Plan[n-1].Step, "9a") {
		k.t.Errorf("dry run: %+v", planned.Plan)
	}
	k.must(words...)
	k.settled()
	k.again(words, csr, letter)
	told := k.told()
	if told.PIN.Left == nil || *told.PIN.Left != 5 || told.PUK.Total != 4 || told.PIN.Default != "no" || told.Management.Default != "no" || !told.CHUID || !told.CCC ||
		strings.Join(told.Kept, ",") != "PIN,PUK,management key" || len(told.Slots) != 1 || told.Slots[0].Generated != "yes" {
		k.t.Errorf("%+v", told)
	}
	if said, code := k.run("device", "info"); code != exitDone || !strings.Contains(said, "PIN, PUK, management key") {
		k.t.Errorf("device info: exit code %d\n%s", code, said)
	}
	pins, _ := k.kept(token.PIVPIN)
	if text, err := os.ReadFile(letter); err != nil || !strings.Contains(string(text), pins[0]) || !strings.Contains(string(text), k.serial().String()) {
		k.t.Errorf("the letter: %v", err)
	}
	if said := k.must("init"); !strings.Contains(said, "nothing is to be done") {
		k.t.Errorf("again: %s", said)
	}
	k.issue(csr)
	k.attested()
	k.handOut()
	k.must("generate", "9c", "--algorithm", "p384", "--self-signed", "--subject", "ada", "--public-key", k.path("9c.pub"))
	k.refused(exitRefused, "--overwrite", "generate", "9c", "--algorithm", "p384")
	if s, ok := k.app.Slot(0x9c); !ok || s.Algorithm != pivapplet.P384 || s.PIN != 3 {
		k.t.Errorf("slot 9c: %+v", s)
	}
	k.unburned()
	k.silent()
	k.unblock()
}

// again runs a set-up whose files are there as an interrupted one leaves them: their place is taken, and no other file's.
func (k pivKey) again(words []string, files ...string) {
	put := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
	for _, empty := range []bool{false, true} {
		for _, name := range files {
			if empty {
				put(name, "")
			}
		}
		if said := k.must(words...); !strings.Contains(said, "has the key already") {
			k.t.Errorf("again: %s", said)
		}
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			k.t.Fatal(err)
		}
		put(name, string(text)+"mine")
		k.refused(exitRefused, "exists", words...)
		put(name, string(text))
	}
	if n := k.app.Counts(); n.Generated != 1 {
		k.t.Errorf("%+v", n)
	}
}

// issue plays the site's authority, which is judged by openssl, and stores what it issues; for no other key.
func (k pivKey) issue(csr string) {
	needJudges(k.t, "openssl")
	if out, err := exec.CommandContext(k.t.Context(), "openssl", "req", "-in", csr, "-verify", "-noout", "-subject").CombinedOutput(); err != nil || !strings.Contains(string(out), "Countess") {
		k.t.Errorf("openssl: %v\n%s", err, out)
	}
	text, err := os.ReadFile(csr)
	if err != nil {
		k.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		k.t.Fatal(err)
	}
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Site CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certify := func(name string, public any) string {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: req.Subject, NotBefore: root.NotBefore, NotAfter: root.NotAfter}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, public, ca)
		if err != nil {
			k.t.Fatal(err)
		}
		return k.file(name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	k.refused(exitRefused, "for another key", "import-cert", "9a", certify("other.crt", ca.Public()))
	k.must("import-cert", "9a", certify("ada.crt", req.PublicKey))
	if told := k.told(); told.Slots[0].Certificate == nil || told.Slots[0].Certificate.Issuer != "CN=Site CA" {
		k.t.Errorf("%+v", told.Slots)
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, ca.Public(), ca)
	if err != nil {
		k.t.Fatal(err)
	}
	roots := k.file("site.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	pins, _ := k.kept(token.PIVPIN)
	k.file("text", "signed")
	reader := []string{"pkcs11-tool", "--slot-description", k.reader, "--id", "01"}
	k.judge("", []string{"PIN=" + pins[0]}, append(reader, "--login", "--pin", "env:PIN", "--sign", "-m", "ECDSA-SHA256", "--signature-format", "openssl", "-i", k.path("text"), "-o", "signature")...)
	k.judge("", nil, append(reader, "--read-object", "--type", "cert", "-o", "read.der")...)
	k.judge("", nil, "openssl", "x509", "-in", "read.der", "-out", "read.pem")
	k.judge("OK", nil, "openssl", "verify", "-CAfile", roots, "read.pem")
	k.judge("", nil, "openssl", "x509", "-in", "read.pem", "-pubkey", "-noout", "-out", "read.pub")
	k.judge("OK", nil, "openssl", "dgst", "-sha256", "-verify", "read.pub", "-signature", "signature", k.path("text"))
	k.refused(exitRefused, "--overwrite", "import-cert", "9a", certify("again.crt", req.PublicKey))
	k.refused(exitUsage, "no certificate", "import-cert", "9a", csr)
}

// attested proves by the maker's root, and by no other.
func (k pivKey) attested() {
	ca := pivapplet.TestCA()
	roots := k.file("roots.pem", string(ca.RootPEM())+string(ca.IntermediatePEM()))
	if said := k.must("attest", "9a", "--roots", roots, "--out", k.path("attestation.pem")); !strings.Contains(said, "generated on a key of") {
		k.t.Error(said)
	}
	var asked struct{ Slot pivSlot }
	k.answers(&asked, "csr", "9a", "--subject", "ada", "--out", k.path("again.csr"))
	if asked.Slot.Slot != "9a" || asked.Slot.Certificate == nil {
		k.t.Errorf("csr: %+v", asked.Slot)
	}
	var unverified struct{ Attestation attestedKey }
	k.answers(&unverified, "attest", "9a", "--out", k.path("unverified.pem"))
	if got := unverified.Attestation; got.Verified || got.Slot != "9a" || got.Serial != k.serial() || got.Algorithm == "" {
		k.t.Errorf("without roots: %+v", got)
	}
	k.refused(exitIntegrity, "does not prove", "attest", "9a", "--roots", k.file("others.pem", string(pivapplet.NewCA("Somebody").RootPEM())))
	k.refused(exitNotFound, "no key", "attest", "82", "--roots", roots)
}

// handOut: what the helpdesk reads out is what the key has, and the audit chain says why, never what.
func (k pivKey) handOut() {
	var answer struct{ Secrets []handedSecret }
	cmd := k.command("piv", "secret", k.serial().String(), "--what", "puk", "--reason", "blocked her PIN", "-o", "json")
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil || len(answer.Secrets) != 1 || !answer.Secrets[0].OnKey || !k.app.HoldsPUK(answer.Secrets[0].Secret) {
		k.t.Fatalf("%v, %d secrets", err, len(answer.Secrets))
	}
	out, err = k.command("audit", "list", "--last", "0").Output()
	if err != nil || !strings.Contains(string(out), "blocked her PIN") || !strings.Contains(string(out), "letter with the PIN") || !strings.Contains(string(out), "piv.generate") {
		k.t.Errorf("audit: %v\n%s", err, out)
	}
	if strings.Contains(string(out), answer.Secrets[0].Secret) {
		k.t.Error("the audit chain has the PUK")
	}
	var inFile struct{ Secrets []handedSecret }
	k.read(k.command("piv", "secret", k.serial().String(), "--what", "puk", "--reason", "sealed letter", "--out", k.path("puk.txt"), "-o", "json"), &inFile)
	if text, err := os.ReadFile(k.path("puk.txt")); err != nil || strings.TrimSpace(string(text)) != answer.Secrets[0].Secret || len(inFile.Secrets) != 1 || inFile.Secrets[0].Secret != "" || !inFile.Secrets[0].OnKey {
		k.t.Errorf("in a file: %v, %d secrets", err, len(inFile.Secrets))
	}
	if out, err := k.command("piv", "secret", k.serial().String(), "--what", "pin", "--reason", "sealed letter", "--out", k.path("pin.txt")).Output(); err != nil || len(out) > 0 {
		k.t.Errorf("in a file, for people: %v, %d bytes beside it", err, len(out))
	}
	said, code := k.run("piv", "secret", k.serial().String(), "--what", "management-key", "--reason", "x")
	if code != exitUsage {
		k.t.Errorf("the management key on the screen: exit code %d\n%s", code, said)
	}
}

// unblock: a blocked PIN is told as such without a try, and the PUK of the store sets a new one.
func (k pivKey) unblock() {
	k.app.Burn(0, 255)
	k.app.ResetCounts()
	k.refused(exitRefused, "piv unblock", "csr", "9a", "--subject", "ada", "--out", k.path("blocked.csr"))
	if n := k.app.Counts(); n.PINTried != 0 {
		k.t.Errorf("a blocked PIN was tried: %+v", n)
	}
	k.must("unblock", "--letter", k.path("letter2.txt"), "--letter-language", "de")
	k.settled()
	k.app.Burn(255, 0)
	k.refused(exitRefused, "piv reset", "unblock")
	k.refused(exitUsage, "--reason", "reset", "--yes")
	k.refused(exitRefused, "--yes", "reset", "--reason", "nobody confirms")
	k.must("reset", "--reason", "blocked for good", "--yes")
	if told := k.told(); told.PIN.Default != "yes" || len(told.Kept) != 0 || len(told.Slots) != 0 {
		k.t.Errorf("after the reset: %+v", told)
	}
}

// refuse: what was set up elsewhere is left as it is, and wrong PINs are counted truthfully: at most one a command, none while one try is left.
func (k pivKey) refuse() {
	k.must("init", "--slot", "9a", "--self-signed", "--subject", "ada")
	k.settled()
	k.wrongPIN()
	k.stalePIN()
	// From here on the store has never seen it.
	managements, _ := k.kept(token.PIVManagementKey)
	pins, _ := k.kept(token.PIVPIN)
	puks, _ := k.kept(token.PIVPUK)
	for _, what := range token.EscrowKinds() {
		if err := k.st.SettleEscrow(k.t.Context(), k.serial(), what, 0); err != nil {
			k.t.Fatal(err)
		}
	}
	k.app.ResetCounts()
	for _, words := range [][]string{{"init"}, {"init", "--slot", "9c"}} {
		k.refused(exitRefused, "--reset --reason TEXT", words...)
	}
	said, code := k.run("provision", "--slot", "2", "--verify", "none", "--oath", "Example:ada", "--piv", "--transport", "ccid")
	if code != exitRefused || !strings.Contains(said, "set up elsewhere") || k.key.Slot(2).Kind != vkey.Empty || len(oathapplet.Of(k.key).Accounts()) != 0 {
		k.t.Errorf("provision --piv of somebody else's key: exit code %d\n%s", code, said)
	}
	k.refused(exitRefused, "--management-key-file", "generate", "9c")
	k.refused(exitRefused, "--pin-file", "csr", "9a", "--subject", "ada", "--out", k.path("foreign.csr"))
	k.refused(exitRefused, "--puk-file", "unblock")
	if n := k.app.Counts(); n.PINTried != 0 || n.PUKTried != 0 || n.Generated != 0 || n.Resets != 0 {
		k.t.Errorf("somebody else's key was touched: %+v", n)
	}
	if len(pins) == 0 { // it was forgotten by stalePIN
		said, code := k.run(k.words("init", "--reset", "--reason", "handed on", "--yes", "--letter", k.path("nowhere/letter.txt"))...)
		if _, told, ok := strings.Cut(said, "finish it: tokendesk piv init"); code == exitDone || !ok || strings.Contains(told, "--reset") { // it would wipe what is finished
			k.t.Errorf("exit code %d\n%s", code, said)
		}
	} else {
		k.must("init", "--management-key-file", k.file("management", hex.EncodeToString([]byte(managements[0]))), "--pin-file", k.file("pin", pins[0]), "--puk-file", k.file("puk", puks[0]))
	}
	k.settled()
}

func (k pivKey) wrongPIN() {
	request := func(name string, more ...string) []string {
		return append([]string{"csr", "9a", "--subject", "ada", "--out", k.path(name)}, more...)
	}
	wrong := k.file("wrong", "000111\n")
	k.refused(exitRefused, "2 tries left", request("a.csr", "--pin-file", wrong)...)
	k.refused(exitRefused, "one try left", request("a.csr", "--pin-file", wrong)...)
	k.refused(exitRefused, "--last-try", request("a.csr", "--pin-file", wrong)...)
	k.refused(exitRefused, "--last-try", request("a.csr")...) // the right one: nobody said that it may be used
	if n := k.app.Counts(); n.PINWrong != 2 {
		k.t.Errorf("after two wrong ones: %+v", n)
	}
	k.must(request("a.csr", "--last-try")...)
	if pin, _ := k.app.Tries(); pin != 3 {
		k.t.Errorf("%d tries after the right PIN", pin)
	}
	cmd := k.typing("000111\n", request("b.csr", "--pin-file", "-")...)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "2 tries left") {
		k.t.Errorf("typed: %v\n%s", err, out)
	}
	k.must(request("b.csr")...)
	k.app.ResetCounts()
}

// stalePIN: the holder changed the PIN; the store's is tried once, and by no later command.
func (k pivKey) stalePIN() {
	ctx := k.t.Context()
	id, err := k.st.KeepEscrow(ctx, k.serial(), token.PIVPIN, secret.Copy([]byte("918273")))
	if err == nil {
		err = k.st.SettleEscrow(ctx, k.serial(), token.PIVPIN, id)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	words := []string{"csr", "9a", "--subject", "ada", "--out", k.path("stale.csr")}
	k.refused(exitRefused, "forgotten", words...)
	k.refused(exitRefused, "not known", words...)
	if n := k.app.Counts(); n.PINTried != 1 || n.PINWrong != 1 {
		k.t.Errorf("the store's PIN: %+v", n)
	}
}

// setUpOld: a firmware without metadata.
func (k pivKey) setUpOld() {
	k.must("init", "--new-pin-file", k.file("new", "826405"), "--slot", "9a", "--algorithm", "p256", "--self-signed", "--subject", "ada", "--valid", "24h")
	k.settled()
	k.unburned()
	if !k.app.HoldsPIN("826405") {
		k.t.Error("the key has another PIN than the typed one")
	}
	k.refused(exitDevice, "5.7", "generate", "9d", "--algorithm", "ed25519")
	k.refused(exitUsage, "PIN", "init", "--new-pin-file", k.file("simple", "123456"))
	if said := k.must("init"); !strings.Contains(said, "nothing is to be done") {
		k.t.Errorf("again: %s", said)
	}
	k.unburned()
}

// oneRun: slot, OATH account and PIV in one call, on one key.
func (k pivKey) oneRun() {
	for _, words := range [][]string{
		{"person", "add", "ada"},
		{"provision", "--slot", "2", "--verify", "none", "--oath", "Example:ada", "--piv", "--piv-slot", "9a", "--piv-self-signed", "--to", "ada", "--transport", "ccid"},
	} {
		if said, code := k.run(words...); code != exitDone {
			k.t.Fatalf("%q: exit code %d\n%s", words, code, said)
		}
	}
	k.settled()
	k.unburned()
	if told := k.told(); len(told.Slots) != 1 || told.Slots[0].Certificate.Subject != "CN=ada" {
		k.t.Errorf("%+v", told.Slots)
	}
	if accounts := oathapplet.Of(k.key).Accounts(); len(accounts) != 1 || k.key.Slot(2).Kind == vkey.Empty {
		k.t.Errorf("%d accounts, slot 2: %v", len(accounts), k.key.Slot(2).Kind)
	}
	if said, code := k.run("provision", "--piv-slot", "9a"); code != exitUsage || !strings.Contains(said, "--piv") {
		k.t.Errorf("exit code %d\n%s", code, said)
	}
	k.silent()
}

// TestKillPIV kills the program before and after each command that changes the card while it sets it up, and calls it again: PIN, PUK and
// management key of the key are always ones that the store can open, and no try is used up.
func TestKillPIV(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("two processes for each step")
	}
	const lanes = 2
	for lane := range lanes {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			k := newPIVKey(t, vkey.YubiKey543)
			for n := lane + 1; ; n += lanes {
				k.renew()
				words := k.words("init", "--pin-tries", "5", "--puk-tries", "4", "--slot", "9a", "--self-signed", "--subject", "ada")
				killed := k.killedPIV(n, words...)
				k.known()
				if said, _ := k.run("doctor"); strings.Contains(said, "tokendesk piv init --serial") != k.open() {
					t.Errorf("step %d: %s", n, said)
				}
				if killed {
					if said, code := k.run(words...); code != exitDone {
						t.Fatalf("step %d: again: exit code %d\n%s", n, code, said)
					}
				}
				k.settled()
				k.unburned()
				if told := k.told(); len(told.Slots) != 1 || told.Slots[0].Certificate == nil || k.app.Counts().Generated > 2 {
					t.Errorf("step %d: %+v", n, told.Slots)
				}
				if t.Failed() || !killed {
					if n < 16 {
						t.Fatalf("step %d, of too few", n)
					}
					return
				}
			}
		})
	}
}

// TestKillPIVAfterwards does the same while a set-up key gets a new PIN by its PUK, is wiped, and is wiped and set up again.
func TestKillPIVAfterwards(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("two processes for each step")
	}
	k := newPIVKey(t, vkey.YubiKey543)
	for _, words := range [][]string{{"unblock"}, {"reset", "--reason", "returned", "--yes"}, {"init", "--reset", "--reason", "handed on", "--yes"}} {
		for n := 1; ; n++ {
			k.must("init")
			k.settled()
			killed := k.killedPIV(n, k.words(words...)...)
			if pins, _ := k.kept(token.PIVPIN); !k.holdsOneOf(pins) {
				t.Fatalf("%s, step %d: the key has a PIN that nobody knows", words[0], n)
			}
			if !killed {
				if n < 3 {
					t.Errorf("%s: %d steps", words[0], n-1)
				}
				break
			}
			k.must(words...)
			if told := k.told(); (words[0] == "reset") != (len(told.Kept) == 0) {
				t.Errorf("%s, step %d: %v is kept", words[0], n, told.Kept)
			}
			if words[0] != "reset" {
				k.settled()
			}
		}
	}
}

// holdsOneOf reports whether the key has one of these PINs, or that of a new key.
func (k pivKey) holdsOneOf(pins []string) bool {
	return slices.ContainsFunc(append(pins, "123456"), k.app.HoldsPIN)
}

// open reports whether a secret was on its way to the key.
func (k pivKey) open() bool {
	k.t.Helper()
	list, err := k.st.OpenEscrows(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	return len(list) > 0
}

// killedPIV runs the program until its n-th moment and kills it there; false: it ended before.
func (k pivKey) killedPIV(n int, words ...string) bool {
	k.t.Helper()
	cmd := k.command(words...)
	cmd.Env = append(cmd.Env, fmt.Sprint("STOP_PIV=", n))
	said, err := cmd.StderrPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		m, err := said.Read(buf)
		all.Write(buf[:m])
		if strings.Contains(all.String(), stopMark) {
			if err := cmd.Process.Kill(); err != nil {
				k.t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			return true
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			k.t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		k.t.Fatalf("step %d: %v\n%s", n, err, all.String())
	}
	return false
}
