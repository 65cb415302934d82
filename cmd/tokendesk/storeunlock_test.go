package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

// pins are the ones that are typed, in order, and how often somebody was asked.
type pins struct {
	typed []string
	asked int
}

// newUnlockRig is a rig with two YubiKeys that have no slots, and somebody who types PINs.
func newUnlockRig(t *testing.T) (*rig, *pins, *fakePIV, *fakePIV) {
	r := newRig(t, 2)
	one, two := newFakePIV(11), newFakePIV(22)
	two.absent = true
	r.bus = pivBench{keys: []*fakePIV{one, two}}
	p := &pins{}
	r.stdinTTY = true
	r.readSecret = func(context.Context) (string, error) {
		p.asked++
		next := p.typed[0]
		p.typed = p.typed[1:]
		return next, nil
	}
	return r, p, one, two
}

func (r *rig) types(p *pins, words ...string) { p.typed, p.asked = words, 0 }

// ends runs the program, and wants an exit code, and what it says since.
func (r *rig) ends(code exitCode, says string, words ...string) {
	r.t.Helper()
	r.err.Reset()
	if got := r.run(words...); got != code || !strings.Contains(r.err.String(), says) {
		r.t.Fatalf("tokendesk %s: exit code %d, want %d and %q\n%s", strings.Join(words, " "), got, code, says, r.err.String())
	}
}

func (r *rig) sealingPath() string { return filepath.Join(r.dataDir, sealingFile) }

// TestUnlock walks through the life of a store whose sealing key opens with a YubiKey only.
func TestUnlock(t *testing.T) {
	t.Parallel()
	r, p, one, two := newUnlockRig(t)
	r.ends(exitUsage, "is unknown", "init", "--unlock", "tpm")
	r.ends(exitUsage, "add --unlock piv", "init", "--serial", "11")
	r.types(p, "hq41zn", "hq41zn")
	r.ends(exitDone, "opens only with key 11", "init", "--unlock", "piv")
	if one.pin != "hq41zn" || one.keys[unlockSlot] == nil || one.policy != piv.PINOnce {
		t.Fatal("the key was not prepared")
	}
	if text, err := os.ReadFile(r.sealingPath()); err != nil || !strings.HasPrefix(string(text), "tokendesk-wrapped-key:1\npiv:11:9d:") {
		t.Fatalf("the file is %.60q", text)
	}
	r.types(p, "hq41zn")
	one.verified, one.agreed = 0, 0
	r.ends(exitDone, "", "person", "add", "ada", "--name", "Ada")
	if one.verified != 1 || one.agreed != 1 || p.asked != 1 {
		t.Errorf("one command: %d PINs, %d uses, asked %d times", one.verified, one.agreed, p.asked)
	}
	r.ends(exitDone, "", "store", "unlock", "list") // needs no key
	if p.asked != 1 || !strings.Contains(r.out.String(), "9d") {
		t.Error("the list asks for a PIN, or is empty")
	}

	// The second key; then the first is lost.
	two.absent = false
	r.types(p, "hq41zn", "kw82pd", "kw82pd")
	r.ends(exitDone, "key 22 opens the sealing key; 2 keys do now", "store", "unlock", "add", "--serial", "22")
	r.types(p, "hq41zn")
	r.ends(exitRefused, "key 22 opens the sealing key already", "store", "unlock", "add", "--serial", "22")
	one.absent = true
	r.types(p, "kw82pd")
	r.ends(exitDone, "key 11 does not open the sealing key any more", "store", "unlock", "remove", "11")
	r.types(p, "kw82pd")
	r.ends(exitRefused, "the last", "store", "unlock", "remove", "22")
	r.types(p, "kw82pd")
	r.ends(exitNotFound, "does not open", "store", "unlock", "remove", "11")
	one.absent, two.absent = false, true
	r.ends(exitNotFound, "22", "person", "list")

	// The sealing key is changed, and the store travels.
	two.absent = false
	r.types(p, "kw82pd")
	two.verified = 0
	r.ends(exitDone, "sealed with version 2", "store", "rekey")
	if two.verified != 1 || p.asked != 1 {
		t.Errorf("rekey tried %d PINs and asked %d times", two.verified, p.asked)
	}
	r.types(p, "kw82pd")
	r.ends(exitDone, "version 2 only", "store", "rekey", "--finish")
	recipient, identity := r.backupKeys()
	backup := filepath.Join(t.TempDir(), "backup")
	r.types(p, "kw82pd")
	r.ends(exitDone, "encrypted by age", "store", "backup", "--recipient", recipient, "--out", backup)
	place := r.newPlace()
	r.types(p, "kw82pd")
	r.ends(exitDone, "the store is as it was", "store", "restore", backup, "--identity", identity, "--store", place)
	r.types(p, "kw82pd")
	r.ends(exitDone, "", "person", "show", "ada", "--store", place)
	copied := filepath.Join(t.TempDir(), "copy")
	r.types(p, "kw82pd")
	r.ends(exitDone, "go on with", "store", "copy", "--to", copied, "--yes", "--store", place)
	r.recover(p, one, two, recipient, identity)
	for _, pin := range []string{"hq41zn", "kw82pd"} {
		if strings.Contains(r.out.String()+r.err.String(), pin) {
			t.Error("a PIN was said")
		}
	}
}

// recover goes on after every YubiKey was lost, by the recovery copy.
func (r *rig) recover(p *pins, one, two *fakePIV, recipient, identity string) {
	t := r.t
	rescue := filepath.Join(t.TempDir(), "rescue.age")
	r.types(p, "kw82pd")
	r.ends(exitDone, "encrypted by age", "store", "unlock", "copy", "--recipient", recipient, "--out", rescue)
	one.absent, two.absent = true, true
	plain := r.decrypted(rescue, identity)
	if err := os.WriteFile(r.sealingPath(), plain, 0o600); err != nil {
		t.Fatal(err)
	}
	r.ends(exitDone, "", "person", "show", "ada")
	one.absent = false
	r.types(p, "hq41zn")
	r.ends(exitDone, "change the key now", "store", "unlock", "add")
	r.types(p, "hq41zn")
	r.ends(exitDone, "is plain", "store", "unlock", "plain", "--yes")
	r.ends(exitDone, "is plain already", "store", "unlock", "plain", "--yes")
	if now, err := os.ReadFile(r.sealingPath()); err != nil || !bytes.Equal(now, plain) {
		t.Error("the plain file is another")
	}
	r.ends(exitDone, "", "audit", "verify")
	r.out.Reset()
	r.must("audit", "list", "-o", "json")
	for _, what := range []string{"store.unlock.add", "store.unlock.remove", "store.unlock.copy", "store.unlock.plain"} {
		if !strings.Contains(r.out.String(), what) {
			t.Errorf("no event %s", what)
		}
	}
}

// decrypted opens an age file.
func (r *rig) decrypted(name, identity string) []byte {
	r.t.Helper()
	a := &app{env: &r.env}
	in, err := a.openInput(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer in.Close()
	text, ended, err := a.openBackup(r.t.Context(), in, opening{identity: identity})
	if err != nil {
		r.t.Fatal(err)
	}
	defer ended()
	var out bytes.Buffer
	if _, err := out.ReadFrom(text); err != nil {
		r.t.Fatal(err)
	}
	return out.Bytes()
}

// TestUnlockPIN: a PIN is tried once. None is tried where that would be one too many.
func TestUnlockPIN(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	file := filepath.Join(t.TempDir(), "pin")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tried := func(want int, left int) {
		t.Helper()
		if one.verified != want || one.left != left {
			t.Errorf("%d PINs were tried and %d tries are left, want %d and %d", one.verified, one.left, want, left)
		}
		one.verified = 0
	}
	one.verified = 0
	r.types(p, "wrong1")
	r.ends(exitRefused, "wrong PIN: 2 tries left", "person", "list")
	tried(1, 2)
	write("hq41zn\n")
	r.ends(exitRefused, "2 of 3 tries are left", "person", "list", "--unlock-pin-file", file) // it might be the wrong one
	tried(0, 2)
	r.types(p, "hq41zn")
	r.ends(exitDone, "the store opens", "store", "unlock", "test")
	tried(1, 3)
	r.stdinTTY = false
	r.ends(exitDone, "", "person", "list", "--unlock-pin-file", file)
	tried(1, 3)
	write("wrong2\n")
	r.ends(exitRefused, "2 tries left", "person", "list", "--unlock-pin-file", file)
	tried(1, 2)
	r.ends(exitRefused, "is not tried", "person", "list", "--unlock-pin-file", file) // as a service that is started again
	tried(0, 2)
	r.ends(exitRefused, "nobody can be asked", "person", "list")
	tried(0, 2)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	one.left = 3
	r.ends(exitRefused, "open to others", "person", "list", "--unlock-pin-file", file)
	tried(0, 3)
	r.stdinTTY = true
	one.left = 1
	r.types(p, "hq41zn")
	r.stdin = strings.NewReader("n\n")
	r.ends(exitRefused, "not confirmed", "person", "list")
	tried(0, 1)
	r.types(p, "hq41zn")
	r.stdin = strings.NewReader("y\n")
	r.ends(exitDone, "last try", "person", "list")
	tried(1, 3)
	one.left = 0
	r.ends(exitRefused, "blocked", "person", "list")
	tried(0, 0)
	one.left, one.firmware = 2, ykslot.Version{Major: 4, Minor: 3, Patch: 7} // tells no total
	write("hq41zn\n")
	_ = os.Chmod(file, 0o600)
	r.ends(exitRefused, "2 of 3 tries are left", "person", "list", "--unlock-pin-file", file)
	one.left = 3
	r.ends(exitDone, "", "person", "list", "--unlock-pin-file", file)
	tried(1, 3)
	p.asked = 0
	if r.run("__complete", "provision", "--to", ""); p.asked > 0 || one.verified > 0 {
		t.Error("completing a word asks for a PIN")
	}
}

// TestUnlockAgain: a program that runs reads the file again without its YubiKey, unless others open it since.
func TestUnlockAgain(t *testing.T) {
	t.Parallel()
	r, p, one, two := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	server := func() *seal.File {
		a := &app{env: &r.env, store: r.dataDir}
		paths, err := a.paths()
		if err != nil {
			t.Fatal(err)
		}
		f := a.keyFile(t.Context(), paths)
		r.types(p, "hq41zn")
		if _, err := f.Load(); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := server()
	r.types(p, "hq41zn")
	r.must("store", "rekey")
	one.verified, one.absent = 0, true
	if k, err := f.Load(); err != nil || k.Version() != 2 || one.verified > 0 {
		t.Errorf("version %d, %d PINs: %v", k.Version(), one.verified, err)
	}
	one.absent, two.absent = false, false
	r.types(p, "hq41zn", "kw82pd", "kw82pd")
	r.must("store", "unlock", "add", "--serial", "22")
	one.verified, two.verified = 0, 0
	one.absent = true
	if _, err := f.Load(); err == nil {
		t.Error("the new file key is known")
	}
	if two.left != 3 || two.verified > 0 {
		t.Errorf("one key's PIN was tried on another: %d, %d tries left", two.verified, two.left)
	}
	one.absent = false
	one.pin = "other1" // somebody changed it
	for range 3 {
		if _, err := f.Load(); err == nil || one.verified != 1 || one.left != 2 {
			t.Errorf("a refused PIN: %d were tried, %d tries left, %v", one.verified, one.left, err)
		}
	}
	one.pin, one.left = "hq41zn", 3
	f = server()
	two.absent = true
	r.types(p, "hq41zn")
	r.must("store", "unlock", "remove", "22")
	one.verified, p.asked = 0, 0
	if _, err := f.Load(); err != nil || one.verified != 1 || p.asked != 0 {
		t.Errorf("with its key attached: %d PINs, asked %d times: %v", one.verified, p.asked, err)
	}
}

// TestUnlockRefuses: what is on a YubiKey and not ours stays, and a key that gives no protection is not used.
func TestUnlockRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*fakePIV)
		typed  []string
		code   exitCode
		says   string
	}{
		"imported":     {func(k *fakePIV) { k.make(t); k.imported = true; k.pin = "hq41zn" }, []string{"hq41zn"}, exitRefused, "was not generated on it"},
		"no PIN":       {func(k *fakePIV) { k.make(t); k.policy = piv.PINNever; k.pin = "hq41zn" }, []string{"hq41zn"}, exitRefused, "needs no PIN"},
		"used already": {func(k *fakePIV) { k.make(t); k.pin = "hq41zn" }, []string{"hq41zn"}, exitDone, "holds a key already"},
		"wrong PIN":    {func(k *fakePIV) { k.pin = "hq41zn" }, []string{"wrong1"}, exitError, "2 tries left"},
		"last try":     {func(k *fakePIV) { k.pin = "hq41zn"; k.left = 1 }, []string{"hq41zn"}, exitError, "was not used"},
		"blocked":      {func(k *fakePIV) { k.left = 0; k.pin = "hq41zn" }, nil, exitError, "blocked"},
		"PIN of all":   {func(k *fakePIV) { k.firmware = ykslot.Version{Major: 4, Minor: 3} }, []string{"123456"}, exitRefused, "PIN of every new key"},
		"simple PIN":   {nil, []string{"111111"}, exitError, "tried first"},
		"two PINs":     {nil, []string{"hq41zn", "hq41zm"}, exitUsage, "differ"},
		"no serial":    {func(k *fakePIV) { k.serial = 0 }, nil, exitRefused, "serial number"},
		"not attached": {func(k *fakePIV) { k.absent = true }, nil, exitNotFound, "no YubiKey"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, p, one, _ := newUnlockRig(t)
			if c.change != nil {
				c.change(one)
			}
			r.types(p, c.typed...)
			code := r.run("init", "--unlock", "piv")
			if wrong := c.code == exitError && code == exitDone || c.code != exitError && code != c.code; wrong || !strings.Contains(r.err.String(), c.says) {
				t.Errorf("exit code %d\n%s", code, r.err.String())
			}
			if one.verified > 1+len(c.typed) {
				t.Errorf("%d PINs were tried", one.verified)
			}
			if _, err := os.Lstat(r.sealingPath()); (err == nil) != (code == exitDone) {
				t.Errorf("the file: %v", err)
			}
		})
	}
}

func (k *fakePIV) make(t *testing.T) {
	c := &fakeCard{k: k}
	if _, err := c.Generate(t.Context(), piv.DefaultManagementKey(), unlockSlot, piv.KeySpec{PIN: piv.PINOnce}); err != nil {
		t.Fatal(err)
	}
}

// TestUnlockRefusedOnce: a process that was refused does not try again, also when all tries are there again.
func TestUnlockRefusedOnce(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	a := &app{env: &r.env, store: r.dataDir}
	a.unlocking.pinFile = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(a.unlocking.pinFile, []byte("wrong1"), 0o600); err != nil {
		t.Fatal(err)
	}
	paths, err := a.paths()
	if err != nil {
		t.Fatal(err)
	}
	one.verified = 0
	for range 3 {
		if _, err := a.keyFile(t.Context(), paths).Load(); err == nil || one.verified != 1 {
			t.Errorf("%d PINs were tried: %v", one.verified, err)
		}
		one.left = 3
	}
}

// TestUnlockSparesOpener: a batch or a desk does not write the very key that its store opens with.
func TestUnlockSparesOpener(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	a := &app{env: &r.env, store: r.dataDir}
	i := &intake{a: a, openers: []token.Serial{rigSerial}}
	all, err := r.bus.find()
	if err != nil {
		t.Fatal(err)
	}
	var unwanted *batch.UnwantedError
	if _, err := i.open(t.Context(), a, all[0], auto); !errors.As(err, &unwanted) || unwanted.Reason != token.AsideOpensStore || unwanted.Serial != rigSerial {
		t.Errorf("admitted: %v", err)
	}
	i.openers[0]++
	k, err := i.open(t.Context(), a, all[0], auto)
	if err != nil {
		t.Fatal(err)
	}
	k.close()

	r, pins, _, _ := newUnlockRig(t)
	r.types(pins, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	a = &app{env: &r.env, store: r.dataDir}
	r.types(pins, "hq41zn")
	err = a.withStore(t.Context(), func(st *sqlstore.Store) (err error) {
		i, err = a.newIntake(t.Context(), st)
		return err
	})
	if err != nil || len(i.openers) != 1 || i.openers[0] != 11 || i.required {
		t.Errorf("%+v, %v", i, err)
	}
}
