package main

import (
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// situations are what a slot may hold before it is written.
var situations = []struct {
	name  string
	slot  int
	first []string // the run before, nil: the slot is empty
	again []string
	drawn int // secrets that the slot has had at the end, at most
}{
	{"empty slot", 2, nil, []string{"provision", "--slot", "2"}, 1},
	{"ours, other access code", 2, []string{"provision", "--slot", "2"}, []string{"provision", "--slot", "2"}, 2},
	{"ours, no access code before", 1, []string{"provision", "--slot", "1", "--access-code", "none"}, []string{"provision", "--slot", "1"}, 2},
	{"proof left to the server", 1, nil, []string{"provision", "--slot", "1", "--verify", "none"}, 1},
}

// TestUnplugAnywhere pulls the key out after the n-th report of a provisioning run, for every n, and resumes.
func TestUnplugAnywhere(t *testing.T) {
	t.Parallel()
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				r := newRig(t, s.slot)
				r.must("init")
				if s.first != nil {
					r.must(s.first...)
				}
				r.key.SetFaults(vkey.Faults{UnplugAfter: n})
				code := r.run(s.again...)
				r.key.SetFaults(vkey.Faults{})
				r.key.Plug()
				if code == exitDone {
					r.agree(s.slot, s.drawn)
					t.Logf("the run takes %d reports", n-1)
					if n < 20 {
						t.Fatal("the key was never pulled out")
					}
					return
				}
				if code != exitDevice {
					t.Fatalf("report %d: exit code %d\n%s", n, code, r.err.String())
				}
				if code := r.run("provision", "resume"); code != exitDone {
					t.Fatalf("report %d: resume: exit code %d\n%s", n, code, r.err.String())
				}
				t.Run(fmt.Sprint("report ", n), func(t *testing.T) { r.t = t; r.agree(s.slot, s.drawn) })
			}
		})
	}
}
