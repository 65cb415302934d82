//go:build unix

package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/socket"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// childEnv names the act of a process that a test starts, on the station in the directory STATION and the key behind KEYSOCKET, which
// TOUCHSOCKET touches. It kills itself at the step STOP_AT.
const childEnv = "JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if act := os.Getenv(childEnv); act != "" {
		if err := child(act); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// counted is a process's steps: what lasts in the station's files, and each report to the key.
type counted struct{ seen, stop int }

func (c *counted) step(string) {
	if c.seen++; c.seen == c.stop {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

type steppingDevice struct {
	usbhid.Device
	c *counted
}

func (d steppingDevice) GetFeature(ctx context.Context) (usbhid.Report, error) {
	d.c.step("get")
	return d.Device.GetFeature(ctx)
}

func (d steppingDevice) SetFeature(ctx context.Context, r usbhid.Report) error {
	d.c.step("set")
	return d.Device.SetFeature(ctx, r)
}

// touchedKey is touched when somebody waits for it.
type touchedKey struct{ provision.Key }

func (k touchedKey) Press(ctx context.Context, length int) (string, error) {
	c, err := net.Dial("unix", os.Getenv("TOUCHSOCKET"))
	if err != nil {
		return "", err
	}
	if err := c.Close(); err != nil {
		return "", err
	}
	return k.Key.Press(ctx, length)
}

func child(act string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	stop, _ := strconv.Atoi(os.Getenv("STOP_AT"))
	steps := &counted{stop: stop}
	s, err := Open(os.Getenv("STATION"), Options{Now: time.Now, Rand: rand.Reader, Operator: "olga", step: steps.step})
	if err != nil {
		return err
	}
	conn, err := socket.Dial(ctx, "unix", os.Getenv("KEYSOCKET"))
	if err != nil {
		return err
	}
	session, err := ykslot.Open(ctx, steppingDevice{conn, steps}, nil)
	if err != nil {
		return err
	}
	dev := touchedKey{provision.Key{Session: session, Input: conn}}
	r := provision.Runner{Ledger: s, Rand: rand.Reader, Now: time.Now, TouchWait: time.Minute}
	if act == "resume" {
		open, err := s.Open(ctx)
		if err != nil {
			return err
		}
		for _, e := range open {
			if _, err := r.Resume(ctx, dev, e); err != nil {
				return err
			}
		}
		return nil
	}
	plan, err := provision.BuildPlan(
		provision.Spec{Slot: 2, Holder: &token.Person{ID: 1, Account: "ada"}, PublicID: provision.FromSerial, AccessCode: provision.RandomCode, Verify: token.ByTouch,
			Handover: token.Handover{IDCheck: token.ByStaffCard}},
		provision.Have{Serial: 501, Version: session.Status().Version})
	if err != nil {
		return err
	}
	_, err = r.Run(ctx, dev, plan)
	return err
}

// bench is a station and a key that outlive the processes that use them.
type bench struct {
	*rig
	key     *vkey.Key
	sockets string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{rig: newRig(t), key: vkey.New(vkey.YubiKey543, vkey.Options{Serial: 501})}
	b.snapshot.Until, b.snapshot.Grant = time.Now().Add(time.Hour), 2
	b.install()
	var err error
	if b.sockets, err = os.MkdirTemp("", "key"); err != nil { // short: the path of a Unix socket has 107 bytes at most
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	keys, err := net.Listen("unix", filepath.Join(b.sockets, "key"))
	if err != nil {
		t.Fatal(err)
	}
	touches, err := net.Listen("unix", filepath.Join(b.sockets, "touch"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	go func() { _ = socket.Serve(ctx, keys, b.key); done <- struct{}{} }()
	go func() {
		for {
			c, err := touches.Accept()
			if err != nil {
				done <- struct{}{}
				return
			}
			b.key.Touch(2)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = touches.Close()
		<-done
		<-done
		_ = os.RemoveAll(b.sockets)
	})
	return b
}

// run is false if the process was killed.
func (b *bench) run(act string, stop int) bool {
	b.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(b.t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+act, "STATION="+b.dir, "KEYSOCKET="+filepath.Join(b.sockets, "key"), "TOUCHSOCKET="+filepath.Join(b.sockets, "touch"),
		fmt.Sprint("STOP_AT=", stop))
	said, err := cmd.CombinedOutput()
	b.released()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return false
	}
	b.t.Fatalf("%s: %v: %s", act, err, said)
	return false
}

// released waits until the server of the key has noticed that nobody holds it.
func (b *bench) released() {
	b.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 60000 {
		if c, err := b.key.Open(); err == nil {
			_ = c.Close() // it was only asked for
			return
		}
		<-tick.C
	}
	b.t.Fatal("the key is still held")
}

// agree fails unless the journal, as the server reads it, and the key agree: one write at most, nothing open, nothing left that the station
// can open, and the key holds just the secrets that are sealed to the server.
func (b *bench) agree() {
	b.t.Helper()
	f, err := Parse(b.text(), nil)
	if err != nil || f.Cause != nil {
		b.t.Fatal(err, f.Cause)
	}
	all, err := f.Entries()
	if err != nil || len(all) > 1 || b.escrowed() != 0 {
		b.t.Fatalf("%d writes, %d secrets left, %v", len(all), b.escrowed(), err)
	}
	empty := b.key.Slot(2).Kind == vkey.Empty
	switch {
	case len(all) == 0 && empty:
		return
	case len(all) == 0, all[0].Phase.Open(), (all[0].Phase == token.Committed) == empty:
		b.t.Fatalf("the key is empty: %v; the journal: %+v", empty, all)
	case empty:
		return
	}
	s, err := f.Open(b.transfer, all[0])
	if err != nil || !b.key.Holds(2, append(append([]byte{}, s.Key.Reveal()...), s.PrivateID.Reveal()...)) || !b.key.HoldsAccessCode(2, [6]byte(s.AccessCode.Reveal())) {
		b.t.Fatalf("the key holds another secret than the server can open: %v", err)
	}
	if all[0].Receipt != 1 || all[0].Proof == nil {
		b.t.Errorf("%+v", all[0])
	}
}

// TestKillAnywhere kills a station with SIGKILL, as a process of its own, before every step of a write; a new process resumes, is killed
// too, and another one ends it.
func TestKillAnywhere(t *testing.T) {
	t.Parallel()
	stride := 1
	if testing.Short() {
		stride = 9
	}
	for n := 1; ; n += stride {
		b := newBench(t)
		if b.run("write", n) {
			b.agree()
			t.Logf("%d steps", n-1)
			if n < 40 {
				t.Fatal("too few steps were seen")
			}
			return
		}
		b.run("resume", 1+n*7%40)
		if !b.run("resume", 0) {
			t.Fatalf("step %d: it did not end", n)
		}
		t.Run(fmt.Sprint("step ", n), func(t *testing.T) { b.t = t; b.agree() })
	}
}
