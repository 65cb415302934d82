package main

import (
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/validate/front"
)

// env is everything that a command takes from outside, so that tests and the demo can plug in their own.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// stdinTTY: somebody can be asked. stdoutTTY: a person reads along. stderrTTY: a person sees what goes on.
	stdinTTY, stdoutTTY, stderrTTY bool
	// readSecret reads one line of a terminal without showing it.
	readSecret func(context.Context) (string, error)
	hush       func() (restore func())
	now        func() time.Time
	uptime     func() time.Duration // time that passed, by a clock that nobody sets
	clock      func() clockState    // how well the system's clock is kept
	rand       io.Reader
	user       string // actor of the audit chain
	dataDir    string // where the store is without --store
	bus        bus
	touchWait  time.Duration // how long a touch is waited for
	// transport carries requests to targets; nil: http.DefaultTransport. pause waits between tries.
	transport http.RoundTripper
	pause     func(context.Context, time.Duration) error
	// deskStore stands between a desk and its store; nil: nothing does. typingPause is the screen's; 0: typingPause.
	deskStore   func(enroller) enroller
	typingPause time.Duration
	// blinks is told that a key waits for a touch; nil: nobody asks.
	blinks func()
	// tick gives the pace of device watch.
	tick func() (<-chan time.Time, func())
	// pace is that of serve's sweeping.
	pace func() (<-chan time.Time, func())
	// listening is told where serve listens; nil: nobody asks.
	listening func(net.Addr)
	// environ reads what a service manager says; nil: there is none. hangup gives SIGHUP until stop; nil: never.
	environ func(string) string
	hangup  func() (signals <-chan os.Signal, stop func())
	// harden keeps the memory of a server off the disk; nil: nobody asks.
	harden func() error
	// virtual marks every screen: the devices are not real.
	virtual bool
	// notify ends the context by SIGINT and SIGTERM. Further signals change nothing until stop is called, so that a held
	// device is always given back.
	notify func(context.Context) (ctx context.Context, stop context.CancelFunc)
}

func systemEnv() *env {
	start := time.Now()
	return &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdinTTY: isTerminal(os.Stdin), stdoutTTY: isTerminal(os.Stdout), stderrTTY: isTerminal(os.Stderr),
		readSecret: readSecret,
		hush:       hush,
		now:        time.Now,
		uptime:     func() time.Duration { return time.Since(start) },
		clock:      systemClock,
		rand:       rand.Reader,
		user:       systemUser(),
		touchWait:  time.Minute,
		pause:      push.Sleep,
		dataDir:    dataDir(runtime.GOOS, os.Getenv),
		bus:        usbBus{sys: os.DirFS("/sys"), etc: os.DirFS("/etc"), lib: os.DirFS("/lib"), readers: pcsc.System()},
		tick: func() (<-chan time.Time, func()) {
			t := time.NewTicker(250 * time.Millisecond)
			return t.C, t.Stop
		},
		pace: func() (<-chan time.Time, func()) {
			t := time.NewTicker(sweepEvery)
			return t.C, t.Stop
		},
		environ: os.Getenv,
		harden:  front.NoCoreDumps,
		hangup: func() (<-chan os.Signal, func()) {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGHUP)
			return c, func() { signal.Stop(c) }
		},
		notify: func(ctx context.Context) (context.Context, context.CancelFunc) {
			signal.Ignore(syscall.SIGPIPE) // "| head" must not end a write to a key
			return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		},
	}
}

// getenv reads the environment of a service manager.
func (e *env) getenv(name string) string {
	if e.environ == nil {
		return ""
	}
	return e.environ(name)
}

// hangups are SIGHUP, until stop.
func (e *env) hangups() (signals <-chan os.Signal, stop func()) {
	if e.hangup == nil {
		return nil, func() {}
	}
	return e.hangup()
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// systemUser is the name that the audit chain shows. Under sudo it is still the account that runs the process: the
// environment is not evidence.
func systemUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// dataDir is the user's data directory by each system's custom; "" when the system does not tell.
func dataDir(goos string, getenv func(string) string) string {
	under := func(base string, parts ...string) string {
		if base == "" {
			return ""
		}
		return filepath.Join(append([]string{base}, parts...)...)
	}
	switch goos {
	case "windows":
		return under(getenv("LocalAppData"), "tokendesk")
	case "darwin":
		return under(getenv("HOME"), "Library", "Application Support", "tokendesk")
	}
	if d := getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "tokendesk")
	}
	return under(getenv("HOME"), ".local", "share", "tokendesk")
}

// readSecret reads a line from the terminal with echo off. When ctx ends first, echo is on again and the line is given up.
func readSecret(ctx context.Context) (string, error) {
	fd := int(os.Stdin.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type line struct {
		text []byte
		err  error
	}
	done := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		done <- line{text, err}
	}()
	select {
	case l := <-done:
		return string(l.text), l.err
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		return "", ctx.Err()
	}
}

// fileMode600 reports whether only the owner can reach a file. Windows has no such bits.
func fileMode600(info fs.FileInfo) bool { return seal.OwnerOnly(info) }
