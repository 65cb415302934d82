package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// backupKeys is a pair of age keys; the secret one is in a file.
func (r *rig) backupKeys() (recipient, identity string) {
	r.t.Helper()
	identity = filepath.Join(r.t.TempDir(), "identity.txt")
	if err := os.WriteFile(identity, []byte("AGE-SECRET-KEY-1D3MGYV5U2W3LYW8U22H25CJNF68DGM6HPN8HRU92RP74TD0DQ6SSRNJRQ6\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return "age1tuhuyspenp28g9xv0pau56r8kdrhqxew52g7k244y7k6zxw4gvnsgvwc3d", identity
}

// newPlace is an empty directory with the store's keys.
func (r *rig) newPlace() string {
	r.t.Helper()
	dir := r.t.TempDir()
	for _, name := range []string{sealingFile, signingFile} {
		text, err := os.ReadFile(filepath.Join(r.dataDir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return dir
}

// TestBackupKilled kills a backup at random, and interrupts it: under its name there is a whole one or none.
func TestBackupKilled(t *testing.T) {
	t.Parallel()
	rounds := 30
	if testing.Short() {
		rounds = 6
	}
	r := newRig(t, 2)
	r.must("init")
	var list strings.Builder
	list.WriteString("account,name\n")
	for n := range 3000 {
		fmt.Fprintf(&list, "user%d,Name of %d\n", n, n)
	}
	r.stdin = strings.NewReader(list.String())
	r.must("person", "import", "-")
	recipient, identity := r.backupKeys()
	dir, whole, cut := t.TempDir(), 0, 0
	for n := range rounds {
		out := filepath.Join(dir, fmt.Sprint(n))
		cmd := r.program("", 0, "store", "backup", "--recipient", recipient, "--out", out)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		signal := []os.Signal{syscall.SIGKILL, os.Interrupt}[n%2]
		after := time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Signal(signal) })
		err := cmd.Wait()
		after.Stop()
		_, missing := os.Stat(out)
		switch {
		case errors.Is(missing, fs.ErrNotExist) && err != nil:
			cut++
		case missing != nil:
			t.Errorf("round %d: %v, and it is not there", n, err)
		default:
			whole++
			r.must("store", "restore", out, "--identity", identity, "--store", r.newPlace())
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".*.partial")); signal == os.Interrupt && len(left) > 0 {
			t.Errorf("round %d: an interrupted backup left %v", n, left)
		} else {
			for _, name := range left {
				if err := os.Remove(name); err != nil {
					t.Error(err)
				}
			}
		}
	}
	t.Logf("%d whole, %d broken off", whole, cut)
	r.must("audit", "verify")
	r.must("store", "backup", "--recipient", recipient, "--out", filepath.Join(dir, "last"))
}

// TestAcceptedLog: a server that is killed, a backup of before, and the server's log: what was answered does not count again, and the
// next one-time password does. Without the log nothing is accepted at once.
func TestAcceptedLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	recipient, identity := r.backupKeys()
	log, out := filepath.Join(t.TempDir(), "accepted.log"), filepath.Join(t.TempDir(), "backup")
	c := r.client("vpn")
	s := r.serve("--accepted-log", log)
	r.must("store", "backup", "--recipient", recipient, "--out", out)
	var spent []string
	for range 3 {
		otp := r.typed(2)
		if got := r.ask(c, s, otp); got != "OK" {
			t.Fatal(got)
		}
		spent = append(spent, otp)
		r.key.Unplug() // between two logins; three in a row would be a pair and one more
		r.key.Plug()
	}
	if _, code := s.stop(t, syscall.SIGKILL); code == 0 {
		t.Error("it was not killed")
	}
	next := r.typed(2)
	for name, tc := range map[string]struct {
		flags []string
		want  exitCode
	}{
		"with the log":    {[]string{"--accepted-log", log, "--all-logs"}, exitDone},
		"without a word":  {[]string{"--accepted-log", log}, exitVerify},
		"without the log": {nil, exitVerify},
	} {
		place := r.newPlace()
		r.must(append([]string{"store", "restore", out, "--identity", identity, "--store", place}, tc.flags...)...)
		for _, otp := range append(spent, next) {
			want := exitVerify
			if otp == next {
				want = tc.want
			}
			r.stdin = strings.NewReader(otp)
			if code := r.run("verify", "--store", place); code != want {
				t.Errorf("%s: exit code %d, want %d\n%s", name, code, want, r.err.String())
			}
		}
	}
	r.wants(exitNotFound, "store", "restore", out, "--identity", identity, "--store", r.newPlace(), "--accepted-log", log+".none")
	r.wants(exitUsage, "store", "restore", out, "--identity", identity, "--store", r.newPlace(), "--all-logs")
}
