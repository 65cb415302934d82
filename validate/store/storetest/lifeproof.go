package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func otpOf(use, session int) yubiotp.Token {
	return yubiotp.Token{UseCounter: uint16(use), SessionCounter: uint8(session)}
}

// app makes a pending app token, and what shows its codes.
func (s *lifeSuite) app(t *testing.T, account string) (string, func(ahead time.Duration) string) {
	t.Helper()
	k, _, err := s.here.AddApp(t.Context(), desk.App{Kind: token.TOTP, Holder: account})
	s.a.must(t, err)
	_, rec, err := s.here.HandOver(t.Context(), k.Label, desk.HandOver{Form: "uri"})
	s.a.must(t, err)
	g, err := oath.New(rec.Key, oath.SHA1, 6)
	s.a.must(t, err)
	return k.Label, func(ahead time.Duration) string { return g.Code(oath.Step(s.now().Add(ahead), rec.Period)) }
}

func testConfirm(t *testing.T, s *lifeSuite) {
	label, shows := s.app(t, "anna")
	if s.accepts(t, label, shows(0)) {
		t.Error("a pending app was accepted")
	}
	s.pass(time.Minute)
	if k, proof, err := s.here.Confirm(t.Context(), label, []string{shows(5 * time.Minute)}, "my phone"); err != nil || proof == desk.Proven || k.State != token.Pending {
		t.Errorf("a code five minutes away: %s, %v", proof, err)
	}
	s.pass(time.Minute)
	if _, _, err := s.here.Confirm(t.Context(), label, []string{shows(0)}, "a\tb"); !isText(err) {
		t.Errorf("a name with a tab: %v", err)
	}
	k, proof, err := s.here.Confirm(t.Context(), label, []string{shows(0)}, "my phone")
	if err != nil || proof != desk.Proven || k.State != token.Active || k.Name != "my phone" || !k.IssuedAt.Equal(s.now()) {
		t.Fatalf("%+v, %s, %v", k, proof, err)
	}
	if s.accepts(t, label, shows(0)) {
		t.Error("the code of the proof was accepted")
	}
	s.pass(time.Minute)
	if !s.accepts(t, label, shows(0)) {
		t.Error("refused after the proof")
	}
	s.pass(time.Minute)
	code := shows(0)
	if k, proof, err := s.here.Confirm(t.Context(), label, []string{code}, ""); err != nil || proof != desk.Proven || k.Name != "my phone" {
		t.Errorf("a second proof: %s, %v", proof, err)
	}
	if _, proof, err := s.here.Confirm(t.Context(), label, []string{code}, ""); err != nil || proof != desk.NotNewer {
		t.Errorf("the same code: %s, %v", proof, err)
	}
	drift := s.credential(t, label).Counters.Clock.Drift
	for n := range 5 { // a code that is held back by one step more each time
		s.pass(time.Minute)
		if _, _, err := s.here.Confirm(t.Context(), label, []string{shows(-time.Duration(n+1) * 30 * time.Second)}, ""); err != nil && !isLocked(err) {
			t.Error(err)
		}
	}
	if now := s.credential(t, label).Counters.Clock.Drift; now < drift-1 {
		t.Errorf("proofs of an active app moved its clock from %d to %d", drift, now)
	}
	s.pass(time.Hour)
	s.box(t, totpToken("T1", 1))
	if _, _, err := s.here.Confirm(t.Context(), "T1", []string{s.shows(t, totpToken("T1", 1), 0)}, ""); !isTransition(err) {
		t.Errorf("in stock: %v", err)
	}
	s.block(t, label, desk.Block{Reason: token.ReasonLost})
	if _, _, err := s.here.Confirm(t.Context(), label, []string{code}, ""); !isTransition(err) {
		t.Errorf("blocked: %v", err)
	}
}

func testResync(t *testing.T, s *lifeSuite) {
	h, v := hotpToken("H1", 1), totpToken("T1", 2)
	s.issued(t, h, "anna")
	s.issued(t, v, "bert")
	const ahead = 6 * time.Hour
	for _, tc := range []struct {
		name, label, first, second string
		want                       desk.Proof
	}{
		{"the last one again", "H1", h.code(t, 0), h.code(t, 1), desk.WrongCode},
		{"equal", "H1", h.code(t, 300), h.code(t, 300), desk.WrongCode},
		{"not consecutive", "H1", h.code(t, 300), h.code(t, 302), desk.WrongCode},
		{"backwards", "H1", h.code(t, 301), h.code(t, 300), desk.WrongCode},
		{"too far", "H1", h.code(t, 1100), h.code(t, 1101), desk.WrongCode},
		{"no code", "H1", "abc", h.code(t, 2), desk.NoCode},
		{"HOTP", "H1", h.code(t, 300), h.code(t, 301), desk.Proven},
		{"HOTP again", "H1", h.code(t, 300), h.code(t, 301), desk.NotNewer},
		{"HOTP, old", "H1", h.code(t, 290), h.code(t, 291), desk.WrongCode},
	} {
		_, _, proof, err := s.here.Resync(t.Context(), tc.label, tc.first, tc.second)
		if err != nil || proof != tc.want {
			t.Errorf("%s: %s, %v; want %s", tc.name, proof, err, tc.want)
		}
		s.pass(15 * time.Minute)
	}
	if s.accepts(t, "H1", h.code(t, 299)) || s.accepts(t, "H1", h.code(t, 301)) {
		t.Error("a spent HOTP was accepted")
	}
	s.pass(time.Hour)
	if !s.accepts(t, "H1", h.code(t, 302)) {
		t.Error("the next HOTP was refused")
	}
	first, second := s.shows(t, v, ahead), s.shows(t, v, ahead+v.period)
	if _, _, proof, err := s.here.Resync(t.Context(), "T1", second, s.shows(t, v, ahead+3*v.period)); err != nil || proof != desk.WrongCode {
		t.Errorf("TOTP, a step left out: %s, %v", proof, err)
	}
	s.pass(v.period)
	k, clock, proof, err := s.here.Resync(t.Context(), "T1", first, second)
	if err != nil || proof != desk.Proven || clock.Drift != int64(ahead/v.period) || k.State != token.Active {
		t.Errorf("TOTP: %+v, %s, %v", clock, proof, err)
	}
	s.pass(time.Hour)
	if !s.accepts(t, "T1", s.shows(t, v, ahead)) {
		t.Error("a code by the learned clock was refused")
	}
	if _, err := s.here.ResetClock(t.Context(), "T1"); err != nil || s.credential(t, "T1").Counters.Clock != (token.Clock{}) {
		t.Errorf("reset: %+v, %v", s.credential(t, "T1").Counters.Clock, err)
	}
	if _, err := s.here.ResetClock(t.Context(), "H1"); !errors.Is(err, desk.ErrNoClock) {
		t.Errorf("a HOTP token has no clock: %v", err)
	}
	if s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("a step of before was accepted after the clock was reset")
	}
}

func testRestoreCode(t *testing.T, s *lifeSuite) {
	v, h := totpToken("T1", 1), hotpToken("H1", 2)
	s.issued(t, v, "anna")
	s.issued(t, h, "bert")
	s.box(t, totpToken("T2", 3))
	if _, _, err := s.here.Restore(t.Context(), "T1", []string{s.shows(t, v, 0)}); !isTransition(err) {
		t.Errorf("not blocked: %v", err)
	}
	s.block(t, "T1", desk.Block{Reason: token.ReasonStolen})
	s.block(t, "H1", desk.Block{Reason: token.ReasonLost})
	s.pass(time.Minute)
	seen := s.shows(t, v, 0)
	for label, code := range map[string]string{"T1": seen, "H1": h.code(t, 5)} {
		if s.accepts(t, label, code) { // by a finder
			t.Errorf("%s was accepted while blocked", label)
		}
	}
	s.pass(6 * time.Second)
	for _, tc := range []struct {
		name, label string
		codes       []string
		want        desk.Proof
	}{
		{"seen while blocked", "T1", []string{seen}, desk.NotNewer},
		{"HOTP seen while blocked", "H1", []string{h.code(t, 5)}, desk.NotNewer},
		{"HOTP before that", "H1", []string{h.code(t, 4)}, desk.WrongCode},
		{"a pair with the one that was seen", "H1", []string{h.code(t, 5), h.code(t, 6)}, desk.WrongCode},
		{"another token's", "T1", []string{s.shows(t, totpToken("", 3), 0)}, desk.WrongCode},
		{"wrong", "T1", []string{"000000"}, desk.WrongCode},
		{"nothing", "T1", nil, desk.NoCode},
	} {
		k, proof, err := s.here.Restore(t.Context(), tc.label, tc.codes)
		if err != nil || proof != tc.want || k.State != token.Lost {
			t.Errorf("%s: %s, %s, %v; want %s", tc.name, k.State, proof, err, tc.want)
		}
		s.pass(15 * time.Minute)
	}
	for label, codes := range map[string][]string{"T1": {s.shows(t, v, 0)}, "H1": {h.code(t, 6)}} {
		if k, proof, err := s.here.Restore(t.Context(), label, codes); err != nil || proof != desk.Proven || k.State != token.Active || k.BlockedFrom != "" || k.BlockedBy != "" {
			t.Errorf("%s: %+v, %s, %v", label, k, proof, err)
		}
		if s.accepts(t, label, codes[0]) {
			t.Errorf("%s: the code that restored was accepted", label)
		}
	}
	s.pass(time.Minute)
	if s.accepts(t, "T1", seen) || s.accepts(t, "H1", h.code(t, 5)) {
		t.Error("dead codes live")
	}
	s.pass(time.Minute)
	if !s.accepts(t, "T1", s.shows(t, v, 0)) || !s.accepts(t, "H1", h.code(t, 7)) {
		t.Error("fresh codes are dead")
	}
}

// testRestoreStock: what was lost from the box comes back into the box.
func testRestoreStock(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.box(t, v)
	s.block(t, "T1", desk.Block{Reason: token.ReasonLost})
	if _, proof, err := s.here.Restore(t.Context(), "T1", []string{s.shows(t, v, 0)}); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	s.is(t, "T1", token.InStock, "")
	s.pass(time.Minute)
	if s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("accepted in stock")
	}
	label, shows := s.app(t, "anna")
	s.block(t, label, desk.Block{Reason: token.ReasonLost})
	if _, proof, err := s.here.Restore(t.Context(), label, []string{shows(0)}); err != nil || proof != desk.NotIssued {
		t.Errorf("an app that was never proven: %s, %v", proof, err)
	}
}

// testOldPair: two codes that somebody saw before a token was lost prove nothing, though nobody used them, and do not set its clock.
func testOldPair(t *testing.T, s *lifeSuite) {
	v, slow := totpToken("T1", 1), totpToken("T2", 2)
	s.issued(t, v, "anna")
	s.issued(t, slow, "bert")
	s.pass(6 * time.Hour)
	seen := []string{s.shows(t, v, 0), s.shows(t, v, v.period)}
	s.pass(time.Hour)
	s.block(t, "T1", desk.Block{Reason: token.ReasonStolen})
	s.block(t, "T2", desk.Block{Reason: token.ReasonForgotten})
	for name, verb := range map[string]func() (token.Token, desk.Proof, error){
		"restore": func() (token.Token, desk.Proof, error) { return s.here.Restore(t.Context(), "T1", seen) },
		"return":  func() (token.Token, desk.Proof, error) { return s.here.Return(t.Context(), "T1", seen, "") },
		"resync": func() (token.Token, desk.Proof, error) {
			k, _, proof, err := s.here.Resync(t.Context(), "T1", seen[0], seen[1])
			return k, proof, err
		},
	} {
		s.pass(time.Hour)
		if k, proof, err := verb(); err != nil || proof != desk.NotNewer || k.State != token.Lost {
			t.Errorf("%s: %s, %s, %v", name, k.State, proof, err)
		}
	}
	if c := s.credential(t, "T1"); c.Counters.Clock.Drift != 0 {
		t.Errorf("%+v", c.Counters.Clock)
	}
	const ahead = -time.Hour // what it shows now it showed after the block by any clock
	pair := []string{s.shows(t, slow, ahead), s.shows(t, slow, ahead+slow.period)}
	if k, proof, err := s.here.Restore(t.Context(), "T2", pair); err != nil || proof != desk.Proven || k.State != token.Active {
		t.Errorf("out of step: %s, %s, %v", k.State, proof, err)
	}
	s.pass(time.Hour)
	if k, proof, err := s.here.Restore(t.Context(), "T1", []string{s.shows(t, v, 0)}); err != nil || proof != desk.Proven || k.State != token.Active {
		t.Errorf("a fresh code: %s, %s, %v", k.State, proof, err)
	}
}

// testProofThrottle: what staff type wrong counts with what is typed wrong at log-ins, for the person.
func testProofThrottle(t *testing.T, s *lifeSuite) {
	v, w := totpToken("T1", 1), totpToken("T2", 2)
	s.issued(t, v, "anna")
	s.issued(t, w, "anna")
	s.pass(time.Hour)
	wrong := func(d *desk.Desk, label string) (desk.Proof, error) {
		_, proof, err := d.Confirm(t.Context(), label, []string{"000000"}, "")
		return proof, err
	}
	if proof, err := wrong(s.here, "T1"); err != nil || proof != desk.WrongCode {
		t.Fatalf("%s, %v", proof, err)
	}
	if _, err := wrong(s.there, "T2"); !isLocked(err) {
		t.Errorf("the other token at once: %v", err)
	}
	if s.accepts(t, "T2", s.shows(t, w, 0)) {
		t.Error("a log-in did not wait")
	}
	s.pass(6 * time.Second)
	if _, proof, err := s.here.Confirm(t.Context(), "T1", []string{s.shows(t, v, 0)}, ""); err != nil || proof != desk.Proven {
		t.Errorf("after the delay: %s, %v", proof, err)
	}
	for n := range 10 {
		if proof, err := wrong(s.here, "T1"); err != nil || proof != desk.WrongCode { // the success forgot the first
			t.Fatalf("%d: %s, %v", n, proof, err)
		}
		s.pass(time.Duration(n+1)*validate.DelayStep + time.Second)
	}
	s.pass(time.Hour)
	if _, _, err := s.here.Confirm(t.Context(), "T1", []string{s.shows(t, v, 0)}, ""); !isLocked(err) {
		t.Errorf("locked: %v", err)
	}
	if s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("a locked person was let in")
	}
	s.pass(24 * time.Hour)
	if !s.accepts(t, "T1", s.shows(t, v, 0)) {
		t.Error("refused after the lock")
	}
}

// testProofThrottleRace: of 128 wrong proofs at once, in two processes, one is looked at.
func testProofThrottleRace(t *testing.T, s *lifeSuite) {
	s.issued(t, totpToken("T1", 1), "anna")
	s.pass(time.Hour)
	got := together(t, 128, func(i int) (bool, error) {
		d := s.here
		if i%2 == 1 {
			d = s.there
		}
		_, proof, err := d.Confirm(t.Context(), "T1", []string{"000000"}, "")
		if isLocked(err) {
			return false, nil
		}
		return proof == desk.WrongCode, err
	})
	if got != 1 {
		t.Errorf("%d were looked at", got)
	}
}

// testProofRace: of one piece of evidence, presented 64 times at once by two processes, one proves, whatever it proves.
func testProofRace(t *testing.T, s *lifeSuite) {
	v := hotpToken("H1", 1)
	k := s.issued(t, v, "anna")
	s.a.issue(t, reservation(101), 1)
	key := s.is(t, "101", token.Active, "")
	for name, tc := range map[string]struct {
		id token.ID
		e  desk.Evidence
	}{
		"HOTP": {k.ID, desk.Evidence{Credential: s.credential(t, "H1").ID, Counters: token.Counters{Use: -1, Session: -1, Moving: 5, At: s.now()}}},
		"OTP":  {key.ID, desk.Evidence{Credential: s.credential(t, "101").ID, Counters: token.Counters{Use: 7, Session: 1, Moving: -1, At: s.now()}, PublicID: token.SerialPublicID(101)}},
	} {
		got := together(t, 64, func(i int) (bool, error) {
			store := []desk.Store{s.a, s.b}[i%2]
			if i%4 < 2 {
				return store.Confirm(t.Context(), tc.id, "", tc.e)
			}
			return store.Resync(t.Context(), tc.id, tc.e)
		})
		if got != 1 {
			t.Errorf("%s: %d proved", name, got)
		}
	}
	e := desk.Evidence{Credential: s.credential(t, "101").ID, Counters: token.Counters{Use: 99, Moving: 99, At: s.now()}}
	if ok, err := s.b.Confirm(t.Context(), k.ID, "", e); ok || err != nil {
		t.Errorf("another token's credential: %v, %v", ok, err)
	}
}
