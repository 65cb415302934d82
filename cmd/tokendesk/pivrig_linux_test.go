//go:build cgo && !nopcsc

package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// pivKey is a store, and a key in a reader of Debian's pcscd.
type pivKey struct {
	onReaders
	dir string
	st  *sqlstore.Store
	key *vkey.Key
	app *pivapplet.Applet
	all *strings.Builder // everything that was said, but what hands a secret over
	env string           // names pcscd's socket

	reader string
}

// newPIVKey starts a pcscd with one key.
func newPIVKey(t *testing.T, profile vkey.Profile) pivKey {
	t.Helper()
	dir, err := os.MkdirTemp("", "piv") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := newRig(t, 2)
	r.must("init")
	r.key = vkey.New(profile, vkey.Options{Serial: rigSerial})
	r.applets()
	d, err := vpcd.Start(t.Context(), dir, r.key)
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	k := pivKey{onReaders{t, r, d.Env()}, t.TempDir(), r.open(), r.key, pivapplet.Of(r.key), &strings.Builder{}, d.Env(), d.Readers[0]}
	k.until("Firmware", k.words("status")...)
	return k
}

func (k pivKey) serial() token.Serial { return token.Serial(k.key.Serial()) }

// words are those of a command on this key.
func (k pivKey) words(words ...string) []string {
	return append(append([]string{"piv"}, words...), "--serial", k.serial().String())
}

// must calls the program on this key and returns what it said.
func (k pivKey) must(words ...string) string {
	k.t.Helper()
	said, code := k.run(k.words(words...)...)
	k.all.WriteString(said)
	if code != exitDone {
		k.t.Fatalf("piv %q: exit code %d\n%s", words, code, said)
	}
	return said
}

// refused calls the program and wants an exit code and something said.
func (k pivKey) refused(code exitCode, says string, words ...string) {
	k.t.Helper()
	said, got := k.run(k.words(words...)...)
	k.all.WriteString(said)
	if got != code || !strings.Contains(said, says) {
		k.t.Errorf("piv %q: exit code %d, want %d and %q\n%s", words, got, code, says, said)
	}
}

// told is piv status.
func (k pivKey) told() pivTold {
	k.t.Helper()
	var answer struct{ PIV pivTold }
	k.answers(&answer, "status")
	return answer.PIV
}

// answers calls the program on this key and reads what it prints in JSON.
func (k pivKey) answers(into any, words ...string) {
	k.t.Helper()
	k.read(k.command(append(k.words(words...), "-o", "json")...), into)
}

func (k pivKey) read(cmd *exec.Cmd, into any) {
	k.t.Helper()
	out, err := cmd.Output()
	k.all.Write(out)
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		k.t.Fatalf("%q: %v\n%s", cmd.Args[1:], err, out)
	}
}

// file makes a file for this key.
func (k pivKey) file(name, text string) string {
	k.t.Helper()
	path := k.path(name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return path
}

func (k pivKey) path(name string) string { return filepath.Join(k.dir, k.serial().String()+"-"+name) }

// kept are the secrets of a kind that the store has, the one that was seen on the key first.
func (k pivKey) kept(what token.EscrowKind) (list []string, held bool) {
	k.t.Helper()
	all, err := k.st.Escrows(k.t.Context(), k.serial(), what)
	if err != nil {
		k.t.Fatal(err)
	}
	defer destroyEscrows(all)
	for _, e := range all {
		list, held = append(list, string(e.Secret.Reveal())), held || e.Held
	}
	return list, held
}

// known fails unless PIN, PUK and management key of the key are ones that the store can open, or those of a new key, and no try was used up.
func (k pivKey) known() {
	k.t.Helper()
	pins, _ := k.kept(token.PIVPIN)
	puks, _ := k.kept(token.PIVPUK)
	managements, _ := k.kept(token.PIVManagementKey)
	isNew := piv.DefaultManagementKey()
	if !slices.ContainsFunc(append(pins, "123456"), k.app.HoldsPIN) || !slices.ContainsFunc(append(puks, "12345678"), k.app.HoldsPUK) ||
		!slices.ContainsFunc(append(managements, string(isNew.Reveal())), k.holdsManagement) {
		k.t.Errorf("the key has what nobody knows: %d PINs, %d PUKs and %d management keys are kept", len(pins), len(puks), len(managements))
	}
	k.unburned()
}

func (k pivKey) holdsManagement(value string) bool {
	return slices.ContainsFunc([]pivapplet.Algorithm{pivapplet.TripleDES, pivapplet.AES192}, func(a pivapplet.Algorithm) bool {
		return k.app.HoldsManagementKey(a, []byte(value))
	})
}

// unburned fails if a wrong PIN or PUK was tried.
func (k pivKey) unburned() {
	k.t.Helper()
	if n := k.app.Counts(); n.PINWrong != 0 || n.PUKWrong != 0 {
		k.t.Errorf("tries were used up: %+v", n)
	}
}

// settled fails unless the store has for each kind just the secret that the key has, and says so.
func (k pivKey) settled() {
	k.t.Helper()
	for what, holds := range map[token.EscrowKind]func(string) bool{
		token.PIVPIN: k.app.HoldsPIN, token.PIVPUK: k.app.HoldsPUK, token.PIVManagementKey: k.holdsManagement,
	} {
		if list, held := k.kept(what); len(list) != 1 || !held || !holds(list[0]) {
			k.t.Errorf("%s: %d kept, seen on the key: %v", what, len(list), held)
		}
	}
	if k.app.HoldsPIN("123456") || k.app.HoldsPUK("12345678") {
		k.t.Error("PIN or PUK are those of a new key")
	}
}

// silent fails if a secret of the store was said, or stands in the clear in its files.
func (k pivKey) silent() {
	k.t.Helper()
	audit, err := k.command("audit", "list", "--last", "0").Output()
	if err != nil {
		k.t.Fatal(err)
	}
	k.all.Write(audit)
	places := map[string]string{"what was said": k.all.String()}
	files, err := filepath.Glob(filepath.Join(k.r.dataDir, "*"))
	if err != nil || len(files) < 2 {
		k.t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		text, err := exec.CommandContext(k.t.Context(), "cat", f).Output() // read here, it would end the locks that SQLite has on it
		if err != nil {
			k.t.Fatal(err)
		}
		places[f] = string(text)
	}
	for _, what := range []token.EscrowKind{token.PIVPIN, token.PIVPUK, token.PIVManagementKey} {
		list, _ := k.kept(what)
		for _, s := range list {
			for where, text := range places {
				if strings.Contains(text, s) && len(s) > 6 || strings.Contains(text, hex.EncodeToString([]byte(s))) || where == "what was said" && strings.Contains(text, s) {
					k.t.Errorf("%s: the %s is there", where, what)
				}
			}
		}
	}
}

// judge runs a foreign program with the readers of this pcscd.
func (k pivKey) judge(want string, env []string, words ...string) {
	k.t.Helper()
	needJudges(k.t, words[0])
	cmd := exec.CommandContext(k.t.Context(), words[0], words[1:]...)
	cmd.Dir, cmd.Env = k.dir, append(append(os.Environ(), k.env), env...)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
		k.t.Errorf("%q: %v\n%s", words, err, out)
	}
}

// renew makes the application new again, as another program could, and has the store forget it.
func (k pivKey) renew() {
	k.t.Helper()
	card := k.key.Card()
	send := func(command ...byte) {
		if _, err := card.Transmit(command); err != nil {
			k.t.Fatal(err)
		}
	}
	send(append([]byte{0, 0xA4, 4, 0, 5}, "\xA0\x00\x00\x03\x08"...)...)
	k.app.Burn(0, 0)
	send(0, 0xFB, 0, 0)
	card.Reset()
	k.app.ResetCounts()
	if !k.app.HoldsPIN("123456") {
		k.t.Fatal("the application was not reset")
	}
	for _, what := range []token.EscrowKind{token.PIVPIN, token.PIVPUK, token.PIVManagementKey} {
		if err := k.st.SettleEscrow(k.t.Context(), k.serial(), what, 0); err != nil {
			k.t.Fatal(err)
		}
	}
}

// typing is a command with text on its standard input.
func (k pivKey) typing(text string, words ...string) *exec.Cmd {
	cmd := k.command(k.words(words...)...)
	cmd.Stdin = io.NopCloser(strings.NewReader(text))
	return cmd
}
