package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/journal"
)

// TestKillStation kills a desk without a network before every use that it makes of the world outside. The operator begins again with the key in
// the same port: the write is finished with the secret that was sealed, or is begun anew if nothing was sent, and the journal says so to the server.
func TestKillStation(t *testing.T) {
	t.Parallel()
	const acts = "ada\nstaff-card\n"
	const next = "next\n" // the key may be finished before anything is read, and nobody pulls it out; otherwise it is nobody's account
	again := [][]string{  // in turns
		{"provision", "desk", "--offline", "--slot", "2", "-o", "json"},
		{"provision", "resume", "--offline"},
	}
	stride := 1
	if testing.Short() {
		stride = 5
	}
	for n := 1; ; n += stride {
		r := newRig(t, 2)
		r.dataDir = filepath.Join(t.TempDir(), ".local", "share", "tokendesk")
		r.must("init")
		r.must("person", "add", "ada")
		makeStation(r)
		keys := serveKey(t, r)
		killed := r.killedDesk(keys, n, acts)
		if killed {
			said, err := r.deskAgain(keys, next+acts, again[n%2]...).CombinedOutput()
			r.err.Write(said)
			var exit *exec.ExitError // it may say that she has her key
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			r.released()
		}
		path := filepath.Join(r.dataDir, stationDir)
		if open := openAt(r, path); open != 0 {
			t.Fatalf("step %d: %d writes open\n%s", n, open, r.err.String())
		}
		r.must("journal", "import", filepath.Join(path, "journal"))
		r.agree(2, 1)
		if !killed {
			t.Logf("%d steps", n-1)
			if n < 40 {
				t.Fatal("too few steps were seen")
			}
			return
		}
	}
}

// openAt is how many writes of a station are not settled.
func openAt(r *rig, path string) int {
	r.t.Helper()
	s, err := journal.Open(path, journal.Options{Now: time.Now, Rand: r.rand, Operator: "tester"})
	if err != nil {
		r.t.Fatal(err)
	}
	open, err := s.Open(r.t.Context())
	if err := errors.Join(err, s.Close()); err != nil {
		r.t.Fatal(err)
	}
	destroyEntries(open)
	return len(open)
}

// makeStation makes this computer a station of its own store.
func makeStation(r *rig) {
	r.t.Helper()
	r.out.Reset()
	r.must("journal", "init", "DESK1")
	snapshot := filepath.Join(r.t.TempDir(), "snapshot")
	r.must("journal", "station", "DESK1", "--public-key", strings.TrimSpace(r.out.String()), "--limit", "5", "--out", snapshot)
	r.must("journal", "install", snapshot)
}

// killedDesk runs a desk without a network until it stops before its n-th step, and kills it. False: it came to its end before.
func (r *rig) killedDesk(keys string, n int, acts string) bool {
	r.t.Helper()
	cmd := r.deskAgain(keys, acts, "provision", "desk", "--offline", "--slot", "2", "-o", "json")
	cmd.Env = append(cmd.Env, fmt.Sprint("STOP_AT=", n))
	return r.stopped(cmd, n)
}

func (r *rig) deskAgain(keys, acts string, words ...string) *exec.Cmd {
	cmd := r.program(keys, 2, words...)
	cmd.Env = append(cmd.Env, "HOME="+filepath.Dir(filepath.Dir(filepath.Dir(r.dataDir))), "XDG_DATA_HOME=", "TICK=10ms")
	cmd.Stdin = strings.NewReader(acts)
	return cmd
}
