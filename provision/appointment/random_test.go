package appointment

import (
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// TestRandomWalk lets anything happen at any time: nothing is issued without person, identity check and proof, no effect is performed twice,
// no slot and no person has two unfinished writes; and when the operator then does what the screen says, everything comes to its end.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	walks, steps := uint64(300), 400
	if testing.Short() {
		walks = 40
	}
	issued, recovered := 0, 0
	for seed := range walks {
		w := newWorld(t, seed)
		for range steps {
			w.anything()
		}
		w.settle()
		issued += len(w.issue)
		recovered += w.s.Count
		if want := map[bool]int{true: w.s.Count}[w.s.Station.Cards]; w.cards != want {
			w.fail("seed %d: of %d keys %d got what comes after the slot", seed, want, w.cards)
		}
		if len(w.open) != 0 {
			w.fail("seed %d: %d writes were left open", seed, len(w.open))
		}
	}
	if issued < int(walks) {
		t.Fatalf("only %d keys were issued", issued)
	}
	t.Logf("%d keys were issued", issued)
}

// anything lets an effect go on, or does something else.
func (w *world) anything() {
	if n := len(w.jobs); n > 0 && w.r.IntN(3) > 0 {
		w.step(w.r.IntN(n))
		return
	}
	switch w.r.IntN(14) {
	case 0:
		w.away = w.r.IntN(3) == 0
	case 1, 2:
		w.plug(w.r.IntN(len(w.keys)), fmt.Sprint("port ", w.r.IntN(2)))
	case 3:
		w.unplug(fmt.Sprint("port ", w.r.IntN(2)))
	case 4:
		w.give(Typed{string(rune('a' + w.r.IntN(6)))})
	case 5:
		w.give(Submit{Text: people[w.r.IntN(len(people))], Whole: w.r.IntN(2) == 0})
	case 6, 7:
		w.give(Checked{desk.IDChecks()[w.r.IntN(5)]})
		w.give(Witnessed{[]string{"", "ada", "turing"}[w.r.IntN(3)]})
	case 8:
		w.give(Chosen{Use: []Use{Second, Replacement}[w.r.IntN(2)]})
	case 9:
		w.give([]Event{Agreed{}, Agreed{}, Finished{}}[w.r.IntN(3)])
	case 10:
		w.give(Touched{[]string{"fresh", "replayed"}[w.r.IntN(2)]})
	case 11:
		if w.r.IntN(6) == 0 {
			w.give(GaveUp{})
		}
	case 12:
		w.give(Submit{})
	case 13:
		if w.r.IntN(3) == 0 {
			w.give(Escaped{})
		}
	}
}

func (w *world) plug(i int, port string) {
	k := w.keys[i]
	if w.ports[port] != nil || w.plugged(k) {
		return
	}
	w.ports[port] = k
	w.give(Arrived{Port: port, Product: "YubiKey", OTP: k.otp})
}

func (w *world) unplug(port string) {
	k := w.ports[port]
	if k == nil {
		return
	}
	delete(w.ports, port)
	if w.held == k {
		w.held = nil
	}
	w.give(Removed{port})
}

// idle lets all effects come to their end.
func (w *world) idle() {
	for range 1000 {
		if len(w.jobs) == 0 {
			return
		}
		w.step(0)
	}
	w.fail("it does not come to rest: %+v", w.jobs[0].e)
}

// settle does what the screen asks for, until no write is open, and then issues one more key.
func (w *world) settle() {
	w.away = false
	for range 100 {
		w.idle()
		if len(w.open) == 0 {
			break
		}
		for _, port := range []string{"port 0", "port 1"} {
			w.unplug(port)
		}
		w.idle()
		if w.s.Wants() == WantPull { // nothing is in any more
			w.give(Submit{})
			w.idle()
		}
		for i, k := range w.keys {
			if k == w.open[0].key {
				w.plug(i, "port 0")
			}
		}
	}
}
