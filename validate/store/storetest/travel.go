package storetest

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Traveller is a store that is backed up, put back and copied. Its clock is the suite's.
type Traveller interface {
	Here() Full
	There() Full // as another process has it
	Backup(t *testing.T) []byte
	// Restore puts a backup back at a new place.
	Restore(t *testing.T, backup []byte) Traveller
	// Copy moves the store to a new place. Reopen brings it back.
	Copy(t *testing.T) Traveller
	Reopen(t *testing.T)
}

// RunTravel runs the suite of a store that travels; open gives a new one each time, on the clock.
func RunTravel(t *testing.T, open func(t *testing.T, now func() time.Time) Traveller) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *travelSuite)
	}{
		{"everything is there", testTravelAll},
		{"spent OTPs of a backup", testTravelSpent},
		{"HOTP of a backup", testTravelHOTP},
		{"HOTP of a backup by resync", testTravelResync},
		{"TOTP of a backup", testTravelTOTP},
		{"codes of a backup", testTravelCodes},
		{"release", testTravelRelease},
		{"copy", testTravelCopy},
		{"copy back", testTravelReopen},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &travelSuite{factorSuite{lifeSuite{&staffSuite{time: at(0)}}}, nil}
			s.goTo(open(t, s.now))
			s.accounts(t, "anna", "bert")
			tc.run(t, s)
		})
	}
}

// travelSuite has the persons anna and bert.
type travelSuite struct {
	factorSuite
	at Traveller
}

// goTo works at another place from now on.
func (s *travelSuite) goTo(at Traveller) {
	s.at = at
	s.a, s.b = ledgerSuite{at.Here()}, at.There()
	s.here = &desk.Desk{Store: at.Here(), Now: s.now, Rand: rand.Reader}
	s.there = &desk.Desk{Store: at.There(), Now: s.now, Rand: rand.Reader}
}

// verify presents the OTP (use, session) of the n-th sample. The key's clock goes with ours.
func (s *travelSuite) verify(t *testing.T, n int, use uint16, session uint8) validate.Reason {
	t.Helper()
	ticks := uint32(s.now().Sub(at(0)) / (time.Second / 8))
	otp := Sample(n, "").Press(t, yubiotp.Token{UseCounter: use, SessionCounter: session, Timestamp: ticks & (1<<24 - 1)})
	r, err := validate.New(s.a, s.now).Verify(t.Context(), validate.Request{OTP: otp, Nonce: "a nonce"})
	s.a.must(t, err)
	return r.Reason
}

// pressed imports the samples up to n, and shows the first OTP of each.
func (s *travelSuite) pressed(t *testing.T, n int) {
	t.Helper()
	var list []any
	for i := range n {
		list = append(list, yubico(i+1, token.Serial(1000+i)))
	}
	s.a.must(t, s.here.Import(t.Context(), "keys", feed(list...), func(i desk.Imported) {
		if i.Outcome != desk.New {
			t.Errorf("import: %+v", i)
		}
	}))
	for i := range n {
		if got := s.verify(t, i+1, 1, 0); got != validate.ReasonAccepted {
			t.Fatalf("key %d: %s", i+1, got)
		}
	}
}

// testTravelAll fills every table and looks for all of it in the copy, and in what is restored.
func testTravelAll(t *testing.T, s *travelSuite) {
	s.pressed(t, 3)
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	vpn := s.relying(t, "vpn")
	_, _, err := s.here.TempCode(t.Context(), "bert", desk.TempCode{})
	s.a.must(t, err)
	api := s.operator(t, "anna", desk.RoleHelpdesk)
	cookie := s.session(t, api)
	s.enroll(t, "bert", desk.App{})
	s.block(t, "1001", desk.Block{Reason: token.ReasonLost})
	s.a.must(t, s.a.SetGroups(t.Context(), "anna", []string{"staff"}, nil))
	s.wants(t, "anna", "000000", validate.ReasonWrong)
	backup := s.at.Backup(t)
	look := func(name string) {
		t.Helper()
		persons, err := s.here.Persons(t.Context())
		if err != nil || len(persons) != 2 || persons[0].Account != "anna" || persons[0].Groups[0] != "staff" {
			t.Errorf("%s: persons %+v, %v", name, persons, err)
		}
		if found, err := s.here.Search(t.Context(), "ber", 10); err != nil || len(found) != 1 {
			t.Errorf("%s: words: %+v, %v", name, found, err)
		}
		s.is(t, "1001", token.Lost, "")
		s.is(t, "T1", token.Active, "anna")
		s.staffSuite.keys(t, vpn.ID, vpn.Keys...)
		if o, err := s.here.Authenticate(t.Context(), api); err != nil || o.Name != "anna" {
			t.Errorf("%s: operator %+v, %v", name, o, err)
		}
		account := "carl-" + name
		s.accounts(t, account)
		if p, err := s.a.Person(t.Context(), account); err != nil || p.ID < 3 { // numbers go on
			t.Errorf("%s: added %+v, %v", name, p, err)
		}
	}
	s.goTo(s.at.Copy(t))
	look("copy")
	s.alive(t, cookie, true)
	if got := s.verify(t, 1, 1, 1); got != validate.ReasonAccepted {
		t.Errorf("copy: %s", got)
	}
	s.goTo(s.at.Restore(t, backup))
	look("restored")
	s.alive(t, cookie, false)
}

// testTravelSpent: what was accepted after the backup is not accepted once more, in whatever order it is sent.
func testTravelSpent(t *testing.T, s *travelSuite) {
	const keys, presses = 5, 4
	s.pressed(t, keys)
	backup := s.at.Backup(t)
	for n := range keys {
		for use := range presses {
			s.pass(2 * time.Minute)
			if got := s.verify(t, n+1, uint16(2+use), 0); got != validate.ReasonAccepted {
				t.Fatalf("key %d: %s", n+1, got)
			}
		}
	}
	s.goTo(s.at.Restore(t, backup))
	for use := range presses {
		for n := range keys {
			s.pass(time.Second)
			if got := s.verify(t, n+1, uint16(2+use), 0); got != validate.ReasonCautious {
				t.Errorf("key %d, spent press %d: %s", n+1, use, got)
			}
		}
	}
	for n := range keys { // the holders press
		for session, want := range []validate.Reason{validate.ReasonCautious, validate.ReasonCautious, validate.ReasonAccepted} {
			s.pass(5 * time.Second)
			if got := s.verify(t, n+1, 40, uint8(session)); got != want {
				t.Errorf("key %d, press %d: %s, want %s", n+1, session, got, want)
			}
		}
	}
}

func testTravelHOTP(t *testing.T, s *travelSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna") // by 0
	backup := s.at.Backup(t)
	s.wants(t, "anna", v.code(t, 1), validate.ReasonAccepted)
	s.goTo(s.at.Restore(t, backup))
	for n, tc := range []struct {
		of   int64
		want validate.Reason
	}{
		{1, validate.ReasonCautious}, {1, validate.ReasonSame}, {3, validate.ReasonCautious}, {4, validate.ReasonCautious},
		{4, validate.ReasonSame}, {5, validate.ReasonAccepted},
	} {
		s.pass(time.Second) // right codes are no failures that delay the next
		if got := s.ask(t, n, validate.Factor{Account: "anna", Text: v.code(t, tc.of)}); got.Reason != tc.want {
			t.Errorf("code %d: %s, want %s", tc.of, got.Reason, tc.want)
		}
	}
}

func testTravelResync(t *testing.T, s *travelSuite) {
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	s.goTo(s.at.Restore(t, s.at.Backup(t)))
	if c := s.credential(t, "H1"); c.Caution != validate.Cautious || c.Enabled {
		t.Errorf("%+v", c)
	}
	if _, _, proof, err := s.here.Resync(t.Context(), "H1", v.code(t, 500), v.code(t, 501)); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	s.wants(t, "anna", v.code(t, 502), validate.ReasonAccepted)
}

// testTravelTOTP: what was accepted up to the moment of restoring does not count again, whatever the window is then.
func testTravelTOTP(t *testing.T, s *travelSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	backup := s.at.Backup(t)
	s.pass(day)
	spent := []string{s.shows(t, v, 0), s.shows(t, v, 30*time.Second)}
	for _, code := range spent {
		s.wants(t, "anna", code, validate.ReasonAccepted)
	}
	s.goTo(s.at.Restore(t, backup))
	for range 10 {
		for _, code := range spent {
			if got := s.ask(t, 0, validate.Factor{Account: "anna", Text: code}); got.Outcome == validate.Accepted {
				t.Fatal("a spent code was accepted again")
			}
		}
		s.pass(10 * time.Second)
	}
	s.pass(validate.LockTime + 20*time.Minute)
	s.wants(t, "anna", s.shows(t, v, 0), validate.ReasonAccepted)
}

// testTravelCodes: codes, browsers and links that may have been used since the backup are over.
func testTravelCodes(t *testing.T, s *travelSuite) {
	vpn := s.relying(t, "vpn")
	temp, _, err := s.here.TempCode(t.Context(), "anna", desk.TempCode{})
	s.a.must(t, err)
	link := s.enroll(t, "bert", desk.App{})
	backup := s.at.Backup(t)
	s.goTo(s.at.Restore(t, backup))
	if got := s.check(t, "anna", shown(temp), vpn); got.Reason != validate.ReasonWithdrawn {
		t.Errorf("temporary code: %s", got.Reason)
	}
	if state, err := s.here.OpenLink(t.Context(), link.value); err == nil && state != desk.LinkCancelled {
		t.Errorf("the link is %s", state)
	}
	again, _, err := s.here.TempCode(t.Context(), "anna", desk.TempCode{})
	s.a.must(t, err)
	if got := s.check(t, "anna", shown(again), vpn); got.Outcome != validate.Accepted {
		t.Errorf("a new one: %s", got.Reason)
	}
}

func testTravelRelease(t *testing.T, s *travelSuite) {
	s.pressed(t, 2)
	s.goTo(s.at.Restore(t, s.at.Backup(t)))
	list, err := s.there.Cautious(t.Context())
	if err != nil || len(list) != 2 || list[0].Serial != 1000 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, want := range []bool{true, false} {
		if k, done, err := s.here.Release(t.Context(), "1000", "seen"); err != nil || done != want || k.Serial != 1000 {
			t.Errorf("released %v, %v", done, err)
		}
	}
	if got := s.verify(t, 1, 2, 0); got != validate.ReasonAccepted {
		t.Errorf("released: %s", got)
	}
	if got := s.verify(t, 2, 2, 0); got != validate.ReasonCautious {
		t.Errorf("another: %s", got)
	}
	if _, _, err := s.here.Release(t.Context(), "99", "seen"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if _, _, err := s.here.Release(t.Context(), "1001", ""); !isText(err) {
		t.Errorf("without a reason: %v", err)
	}
	s.block(t, "1001", desk.Block{Reason: token.ReasonLost})
	_, done, err := s.here.Release(t.Context(), "1001", "seen")
	if s.a.must(t, err); !done {
		t.Error("a blocked one was not released")
	}
	if got := s.verify(t, 2, 3, 0); got != validate.ReasonBlocked {
		t.Errorf("a release is no restore: %s", got)
	}
}

// testTravelCopy: after a copy, only the copy answers, with the counters of the last moment.
func testTravelCopy(t *testing.T, s *travelSuite) {
	s.pressed(t, 2)
	v := hotpToken("H1", 1)
	s.issued(t, v, "anna")
	vpn := s.relying(t, "vpn")
	temp, _, err := s.here.TempCode(t.Context(), "bert", desk.TempCode{})
	s.a.must(t, err)
	from, to := s.at, s.at.Copy(t)
	for name, store := range map[string]Full{"here": from.Here(), "there": from.There()} {
		verifier := validate.New(store, s.now)
		c := validate.NewChecker(store, verifier, s.now)
		_, err := verifier.Verify(t.Context(), validate.Request{OTP: Sample(1, "").Press(t, yubiotp.Token{UseCounter: 2})})
		if !errors.Is(err, token.ErrMoved) {
			t.Errorf("%s: an OTP: %v", name, err)
		}
		for _, text := range []string{v.code(t, 1), shown(temp)} {
			if got, err := c.Check(t.Context(), validate.Factor{Account: "bert", Text: text, Client: vpn}); !errors.Is(err, token.ErrMoved) {
				t.Errorf("%s: a code: %+v, %v", name, got, err)
			}
		}
		if _, err := store.AddPersons(t.Context(), []token.Person{{Account: "carl"}}); !errors.Is(err, token.ErrMoved) {
			t.Errorf("%s: a change: %v", name, err)
		}
		ok, err := store.Accept(t.Context(), validate.Advance{Credential: 1, Use: 100, At: s.now()})
		if ok || err != nil && !errors.Is(err, token.ErrMoved) {
			t.Errorf("%s: accepted beside: %v, %v", name, ok, err)
		}
	}
	s.goTo(to)
	if got := s.verify(t, 1, 1, 0); got != validate.ReasonRetry {
		t.Errorf("the last OTP: %s", got)
	}
	if got := s.verify(t, 1, 2, 0); got != validate.ReasonAccepted {
		t.Errorf("the next OTP: %s", got)
	}
	s.wants(t, "anna", v.code(t, 1), validate.ReasonAccepted)
	if got := s.check(t, "bert", shown(temp), vpn); got.Outcome != validate.Accepted {
		t.Errorf("temporary code: %s", got.Reason)
	}
}

func testTravelReopen(t *testing.T, s *travelSuite) {
	s.pressed(t, 1)
	s.at.Copy(t)
	s.at.Reopen(t)
	if got := s.verify(t, 1, 2, 0); got != validate.ReasonAccepted {
		t.Errorf("%s", got)
	}
	there := s.at.Copy(t) // once more, and on from there
	s.goTo(there)
	s.goTo(s.at.Copy(t))
	if got := s.verify(t, 1, 3, 0); got != validate.ReasonAccepted {
		t.Errorf("%s", got)
	}
}
