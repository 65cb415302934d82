package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// testThrottle makes ten mistakes as fast as it is allowed, then waits for the lock to end, and then for the count to begin anew.
func testThrottle(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	for n := 1; n <= validate.MaxFailures; n++ {
		s.wants(t, "anna", "000000", validate.ReasonWrong)
		stopped := validate.ReasonThrottled
		if n == validate.MaxFailures {
			stopped = validate.ReasonLocked
		}
		s.wants(t, "anna", v.code(t, 1), stopped)
		s.pass(time.Duration(n)*validate.DelayStep - time.Second)
		s.wants(t, "anna", "000000", stopped) // which does not count
		s.pass(time.Second)
	}
	s.pass(validate.LockTime - validate.MaxFailures*validate.DelayStep - time.Second)
	s.wants(t, "anna", v.code(t, 1), validate.ReasonLocked)
	s.pass(time.Second)
	s.wants(t, "anna", "000000", validate.ReasonWrong)
	s.pass(validate.DelayStep)
	s.wants(t, "anna", v.code(t, 1), validate.ReasonAccepted)
	s.wants(t, "anna", "000000", validate.ReasonWrong)
	s.pass(validate.DelayStep) // the first again
	s.wants(t, "anna", v.code(t, 2), validate.ReasonAccepted)
}

// testSharedThrottle: neither naming tokens one by one nor another process gives more tries; other persons, and tokens that
// nobody holds, have their own.
func testSharedThrottle(t *testing.T, s *factorSuite) {
	a, b, c, stock := hotpToken("H1", 1), hotpToken("H2", 2), hotpToken("H3", 3), hotpToken("H4", 4)
	s.issued(t, a, "anna")
	s.issued(t, b, "anna")
	s.issued(t, c, "bert")
	s.box(t, stock)
	s.wantsSerial(t, "H1", "000000", validate.ReasonWrong)
	s.wantsSerial(t, "H2", b.code(t, 1), validate.ReasonThrottled)
	s.wants(t, "anna", a.code(t, 1), validate.ReasonThrottled)
	if got := s.ask(t, 0, validate.Factor{Account: "anna", Text: a.code(t, 1)}); got.Reason != validate.ReasonThrottled {
		t.Errorf("the other process: %q", got.Reason)
	}
	s.wants(t, "bert", c.code(t, 1), validate.ReasonAccepted)
	s.wantsSerial(t, "H4", "000000", validate.ReasonWrong)
	s.wantsSerial(t, "H4", stock.code(t, 1), validate.ReasonThrottled)
	s.pass(validate.DelayStep)
	s.wantsSerial(t, "H2", b.code(t, 1), validate.ReasonAccepted)
	s.wantsSerial(t, "H1", a.code(t, 1), validate.ReasonAccepted)
}

// testLockedOut: whom somebody else locked out is helped by a temporary code, which ends the lock.
func testLockedOut(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	for range validate.MaxFailures {
		s.wants(t, "anna", "000000", validate.ReasonWrong)
		s.pass(time.Minute)
	}
	s.wants(t, "anna", v.code(t, 1), validate.ReasonLocked)
	temp, _, err := s.here.TempCode(t.Context(), "anna", desk.TempCode{Uses: 2})
	s.a.must(t, err)
	s.wants(t, "anna", "22222-22222", validate.ReasonWrong)
	s.wantsSerial(t, "H1", shown(temp), validate.ReasonWrong) // the token was asked for, not the person
	s.wants(t, "bert", shown(temp), validate.ReasonWrong)
	if got := s.wants(t, "anna", shown(temp), validate.ReasonAccepted); got.Kind != validate.KindTemp || got.CodesLeft != 1 {
		t.Errorf("%+v", got)
	}
	s.wants(t, "anna", v.code(t, 1), validate.ReasonAccepted)
}

// at64 checks the same 64 times at once, in two processes, and counts the reasons.
func (s *factorSuite) at64(t *testing.T, f validate.Factor) map[validate.Reason]int {
	t.Helper()
	var mu sync.Mutex
	seen := map[validate.Reason]int{}
	together(t, 64, func(n int) (bool, error) {
		got := s.ask(t, n, f)
		mu.Lock()
		defer mu.Unlock()
		seen[got.Reason]++
		return false, nil
	})
	return seen
}

func testEqualCodes(t *testing.T, s *factorSuite) {
	totp, hotp := totpToken("T1", 1), hotpToken("H1", 2)
	s.issued(t, totp, "anna")
	s.issued(t, hotp, "bert")
	s.pass(time.Minute)
	for account, code := range map[string]string{"anna": s.shows(t, totp, 0), "bert": hotp.code(t, 5)} {
		if seen := s.at64(t, validate.Factor{Account: account, Text: code}); seen[validate.ReasonAccepted] != 1 || seen[validate.ReasonSame] != 63 {
			t.Errorf("%s: %v", account, seen)
		}
	}
	s.wants(t, "bert", hotp.code(t, 6), validate.ReasonAccepted) // nobody was locked out
}

func testEqualSpoken(t *testing.T, s *factorSuite) {
	sheet, err := s.here.RecoveryCodes(t.Context(), "anna", 4)
	s.a.must(t, err)
	if seen := s.at64(t, validate.Factor{Account: "anna", Text: shown(sheet[2])}); seen[validate.ReasonAccepted] != 1 || seen[validate.ReasonUsedUp] != 63 {
		t.Errorf("%v", seen)
	}
	if got := s.wants(t, "anna", shown(sheet[0]), validate.ReasonAccepted); got.Kind != validate.KindRecovery || got.CodesLeft != 2 {
		t.Errorf("%+v", got)
	}
}

// testGuesses sends 1,000 guesses in bursts, each as soon as a delay is over, in two processes: ten are compared.
func testGuesses(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	k := s.issued(t, v, "anna")
	compared := 0
	for range 10 {
		compared += together(t, 91, func(n int) (bool, error) {
			f := validate.Factor{Account: "anna", Text: "000000"}
			if n%3 == 0 {
				f = validate.Factor{Serial: "H1", Text: "00000000"}
			}
			got := s.ask(t, n, f)
			if got.Person != k.Holder.ID {
				t.Errorf("%+v", got)
			}
			return got.Reason == validate.ReasonWrong, nil
		})
		s.pass(validate.MaxDelay)
	}
	together(t, 90, func(n int) (bool, error) {
		if s.ask(t, n, validate.Factor{Account: "anna", Text: v.code(t, int64(n%10)+1)}).Reason != validate.ReasonLocked {
			t.Error("a right code was taken while locked")
		}
		return false, nil
	})
	if compared != validate.MaxFailures {
		t.Errorf("%d guesses were compared", compared)
	}
}

// testClientBudget sprays codes over persons and over names that nobody has, in two processes: of the former 1,000 are compared, the
// latter cost nothing. Other clients are not concerned.
func testClientBudget(t *testing.T, s *factorSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	vpn, mail := s.relying(t, "vpn"), s.relying(t, "mail")
	var persons []token.Person
	for n := range 1024 {
		persons = append(persons, token.Person{Account: fmt.Sprintf("person%d", n)})
	}
	if _, err := s.a.AddPersons(t.Context(), persons); err != nil {
		t.Fatal(err)
	}
	charged := 0
	for round := range 16 {
		together(t, 64, func(n int) (bool, error) {
			s.ask(t, n, validate.Factor{Account: "nobody", Text: "000000", Client: vpn})
			return false, nil
		})
		charged += together(t, 64, func(n int) (bool, error) {
			got := s.ask(t, n, validate.Factor{Account: persons[64*round+n].Account, Text: "000000", Client: vpn})
			return got.Reason == validate.ReasonWrong, nil
		})
	}
	if charged != validate.BudgetSize {
		t.Errorf("%d were charged", charged)
	}
	for _, tc := range []struct {
		client validate.Client
		after  time.Duration
		of     int64
		want   validate.Reason
	}{
		{vpn, 0, 1, validate.ReasonBudget}, {mail, 0, 1, validate.ReasonAccepted}, {vpn, 0, 2, validate.ReasonBudget}, {vpn, 4 * time.Second, 2, validate.ReasonAccepted},
	} {
		s.pass(tc.after)
		if got := s.ask(t, 0, validate.Factor{Account: "anna", Text: v.code(t, tc.of), Client: tc.client}); got.Reason != tc.want {
			t.Errorf("client %d: %q, want %q", tc.client.ID, got.Reason, tc.want)
		}
	}
}
