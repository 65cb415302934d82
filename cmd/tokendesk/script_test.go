package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokendesk/tokendesk/cmd/tokendesk/early"
)

// TestMain lets scripts run the program as a process of its own: the test binary, executed again under its name.
func TestMain(m *testing.M) {
	early.Restore()
	atOnce()
	testscript.Main(m, map[string]func(){
		"bare":     bareMain,
		"differ":   differ,
		"escrowed": escrowed,
		"readers":  readersMain,
		"tokendesk": func() {
			code := run(context.Background(), scriptEnv(), os.Args[1:])
			notePeak()
			os.Exit(int(code))
		},
	})
}

// atOnce lets twice as many tests run as there are processors, unless -parallel says otherwise: most of them wait for servers, for clients, or for
// the guest machine.
func atOnce() {
	if f := flag.Lookup("test.parallel"); f != nil {
		_ = f.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0))) // a number
	}
}

// scriptEnv is the system's environment with the keys of the script instead of USB.
func scriptEnv() *env {
	e := systemEnv()
	e.clock = func() clockState { return clockState{known: true, kept: true} }
	e.bus = pivScript{scriptBus{dir: os.Getenv("KEYS")}}
	e.user = "tester"
	e.now = func() time.Time { return fileTime(os.Getenv("CLOCK")).Add(later(os.Getenv("LATER"))) }
	stopAt(e)
	e.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	if e.touchWait = untouched; os.Getenv("TOUCH") != "" {
		e.touchWait = time.Minute // scriptConn waits no longer for one that does not come
	}
	if d, err := time.ParseDuration(os.Getenv("TICK")); err == nil {
		e.tick = func() (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		}
	}
	plugDesk(e)
	if d, err := time.ParseDuration(os.Getenv("TOUCH_WAIT")); err == nil {
		e.touchWait = d
	}
	return e
}

// later is how far the program's clock is ahead of ours, by the variable LATER.
func later(text string) time.Duration {
	d, _ := time.ParseDuration(text) // none: not at all
	return d
}

// TestScript runs testdata/script: one file per command or behaviour. Beside testscript's own commands there are those of
// keyring_test.go, which plug in, touch and break virtual keys.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scriptParams(func(*testscript.Env) error { return nil }))
}

// scriptParams are those of all scripts; setup may add to the environment of each.
func scriptParams(setup func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			ring, err := newKeyring()
			if err != nil {
				return err
			}
			e.Values[keyringName] = ring
			e.Defer(ring.close)
			e.Setenv("KEYS", ring.dir)
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "data"))
			e.Setenv("HOME", e.WorkDir)
			return setup(e)
		},
		Condition: judge,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"key":   scriptKey,
			"card":  scriptCardKey,
			"code":  scriptCode,
			"otp":   scriptOTP,
			"oath":  scriptOATH,
			"until": scriptUntil,
		},
	}
}

// scriptUntil is `until FILE TEXT`: wait until a program that runs has written a text.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until FILE TEXT")
	}
	for end := time.Now().Add(askTime); ; <-time.After(time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && strings.Contains(string(text), args[1]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("no %q in %s: %v\n%s", args[1], args[0], err, text)
		}
	}
}

// judge is the condition [judge:PROGRAM]: a foreign program, or Debian's python3-pskc, is here. Where TOKENDESK_JUDGES is 1 it must be.
func judge(condition string) (bool, error) {
	program, ok := strings.CutPrefix(condition, "judge:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", condition)
	}
	_, err := exec.LookPath(program)
	if program == "python3-pskc" {
		err = exec.Command("/usr/bin/python3", "-c", "import pskc, cryptography").Run()
	}
	if err != nil && os.Getenv("TOKENDESK_JUDGES") == "1" {
		return false, err
	}
	return err == nil, nil
}
