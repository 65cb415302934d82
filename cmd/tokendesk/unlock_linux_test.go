//go:build cgo && !nopcsc

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// twoKeys are two YubiKeys in readers of Debian's pcscd, and no store yet.
type twoKeys struct {
	onReaders
	old, recent *pivapplet.Applet // firmware 4.3.5, which tells little, and 5.7.1
	dir         string
}

const oldSerial, recentSerial = "4350001", "5710001"

func newTwoKeys(t *testing.T) twoKeys {
	t.Helper()
	dir, err := os.MkdirTemp("", "unlock") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := newRig(t, 2)
	old, recent := vkey.New(vkey.YubiKey435, vkey.Options{Serial: 4350001}), vkey.New(vkey.YubiKey571, vkey.Options{Serial: 5710001})
	k := twoKeys{old: pivapplet.Install(old, pivapplet.Options{}), recent: pivapplet.Install(recent, pivapplet.Options{}), dir: t.TempDir()}
	givePIN(t, old, "kw82pd")
	k.old.ResetCounts()
	oathapplet.Install(old, oathapplet.Options{})
	oathapplet.Install(recent, oathapplet.Options{})
	d, err := vpcd.Start(t.Context(), dir, old, recent)
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	k.onReaders = onReaders{t, r, d.Env()}
	k.until(oldSerial, "device", "list")
	k.until(recentSerial, "device", "list")
	return k
}

func (k twoKeys) file(name, text string) string {
	k.t.Helper()
	path := filepath.Join(k.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return path
}

// ends runs the program and wants an exit code, and that it says something.
func (k twoKeys) ends(code exitCode, says string, words ...string) string {
	k.t.Helper()
	said, got := k.run(words...)
	if got != code || !strings.Contains(said, says) {
		k.t.Fatalf("tokendesk %q: exit code %d, want %d and %q\n%s", words, got, code, says, said)
	}
	return said
}

// TestCards is the sealing key on real readers: made for a key of firmware 5.7, opened, opened by another of firmware 4.3, which is then the only one.
// Both keys are proven genuine there, before and after.
func TestCards(t *testing.T) {
	t.Parallel()
	k := newTwoKeys(t)
	one, two := k.file("one", "hq41zn\n"), k.file("two", "kw82pd\n")
	wrong := k.file("wrong", "nothis\n")
	roots := filepath.Join(k.dir, "roots.pem")
	if err := os.WriteFile(roots, append(pivapplet.TestCA().RootPEM(), pivapplet.TestCA().IntermediatePEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	k.ends(exitDone, "opens only with key "+recentSerial, "init", "--unlock", "piv", "--serial", recentSerial, "--pin-file", one)
	if s, ok := k.recent.Slot(byte(unlockSlot)); !ok || s.Algorithm != pivapplet.P256 || !s.Generated || !k.recent.HoldsPIN("hq41zn") {
		t.Errorf("slot 9d: %+v, %v", s, ok)
	}
	k.recent.ResetCounts()
	k.ends(exitDone, "", "person", "add", "ada", "--unlock-pin-file", one)
	if c := k.recent.Counts(); c.PINTried != 1 || c.PINWrong != 0 || c.Used != 1 || k.old.Counts().PINTried > 0 {
		t.Errorf("one command: %+v", c)
	}
	for range 3 { // a service that is started again and again
		k.ends(exitRefused, "tries", "person", "list", "--unlock-pin-file", wrong)
	}
	if pin, _ := k.recent.Tries(); pin != 2 || k.recent.Counts().PINWrong != 1 {
		t.Errorf("%d tries are left after %+v", pin, k.recent.Counts())
	}
	k.recent.Burn(3, 3)

	k.ends(exitDone, "2 keys do now", "store", "unlock", "add", "--serial", oldSerial, "--yes", "--pin-file", two, "--unlock-pin-file", one)
	k.ends(exitAmbiguous, "--unlock-serial", "person", "list", "--unlock-pin-file", one)
	k.ends(exitDone, "ada", "person", "list", "--unlock-pin-file", two, "--unlock-serial", oldSerial)
	for _, words := range [][]string{
		{"reset", "--reason", "test", "--yes"}, {"generate", "9d", "--overwrite", "--reason", "test", "--yes"}, {"init", "--pin-file", one}, {"init", "--reset", "--reason", "test", "--yes"}, {"unblock"},
		{"init", "--reset", "--reason", "test", "--yes", "--new-pin-file", one},
	} {
		words = append(append([]string{"piv"}, words...), "--serial", recentSerial, "--unlock-pin-file", one, "--unlock-serial", recentSerial)
		k.ends(exitRefused, "opens the sealing key of this store", words...)
	}
	k.serves(one, two)
	k.ends(exitDone, "1 key do", "store", "unlock", "remove", recentSerial, "--unlock-pin-file", two, "--unlock-serial", oldSerial)
	k.recent.ResetCounts()
	k.ends(exitDone, "ada", "person", "list", "--unlock-pin-file", two)
	k.ends(exitDone, "sealed with version 3", "store", "rekey", "--unlock-pin-file", two)
	if c := k.recent.Counts(); c.PINTried > 0 {
		t.Errorf("a key that opens nothing any more: %+v", c)
	}

	for serial, left := range map[string]string{oldSerial: "stays in slot 95", recentSerial: ""} {
		said := k.ends(exitDone, "Virtual PIV Attestation Root", "device", "attest", serial, "--roots", roots, "--unlock-pin-file", two)
		if !strings.Contains(said, left) {
			t.Errorf("attested:\n%s", said)
		}
	}
	if _, there := k.recent.Slot(byte(spareSlot)); there {
		t.Error("the spare key is left")
	}
	if c := k.recent.Counts(); c.PINTried > 0 {
		t.Errorf("an attestation tries PINs: %+v", c)
	}
	k.ends(exitDone, "is plain", "store", "unlock", "plain", "--yes", "--unlock-pin-file", two)
	k.ends(exitDone, "ada", "person", "list")
}

// serves: a server starts by one key and its PIN in a file, and goes on without either when the sealing key is changed by the other.
func (k twoKeys) serves(one, two string) {
	k.t.Helper()
	said, err := k.command("client", "add", "mail", "-o", "json", "--unlock-pin-file", one, "--unlock-serial", recentSerial).Output()
	var answer struct{ Client newClient }
	if err == nil {
		err = json.Unmarshal(said, &answer)
	}
	if err != nil {
		k.t.Fatalf("%v\n%s", err, said)
	}
	c := relying{answer.Client.ID, answer.Client.Key}
	k.recent.ResetCounts()
	s, err := launch(k.command("serve", "--listen", "127.0.0.1:0", "--unlock-pin-file", one, "--unlock-serial", recentSerial), func(string) bool { return true })
	if err != nil {
		k.t.Fatal(err)
	}
	ask := func(when string) {
		k.t.Helper()
		if got := k.r.ask(c, s, strings.Repeat("c", 44)); got != "BAD_OTP" { // signed with the client's key, which is sealed
			k.t.Errorf("%s: %s", when, got)
		}
	}
	ask("at first")
	k.ends(exitDone, "sealed with version 2", "store", "rekey", "--unlock-pin-file", two, "--unlock-serial", oldSerial)
	k.ends(exitDone, "version 2 only", "store", "rekey", "--finish", "--unlock-pin-file", two, "--unlock-serial", oldSerial)
	ask("with another version of the sealing key")
	if n := k.recent.Counts(); n.PINTried != 1 || n.Used != 1 {
		k.t.Errorf("the server used its key again: %+v", n)
	}
	if log, code := s.stop(k.t, os.Interrupt); code != 0 || strings.Contains(log, "hq41zn") {
		k.t.Errorf("exit code %d\n%s", code, log)
	}
}

// givePIN sets the PIN of a new key, as ykman does: firmware before 5.3 does not tell that it is one.
func givePIN(t *testing.T, key *vkey.Key, pin string) {
	t.Helper()
	card := &virtualCard{key.Card(), nil}
	defer card.Close()
	ch := apdu.Channel{Card: card}
	_, err := ch.Select(t.Context(), []byte("\xA0\x00\x00\x03\x08"))
	if err == nil {
		_, err = ch.Send(t.Context(), apdu.Command{Instruction: 0x24, P2: 0x80, Data: []byte("123456\xFF\xFF" + pin + "\xFF\xFF")})
	}
	if err != nil {
		t.Fatal(err)
	}
}
