//go:build cgo && !nopcsc

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
)

// TestReaders runs the program over Debian's pcscd, as on a system that shows no USB: it finds two keys in readers and picks one by its serial number,
// takes a typed press as proof, says who may hold a card that another process holds, and finds a key again that restarted.
func TestReaders(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "readers") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := newRig(t, 2)
	r.must("init")
	neo := vkey.New(vkey.YubiKeyNEO, vkey.Options{Serial: 1234567})
	d, err := vpcd.Start(t.Context(), dir, r.key, neo)
	if errors.Is(err, vpcd.ErrMissing) && os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	p := onReaders{t, r, d.Env()}

	p.until("7654321", "device", "list")
	p.until("1234567", "device", "list")
	if said, code := p.run("device", "info"); code != exitAmbiguous || !strings.Contains(said, "--serial 1234567") || strings.Contains(said, "no card") {
		t.Errorf("two keys: exit code %d\n%s", code, said)
	}
	if said, code := p.run("slot", "swap", "--transport", "hidraw"); code != exitDevice || !strings.Contains(said, "--transport ccid") || strings.Contains(said, "is off") {
		t.Errorf("by hidraw: exit code %d\n%s", code, said)
	}
	if said, code := p.run("doctor"); !strings.Contains(said, "Reader "+d.Readers[0]) {
		t.Errorf("doctor: exit code %d\n%s", code, said)
	}
	p.provision()
	r.agree(2, 1)
	if neo.Slot(2).Kind != vkey.Empty {
		t.Error("the other key was written")
	}
	p.until("0405", "device", "config", "--serial", "7654321", "--disable", "fido", "--lock-code", "set", "--yes")
	r.lockedBy(true)
	for _, words := range [][]string{{"--disable", "otp"}, {"--enable", "otp"}} { // the reader's name stays
		if said, code := p.run(append([]string{"device", "config", "--serial", "7654321", "--yes"}, words...)...); code != 0 {
			t.Errorf("%q: exit code %d\n%s", words, code, said)
		}
	}
}

// onReaders is the program as a process of its own, with the smart cards of a pcscd.
type onReaders struct {
	t   *testing.T
	r   *rig
	env string
}

func (p onReaders) command(words ...string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), "readers", append([]string{"--store", p.r.dataDir}, words...)...)
	cmd.Env = append(os.Environ(), p.env, "TOUCH_WAIT=1m")
	return cmd
}

func (p onReaders) run(words ...string) (said string, code exitCode) {
	cmd := p.command(words...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return string(out), exitCode(cmd.ProcessState.ExitCode())
}

// until calls the program until it says what is wanted: pcscd notices cards twice a second.
func (p onReaders) until(want string, words ...string) {
	p.t.Helper()
	for deadline := time.Now().Add(askTime); ; {
		said, code := p.run(words...)
		if strings.Contains(said, want) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%q: exit code %d\n%s\nwant %q", words, code, said, want)
		}
	}
}

// provision writes the first key, touches it, and types for it what it types. While it waits, nobody else gets the card.
func (p onReaders) provision() {
	p.t.Helper()
	cmd := p.command("provision", "--slot", "2", "--serial", "7654321")
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	var all strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintln(&all, lines.Text())
		if !strings.Contains(lines.Text(), "now the key blinks") {
			continue
		}
		if said, code := p.run("device", "info", "--serial", "7654321"); !strings.Contains(said, "scdaemon") && code != exitNotFound {
			p.t.Errorf("while it is held: exit code %d\n%s", code, said)
		}
		fmt.Fprint(in, p.r.typed(2)+"\n")
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(all.String(), "proven by touch") {
		p.t.Fatalf("%v\n%s", err, all.String())
	}
}
