package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func testPushBlock(t *testing.T, s *pushSuite) {
	p := s.add(t, "pi")
	s.key(t, 1)
	s.key(t, 2)
	s.push(t, "pi")
	_, k, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonForgotten})
	s.must(t, err)
	if st := s.status(t, "101"); !st.StillValid() || st.Wanted != desk.WantDisabled || st.Done != desk.WantEnrolled {
		t.Errorf("after the block: %+v", st)
	}
	p.fail(noAnswer)
	expect(t, "no answer", s.settle(t, k.ID), "YUBIAES101_1 waiting!")
	if st := s.status(t, "101"); !st.StillValid() || !strings.Contains(st.Error, "it broke") || st.Attempts != 2 {
		t.Errorf("after a failure: %+v", st)
	}
	p.fail(nil)
	expect(t, "settle", s.settle(t), "YUBIAES101_1 disabled")
	expect(t, "there", p.valid(), "YUBIAES102_1")
	expect(t, "settled", s.settle(t))
	if st := s.status(t, "101"); st.StillValid() || !st.Settled() || st.Error != "" || st.DoneAt.IsZero() {
		t.Errorf("after all: %+v", st)
	}
	_, outcome, err := s.d.Restore(t.Context(), "101", []string{otp(t, 1, 5, 0)})
	if err != nil || outcome != desk.Proven {
		t.Fatalf("%s, %v", outcome, err)
	}
	if st := s.status(t, "101"); st.Wanted != desk.WantEnabled || st.Settled() {
		t.Errorf("after restore: %+v", st)
	}
	expect(t, "enable", s.settle(t), "YUBIAES101_1 enabled")
	expect(t, "both", p.valid(), "YUBIAES101_1", "YUBIAES102_1")
}

// testBlockWhileEnrolling: the block comes before and after the server made the token; who pushed it undoes it at once.
func testBlockWhileEnrolling(t *testing.T, s *pushSuite) {
	p := s.add(t, "pi")
	for n, when := range []bool{false, true} {
		s.key(t, n+1)
		serial := token.Serial(101 + n).String()
		p.fail(func(op string, done bool) error {
			if op != "enrol" || done != when {
				return nil
			}
			_, k, _, err := s.d.Block(t.Context(), serial, desk.Block{Reason: token.ReasonLost})
			s.must(t, err)
			got := s.settle(t, k.ID) // another process at the same moment: it cannot know that nothing comes after it
			expect(t, "in between", got, "YUBIAES"+serial+"_1 waiting!")
			return nil
		})
		expect(t, "push", s.push(t, "pi", serial), "YUBIAES"+serial+"_1 disabled")
		expect(t, "there", p.valid())
		expect(t, "settled", s.settle(t))
	}
}

// testPushStopped ends the process after each step. The next run finishes, the token arrives once; after a block it is not
// believed to be away before a request on its way must have arrived.
func testPushStopped(t *testing.T, s *pushSuite) {
	p := s.add(t, "pi")
	target, err := s.d.Targets(t.Context())
	s.must(t, err)
	stops := map[string]func(t *testing.T, c token.CredentialID, at push.Place, serial string){
		"after the row": func(t *testing.T, c token.CredentialID, at push.Place, _ string) {
			_, err := s.WantPush(t.Context(), target[0].ID, c, at)
			s.must(t, err)
		},
		"before the request": func(t *testing.T, c token.CredentialID, at push.Place, _ string) {
			row, err := s.WantPush(t.Context(), target[0].ID, c, at)
			s.must(t, err)
			_, err = s.BeginPush(t.Context(), row.ID)
			s.must(t, err)
		},
		"after the request": func(t *testing.T, _ token.CredentialID, _ push.Place, serial string) {
			ctx, cancel := context.WithCancel(t.Context())
			p.fail(func(_ string, done bool) error {
				if done {
					cancel()
				}
				return nil
			})
			_, all, err := s.d.Push(ctx, s.connect, "pi", serial)
			s.must(t, err)
			for _, err := range all {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			}
			p.fail(nil)
		},
	}
	n := 0
	for name, stop := range stops {
		for _, block := range []bool{false, true} {
			n++
			s.key(t, n)
			serial := token.Serial(100 + n).String()
			at := push.Place{Serial: "YUBIAES" + serial + "_1"}
			k, list, err := s.d.Show(t.Context(), serial)
			s.must(t, err)
			stop(t, list[0].ID, at, serial)
			if !block {
				got := s.settle(t, k.ID)
				if len(got) != 1 || got[0] != at.Serial+" enrolled" && got[0] != at.Serial+" already there" || p.made[at.Serial] != 1 {
					t.Errorf("%s: %v, made %d times", name, got, p.made[at.Serial])
				}
				continue
			}
			_, _, _, err = s.d.Block(t.Context(), serial, desk.Block{Reason: token.ReasonLost})
			s.must(t, err)
			if got := s.settle(t, k.ID); name != "after the row" && (len(got) != 1 || got[0] != at.Serial+" waiting!") {
				t.Errorf("%s, blocked: %v", name, got)
			}
			s.later = 10 * time.Minute
			if got := s.settle(t, k.ID); name != "after the row" && (len(got) != 1 || got[0] != at.Serial+" disabled") || p.active[at.Serial] {
				t.Errorf("%s, blocked, later: %v", name, got)
			}
			s.later = 0
			if st := s.status(t, serial); st.StillValid() {
				t.Errorf("%s: %+v", name, st)
			}
		}
	}
}

// testPushUnconfirmed: a block during a try is not confirmed by its end, and neither is a second block by the end of the first.
func testPushUnconfirmed(t *testing.T, s *pushSuite) {
	s.add(t, "pi")
	s.key(t, 1)
	s.push(t, "pi")
	block := func() {
		t.Helper()
		_, _, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonLost})
		s.must(t, err)
	}
	p, err := s.BeginPush(t.Context(), s.status(t, "101").ID)
	s.must(t, err)
	block()
	now, err := s.EndPush(t.Context(), desk.PushEnd{Push: p, Done: true})
	if err != nil || now.Settled() || !now.StillValid() {
		t.Errorf("blocked during a try: %+v, %v", now, err)
	}
	expect(t, "first", s.settle(t), "YUBIAES101_1 disabled")
	_, outcome, err := s.d.Restore(t.Context(), "101", []string{otp(t, 1, 5, 0)})
	if err != nil || outcome != desk.Proven {
		t.Fatalf("%s, %v", outcome, err)
	}
	_, err = s.BeginPush(t.Context(), p.ID) // and stopped: it may have been enabled
	s.must(t, err)
	block()
	if st := s.status(t, "101"); st.Settled() || !st.StillValid() {
		t.Errorf("blocked again: %+v", st)
	}
}

// testPushReplaced: what the slot held before is disabled, and the new key is another token.
func testPushReplaced(t *testing.T, s *pushSuite) {
	p := s.add(t, "pi")
	s.key(t, 1)
	s.push(t, "pi")
	e := s.issue(t, reservation(101), 44)
	serial := fmt.Sprintf("YUBIAES101_1-%d", e.Credential.ID)
	expect(t, "push of the new one", s.push(t, "pi"), serial+" enrolled")
	expect(t, "settle", s.settle(t), "YUBIAES101_1 disabled")
	expect(t, "there", p.valid(), serial)
	_, _, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonLost})
	s.must(t, err)
	s.settle(t)
	c := Sample(44, "")
	c.PublicID = token.SerialPublicID(101)
	_, outcome, err := s.d.Restore(t.Context(), "101", []string{c.Press(t, yubiotp.Token{UseCounter: 7})})
	if err != nil || outcome != desk.Proven {
		t.Fatalf("%s, %v", outcome, err)
	}
	expect(t, "restored", s.settle(t), serial+" enabled")
	expect(t, "there at the end", p.valid(), serial)
}

// testTargetDown: a target that does not answer, refuses the account or cannot be opened is asked once, and the others are served.
func testTargetDown(t *testing.T, s *pushSuite) {
	down, up := s.add(t, "down"), s.add(t, "up")
	for n := range 3 {
		s.key(t, n+1)
	}
	down.fail(func(string, bool) error { return &push.AuthError{Server: "peer", Cause: "no"} })
	expect(t, "sign in", s.push(t, "down"), "YUBIAES101_1 waiting", "YUBIAES102_1 waiting", "YUBIAES103_1 waiting")
	if down.calls != 1 {
		t.Errorf("%d calls", down.calls)
	}
	s.push(t, "up")
	for n := range 3 {
		_, _, _, err := s.d.Block(t.Context(), token.Serial(101+n).String(), desk.Block{Reason: token.ReasonLost})
		s.must(t, err)
	}
	down.fail(noAnswer)
	down.calls = 0
	settle := func() (waiting, done int) {
		for _, got := range s.settle(t) {
			if strings.HasSuffix(got, "waiting!") {
				waiting++
			} else if strings.HasSuffix(got, "disabled") {
				done++
			}
		}
		return waiting, done
	}
	if waiting, done := settle(); waiting != 3 || done != 3 || down.calls != 1 || len(up.valid()) != 0 {
		t.Errorf("%d waiting, %d done, %d calls", waiting, done, down.calls)
	}
	down.fail(nil)
	s.must(t, s.d.SetTargetCredential(t.Context(), "down", secret.Copy([]byte("cannot be opened"))))
	if waiting, _ := settle(); waiting != 3 {
		t.Errorf("%d waiting", waiting)
	}
	if _, all, err := s.d.Push(t.Context(), s.connect, "down", "101"); err != nil {
		t.Error(err)
	} else {
		for _, err := range all {
			if err == nil {
				t.Error("pushed to a target that cannot be opened")
			}
		}
	}
}

func testRemoveTarget(t *testing.T, s *pushSuite) {
	s.add(t, "pi")
	s.key(t, 1)
	s.push(t, "pi")
	var live *desk.LiveError
	if err := s.d.RemoveTarget(t.Context(), "pi", false); !errors.As(err, &live) || live.Tokens != 1 {
		t.Errorf("live: %v", err)
	}
	_, _, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonLost})
	s.must(t, err)
	if err := s.d.RemoveTarget(t.Context(), "pi", false); !errors.As(err, &live) {
		t.Errorf("not disabled yet: %v", err)
	}
	s.settle(t)
	s.must(t, s.d.RemoveTarget(t.Context(), "pi", false))
	p := s.add(t, "pi")
	s.key(t, 2)
	p.fail(func(string, bool) error { return &push.AuthError{Server: "peer", Cause: "no"} })
	s.push(t, "pi")
	s.must(t, s.d.RemoveTarget(t.Context(), "pi", false)) // nothing ever arrived there
	s.add(t, "pi")
	s.push(t, "pi")
	s.must(t, s.d.RemoveTarget(t.Context(), "pi", true))
	if list, err := s.d.PushStatus(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

// testPushRace: pushes, settlements and a block of the same token at once. Settled, the token is not valid there.
func testPushRace(t *testing.T, s *pushSuite) {
	p := s.add(t, "pi")
	for n := 1; n <= 8; n++ {
		s.key(t, n)
		serial := token.Serial(100 + n).String()
		if n%2 == 0 {
			s.push(t, "pi", serial)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if i == 3 {
					if _, _, _, err := s.d.Block(t.Context(), serial, desk.Block{Reason: token.ReasonLost}); err != nil {
						t.Error(err)
					}
				}
				s.push(t, "pi", serial)
				s.settle(t)
			})
		}
		wg.Wait()
		s.later = 10 * time.Minute
		s.settle(t)
		s.later = 0
		list, err := s.d.PushStatus(t.Context(), serial)
		s.must(t, err)
		if got := p.valid(); len(got) != 0 || slices.ContainsFunc(list, desk.Push.StillValid) {
			t.Fatalf("valid: %v, %+v", got, list)
		}
	}
}
