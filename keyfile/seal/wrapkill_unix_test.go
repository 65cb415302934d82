//go:build unix

package seal

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// rewritingEnv names the file that a process of this test rewrites until it is killed.
const rewritingEnv = "SEAL_REWRITING"

func TestMain(m *testing.M) {
	if path := os.Getenv(rewritingEnv); path != "" {
		fmt.Fprintln(os.Stderr, rewriteOn(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// rewriteOn wraps, adds a version, takes the old ones away and unwraps, on and on. It says each step that is done.
func rewriteOn(path string) error {
	private, err := ecdh.P256().NewPrivateKey([]byte("this key is in a test, nowhere..")) // 32 bytes
	if err != nil {
		return err
	}
	card := &softCard{PrivateKey: private, serial: 7}
	for {
		f := NewFile(path, card.unlock)
		k, err := f.Load()
		if err != nil {
			return err
		}
		next, err := f.AddVersion(k.Version(), rand.Reader)
		if err != nil {
			return err
		}
		_, keep := f.KeepVersion(next.Version(), rand.Reader)
		wrap := f.SetRecipients(rand.Reader, func(now []Recipient) ([]Recipient, error) {
			if len(now) > 0 {
				return nil, nil
			}
			return []Recipient{card.recipient()}, nil
		})
		if err := errors.Join(keep, wrap); err != nil {
			return err
		}
		fmt.Println(next.Version())
	}
}

// TestKilledWhileRewriting kills such a process again and again, a little later each time: the file is always whole, and the same key's. What it
// leaves behind goes with the next change.
func TestKilledWhileRewriting(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sealing.key")
	first, err := CreateFile(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdh.P256().NewPrivateKey([]byte("this key is in a test, nowhere.."))
	if err != nil {
		t.Fatal(err)
	}
	card := &softCard{PrivateKey: private, serial: 7}
	version := first.Version()
	for round := range 20 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), rewritingEnv+"="+path)
		said, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := said.Read(make([]byte, 1)); err != nil { // it has begun
			t.Error(err)
		}
		busy := time.Now()
		for time.Since(busy) < time.Duration(round)*150*time.Microsecond { // into another step each time
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
		k := mustLoad(t, NewFile(path, card.unlock), first)
		if k.Version() <= version {
			t.Fatalf("round %d: version %d after %d", round, k.Version(), version)
		}
		version = k.Version()
	}
	if err := NewFile(path, card.unlock).SetRecipients(rand.Reader, set()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}
