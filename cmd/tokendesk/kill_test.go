package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// stopMark is what a program says when it has reached the step at which it is to be killed.
const stopMark = "@@stopped"

// stopper counts every use that the program makes of the world outside: reports, the clock, randomness, what it says. Before
// the n-th it says stopMark and waits to be killed.
type stopper struct {
	n    int64
	seen atomic.Int64
	say  io.Writer
}

func (s *stopper) step() {
	if s.seen.Add(1) == s.n {
		fmt.Fprintln(s.say, stopMark)
		select {}
	}
}

// stopAt puts a stopper into the environment if the variable STOP_AT names a step.
func stopAt(e *env) {
	n, err := strconv.ParseInt(os.Getenv("STOP_AT"), 10, 64)
	if err != nil {
		return
	}
	s := &stopper{n: n, say: e.stderr}
	now, random, errOut := e.now, e.rand, e.stderr
	e.now = func() time.Time { s.step(); return now() }
	e.rand = readFunc(func(b []byte) (int, error) { s.step(); return random.Read(b) })
	e.stderr = writeFunc(func(b []byte) (int, error) { s.step(); return errOut.Write(b) })
	e.bus = stoppingBus{e.bus, s}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(b []byte) (int, error) { return f(b) }

type stoppingBus struct {
	bus
	s *stopper
}

func (b stoppingBus) open(ctx context.Context, k usbhid.Attached, t transport) (usbhid.Device, error) {
	d, err := b.bus.open(ctx, k, t)
	if err != nil {
		return nil, err
	}
	return stoppingDevice{d, b.s}, nil
}

// cards and openCard make it a bus with smart cards, if the other one is.
func (b stoppingBus) cards(ctx context.Context) ([]usbhid.Attached, error) {
	return b.bus.(cardBus).cards(ctx)
}

func (b stoppingBus) openCard(ctx context.Context, k usbhid.Attached) (heldCard, error) {
	c, err := b.bus.(cardBus).openCard(ctx, k)
	if err != nil {
		return nil, err
	}
	return stoppingCard{c, b.s}, nil
}

type stoppingCard struct {
	heldCard
	s *stopper
}

func (c stoppingCard) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c.s.step()
	return c.heldCard.Transmit(ctx, command)
}

type stoppingDevice struct {
	usbhid.Device
	s *stopper
}

func (d stoppingDevice) GetFeature(ctx context.Context) (usbhid.Report, error) {
	d.s.step()
	return d.Device.GetFeature(ctx)
}

func (d stoppingDevice) SetFeature(ctx context.Context, r usbhid.Report) error {
	d.s.step()
	return d.Device.SetFeature(ctx, r)
}

func (d stoppingDevice) ReadInput(ctx context.Context) (usbhid.Report, error) {
	r, err := d.Device.ReadInput(ctx)
	if r[2] == enterKey { // the touch is complete
		d.s.step()
	}
	return r, err
}

// TestKillAnywhere kills the program, as a process of its own, before every use that a provisioning run makes of the
// world outside, and resumes with a new process.
func TestKillAnywhere(t *testing.T) {
	t.Parallel()
	for _, s := range situations[:2] {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				r := newRig(t, s.slot)
				r.must("init")
				if s.first != nil {
					r.must(s.first...)
				}
				keys := serveKey(t, r)
				if !r.killed(keys, s.slot, n, s.again...) {
					r.agree(s.slot, s.drawn)
					t.Logf("%d steps", n-1)
					if n < 40 {
						t.Fatal("too few steps were seen")
					}
					return
				}
				if code := r.child(keys, s.slot, "provision", "resume"); code != 0 {
					t.Fatalf("step %d: resume: exit code %d", n, code)
				}
				t.Run(fmt.Sprint("step ", n), func(t *testing.T) { r.t = t; r.agree(s.slot, s.drawn) })
			}
		})
	}
}

// serveKey serves the rig's key to other processes, and returns the directory to name in KEYS.
func serveKey(t *testing.T, r *rig) string { return plugKey(t, r).dir }

// plugKey serves the rig's key to other processes, in port a.
func plugKey(t *testing.T, r *rig) *keyring {
	t.Helper()
	ring, err := newKeyring()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.close)
	if err := ring.plug("a", r.key, plugged{Driver: "usbhid"}); err != nil {
		t.Fatal(err)
	}
	return ring
}

// program is the program as a process of its own.
func (r *rig) program(keys string, slot int, words ...string) *exec.Cmd {
	where := []string{"--store", r.dataDir}
	if r.getenv(storeVariable) != "" {
		where = []string{"--key", filepath.Join(r.dataDir, sealingFile)}
	}
	cmd := exec.CommandContext(r.t.Context(), "tokendesk", append(where, words...)...)
	touch := strings.Repeat(fmt.Sprint(slot, " "), 4)
	cmd.Env = append(os.Environ(), "KEYS="+keys, "TOUCH="+touch, "HOME="+filepath.Dir(r.dataDir), "CLOCK="+r.clockFile(), storeVariable+"="+r.getenv(storeVariable))
	return cmd
}

// killed runs the program until it stops before its n-th step, and kills it. False: it came to its end before.
func (r *rig) killed(keys string, slot, n int, words ...string) bool {
	r.t.Helper()
	cmd := r.program(keys, slot, words...)
	cmd.Env = append(cmd.Env, fmt.Sprint("STOP_AT=", n))
	return r.stopped(cmd, n)
}

// stopped is killed for a program that was made ready.
func (r *rig) stopped(cmd *exec.Cmd, n int) bool {
	r.t.Helper()
	said, err := cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for in := bufio.NewScanner(said); in.Scan(); {
		if in.Text() != stopMark {
			fmt.Fprintln(&r.err, in.Text())
			continue
		}
		if err := cmd.Process.Kill(); err != nil {
			r.t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		r.released()
		return true
	}
	if err := cmd.Wait(); err != nil {
		r.t.Fatalf("step %d: %v\n%s", n, err, r.err.String())
	}
	r.released()
	return false
}

// child runs the program to its end and returns its exit code.
func (r *rig) child(keys string, slot int, words ...string) int {
	r.t.Helper()
	cmd := r.program(keys, slot, words...)
	said, err := cmd.CombinedOutput()
	r.err.Write(said)
	r.released()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if exit != nil {
		r.t.Logf("%s", said)
	}
	return cmd.ProcessState.ExitCode()
}

// released waits until the keyring has noticed that nobody holds the key.
func (r *rig) released() {
	r.t.Helper()
	if err := released(r.key); err != nil {
		r.t.Fatal(err)
	}
}
