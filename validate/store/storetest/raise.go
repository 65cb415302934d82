package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// raiseOf is what another server knows: (use, session), and values that depend on them as those of advance do.
func raiseOf(c Credential, use, session int, nonce string) validate.Raise {
	return validate.Raise{PublicID: c.PublicID, Use: use, Session: session, Timestamp: 100*use + session, Nonce: nonce, At: at(use), Source: "192.0.2.9"}
}

// raise calls Raise through one of the two ways into the store. Every store of ours is a Raiser.
func raise(t *testing.T, store validate.Counters, r validate.Raise) (before validate.Row, raised bool) {
	t.Helper()
	raiser, ok := store.(validate.Raiser)
	if !ok {
		t.Fatalf("%T is no validate.Raiser", store)
	}
	before, raised, err := raiser.Raise(t.Context(), r)
	if err != nil {
		t.Fatalf("raise to (%d, %d): %v", r.Use, r.Session, err)
	}
	return before, raised
}

// testRaise: the counters are a max register, the answer is the row before, and an event is written where something rose.
func testRaise(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	events := s.Events(t)
	use, session := -1, -1 // stored
	for n, tc := range []struct {
		use, session int
		want         bool
	}{
		{-1, -1, false}, {0, 0, true}, {0, 0, false}, {5, 3, true}, {5, 2, false}, {4, 255, false}, {5, 4, true}, {6, 0, true}, {-1, -1, false},
		{0x7FFF, 255, true}, {0x7FFF, 255, false},
	} {
		before, raised := raise(t, s.a, raiseOf(c, tc.use, tc.session, fmt.Sprint("nonce", n)))
		if raised != tc.want || before.Counters.Use != use || before.Counters.Session != session || !before.Enabled {
			t.Errorf("(%d, %d): raised %v from %+v, want %v from (%d, %d)", tc.use, tc.session, raised, before, tc.want, use, session)
		}
		if tc.want {
			use, session = tc.use, tc.session
			s.stored(t, c, use, session, fmt.Sprint("nonce", n))
			s.accept(t, advance(id, c, use, session, "n"), false)
			events++
		}
		if got := s.Events(t); got != events {
			t.Errorf("(%d, %d): %d events, want %d", tc.use, tc.session, got, events)
		}
	}
	nobody := Sample(2, token.Active)
	for name, c := range map[string]Credential{"unknown": nobody, "revoked": s.revoked(t, 3)} {
		_, _, err := s.a.(validate.Raiser).Raise(t.Context(), raiseOf(c, 1, 0, "n"))
		if !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.b.Find(t.Context(), c.PublicID); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%s: a row was made: %v", name, err)
		}
	}
	if got := s.Events(t); got != events {
		t.Errorf("%d events about what is not here", got-events)
	}
}

func (s suite) revoked(t *testing.T, n int) Credential {
	t.Helper()
	c := Sample(n, token.Revoked)
	s.Add(t, c)
	return c
}

// testRaiseBlocked: a raise counts for a token that is blocked, and does not unblock it; nor does it prove a programmed one.
func testRaiseBlocked(t *testing.T, s suite) {
	c, fresh := Sample(1, token.Active), Sample(2, token.Programmed)
	id, freshID := s.Add(t, c), s.Add(t, fresh)
	s.Block(t, id)
	before, raised := raise(t, s.a, raiseOf(c, 7, 1, "n"))
	if !raised || before.Enabled || !before.Token.Blocked() {
		t.Errorf("raised %v, before %+v", raised, before)
	}
	if row := s.row(t, c); row.Enabled {
		t.Error("raising enabled the row")
	}
	s.accept(t, advance(id, c, 8, 0, "n"), false)
	s.Unblock(t, id)
	s.accept(t, advance(id, c, 7, 1, "m"), false)
	s.accept(t, advance(id, c, 7, 2, "m"), true)

	raise(t, s.a, raiseOf(fresh, 3, 0, "n"))
	if row := s.row(t, fresh); row.State != token.Programmed || !row.Enabled {
		t.Errorf("programmed, raised: %+v", row)
	}
	s.accept(t, advance(freshID, fresh, 3, 0, "m"), false)
	s.accept(t, advance(freshID, fresh, 3, 1, "m"), true)
}

// testRaiseRace has another server and this one accept the same OTPs at once. Each OTP counts once: where it was accepted here, the
// raise sees it in the row before; where the raise was first, it is not accepted here.
func testRaiseRace(t *testing.T, s suite) {
	c := Sample(1, token.Active)
	id := s.Add(t, c)
	for use := range 20 {
		var accepted, rose atomic.Int32
		together(t, 16, func(i int) (bool, error) {
			if i%2 == 0 {
				ok, err := s.a.Accept(t.Context(), advance(id, c, use, 0, fmt.Sprint("here", i)))
				if ok {
					accepted.Add(1)
				}
				return ok, err
			}
			before, raised, err := s.b.(validate.Raiser).Raise(t.Context(), raiseOf(c, use, 0, fmt.Sprint("there", i)))
			if raised {
				rose.Add(1)
			}
			if err == nil && raised != (before.Counters.Use < use) {
				err = fmt.Errorf("raised %v from %d to %d", raised, before.Counters.Use, use)
			}
			return raised, err
		})
		if accepted.Load()+rose.Load() != 1 {
			t.Errorf("OTP %d: accepted %d times, raised %d times", use, accepted.Load(), rose.Load())
		}
	}
}
