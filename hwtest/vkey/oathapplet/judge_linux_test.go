package oathapplet_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
)

// TestYkman has Debian's ykman 4.0.9, its commands and its library, live through everything on four generations of keys, over a
// pcscd of our own. What it sees is in testdata/life.golden, a line for each: codes of RFC 4226 and 6238, what the firmware cannot,
// refusals, capacity.
func TestYkman(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	demanded := os.Getenv("TOKENDESK_JUDGES") == "1"
	if _, err := exec.LookPath("ykman"); err != nil && !demanded {
		t.Skip(err)
	}
	var keys []*vkey.Key
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey435.At(vkey.Version{Major: 4, Minor: 3, Build: 4}), vkey.YubiKey543, vkey.YubiKey571} {
		k := vkey.New(p, vkey.Options{Serial: 7654321})
		oathapplet.Install(k, oathapplet.Options{})
		k.OnTouchWait(func() bool { return true })
		keys = append(keys, k)
	}
	dir, err := os.MkdirTemp("", "oathlife") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d, err := vpcd.Start(t.Context(), dir, keys...)
	if errors.Is(err, vpcd.ErrMissing) && !demanded {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{"testdata/life.py"}, d.Readers...)...)
	cmd.Env = append(os.Environ(), d.Env(), "HOME="+dir, "PYTHONDONTWRITEBYTECODE=1")
	said, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	want, readErr := os.ReadFile("testdata/life.golden")
	if err := errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	if string(said) != string(want) {
		t.Errorf("ykman saw\n%swant\n%s", said, want)
	}
}
