package vpcd

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// envJudges with 1 demands the programs of Debian that judge our own.
const envJudges = "TOKENDESK_JUDGES"

// startFor runs a private pcscd, or skips the test where Debian's packages are missing.
func startFor(t *testing.T, keys ...*vkey.Key) *Daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "vpcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d, err := Start(t.Context(), dir, keys...)
	if errors.Is(err, ErrMissing) && os.Getenv(envJudges) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if t.Failed() {
			t.Logf("pcscd said:\n%s", d.Log())
		}
	})
	return d
}

// until runs Debian's client until it says what is wanted.
func until(t *testing.T, d *Daemon, want string, args ...string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Env = append(os.Environ(), d.Env(), "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v: %v\n%s\nwant %q", args, err, out, want)
		}
	}
}

// TestPCSCD: Debian's ykman, over a pcscd of our own, sees two virtual keys by their readers, and the one that is left
// when the other is pulled out.
func TestPCSCD(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ykman"); err != nil && os.Getenv(envJudges) != "1" {
		t.Skip(err)
	}
	one := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
	neo := vkey.New(vkey.YubiKeyNEO, vkey.Options{Serial: 1234567})
	d := startFor(t, one, neo)
	if want := []string{"Yubico YubiKey OTP+FIDO+CCID 00 00", "Yubico Yubikey NEO OTP+U2F+CCID (2) 00 00"}; d.Readers[0] != want[0] || d.Readers[1] != want[1] {
		t.Fatalf("readers %q, want %q", d.Readers, want)
	}
	until(t, d, "7654321", "ykman", "--reader", d.Readers[0], "info")
	until(t, d, "Slot 1: empty", "ykman", "--reader", d.Readers[0], "otp", "info")
	until(t, d, "1234567", "ykman", "--reader", d.Readers[1], "info")
	one.Unplug()
	until(t, d, "No smart card inserted", "ykman", "--reader", d.Readers[0], "info")
	one.Plug()
	until(t, d, "7654321", "ykman", "--reader", d.Readers[0], "info")
}
