package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func testIssue(t *testing.T, s *lifeSuite) {
	for _, tc := range []struct {
		v     vendor
		ahead time.Duration // of its clock
		code  int64         // HOTP
		drift int64
	}{
		{totpToken("T1", 1), 0, 0, 0},
		{totpToken("T2", 2), -2 * time.Minute, 0, -4},
		{totpToken("T3", 3), 5 * time.Minute, 0, 10}, // in a box for years: a wide first window
		{vendor{token.TOTP, "T4", 4, time.Minute}, -3 * time.Minute, 0, -3},
		{hotpToken("H1", 5), 0, 0, 0},
		{hotpToken("H2", 6), 0, 10, 0},
	} {
		s.box(t, tc.v)
		code, next := s.shows2(t, tc.v, tc.ahead, tc.code)
		k, proof, err := s.here.Issue(t.Context(), tc.v.label, handTo("anna", " "+code[:3]+" "+code[3:]+"\n"))
		if err != nil || proof != desk.Proven || !k.IssuedAt.Equal(s.now()) {
			t.Fatalf("%s: %+v, %s, %v", tc.v.label, k, proof, err)
		}
		s.is(t, tc.v.label, token.Active, "anna")
		c := s.credential(t, tc.v.label)
		if c.State != token.Active || c.ProvenAt.IsZero() || !c.Enabled || c.Counters.Clock.Drift != tc.drift {
			t.Errorf("%s: %+v", tc.v.label, c)
		}
		if s.accepts(t, tc.v.label, code) {
			t.Errorf("%s: the code that issued it was accepted", tc.v.label)
		}
		s.pass(time.Minute)
		if !s.accepts(t, tc.v.label, next) {
			t.Errorf("%s: the next code was refused", tc.v.label)
		}
		s.pass(24 * time.Hour)
	}
}

// shows2 is what a token shows now, and a minute later.
func (s *lifeSuite) shows2(t *testing.T, v vendor, ahead time.Duration, moving int64) (code, next string) {
	t.Helper()
	if v.kind == token.HOTP {
		return v.code(t, moving), v.code(t, moving+1)
	}
	return s.shows(t, v, ahead), s.shows(t, v, ahead+time.Minute)
}

func testIssueOutOfStep(t *testing.T, s *lifeSuite) {
	slow, ahead := totpToken("T1", 1), hotpToken("H1", 2)
	s.box(t, slow, ahead)
	const hours = -23 * time.Hour
	for name, tc := range map[string]struct{ label, first, second string }{
		"TOTP": {"T1", s.shows(t, slow, hours), s.shows(t, slow, hours+30*time.Second)},
		"HOTP": {"H1", ahead.code(t, 900), ahead.code(t, 901)},
	} {
		for _, codes := range [][]string{{tc.first}, {tc.second}} {
			if k, proof, err := s.here.Issue(t.Context(), tc.label, handTo("anna", codes...)); err != nil || proof != desk.NeedSecond || k.State != token.InStock {
				t.Errorf("%s: one far code: %s, %v", name, proof, err)
			}
		}
		if _, proof, err := s.here.Issue(t.Context(), tc.label, handTo("anna", tc.first, tc.second)); err != nil || proof != desk.Proven {
			t.Errorf("%s: %s, %v", name, proof, err)
		}
		for _, code := range []string{tc.first, tc.second} {
			if s.accepts(t, tc.label, code) {
				t.Errorf("%s: a spent code was accepted", name)
			}
		}
	}
	s.pass(time.Hour)
	if c := s.credential(t, "T1"); c.Counters.Clock.Drift != int64(hours/slow.period)+1 {
		t.Errorf("drift %d", c.Counters.Clock.Drift)
	}
	if !s.accepts(t, "H1", ahead.code(t, 902)) {
		t.Error("the next HOTP was refused")
	}
}

func testIssueOther(t *testing.T, s *lifeSuite) {
	one, two := totpToken("4711-0023", 1), totpToken("4711-0032", 2)
	s.box(t, one, two)
	k, proof, err := s.here.Issue(t.Context(), one.label, handTo("anna", s.shows(t, two, 0)))
	if err != nil || proof != desk.OtherToken || k.Label != two.label {
		t.Errorf("%s, %s, %v", k.Label, proof, err)
	}
	s.is(t, one.label, token.InStock, "")
	s.is(t, two.label, token.InStock, "")
	s.pass(time.Minute)
	if k, proof, err := s.here.Issue(t.Context(), one.label, handTo("anna", "000000")); err != nil || proof != desk.WrongCode || k.Label != one.label {
		t.Errorf("nobody's code: %s, %s, %v", k.Label, proof, err)
	}
	c := Sample(9, "")
	s.a.must(t, s.here.Import(t.Context(), "f", feed(yubico(9, 501)), func(desk.Imported) {}))
	s.pass(time.Minute)
	if k, proof, err := s.here.Issue(t.Context(), one.label, handTo("anna", c.Press(t, otpOf(3, 0)))); err != nil || proof != desk.OtherToken || k.Serial != 501 {
		t.Errorf("a YubiKey's: %d, %s, %v", k.Serial, proof, err)
	}
	if k, proof, err := s.here.Issue(t.Context(), "501", handTo("anna", c.Press(t, otpOf(3, 0)))); err != nil || proof != desk.Proven || k.State != token.Active {
		t.Errorf("the YubiKey itself: %s, %s, %v", k.State, proof, err)
	}
	s.pass(time.Minute)
	garbled := Sample(9, "")
	garbled.Key = Sample(8, "").Key
	if k, proof, err := s.here.Issue(t.Context(), "501", handTo("anna", garbled.Press(t, otpOf(4, 0)))); err != nil || proof != desk.WrongCode || k.Serial != 501 {
		t.Errorf("its public ID with a block that does not open: %d, %s, %v", k.Serial, proof, err)
	}
	if got, err := s.b.Find(t.Context(), c.PublicID); err != nil || got.Row.State != token.Active || !got.Row.Enabled || got.Row.Counters.Use != 3 {
		t.Errorf("%+v, %v", got.Row, err)
	}
}

func testIssueRefusals(t *testing.T, s *lifeSuite) {
	v := totpToken("T1", 1)
	s.issued(t, v, "anna")
	s.box(t, totpToken("T2", 2), totpToken("T3", 3))
	s.block(t, "T3", desk.Block{Reason: token.ReasonLost})
	good := func(seed byte) string { return s.shows(t, totpToken("", seed), 30*time.Second) }
	for name, tc := range map[string]struct {
		query string
		issue desk.Issue
		is    func(error) bool
	}{
		"held":               {"T1", handTo("bert", good(1)), func(err error) bool { return errors.Is(err, desk.ErrHeld) }},
		"nobody":             {"T2", handTo("nobody", good(2)), func(err error) bool { return errors.Is(err, token.ErrNotFound) }},
		"no token":           {"T9", handTo("anna", good(2)), func(err error) bool { return errors.Is(err, token.ErrNotFound) }},
		"blocked":            {"T3", handTo("anna", good(3)), isTransition},
		"unknown check":      {"T2", desk.Issue{To: "anna", IDCheck: "smile", Codes: []string{good(2)}}, isText},
		"note":               {"T2", desk.Issue{To: "anna", IDCheck: desk.ByVideo, Codes: []string{good(2)}, Note: "a\nb"}, isText},
		"replaces itself":    {"T2", desk.Issue{To: "anna", IDCheck: desk.ByVideo, Codes: []string{good(2)}, Replace: "T2"}, isText},
		"replaces another's": {"T2", desk.Issue{To: "bert", IDCheck: desk.ByVideo, Codes: []string{good(2)}, Replace: "T1"}, isText},
		"replaces nothing":   {"T2", desk.Issue{To: "bert", IDCheck: desk.ByVideo, Codes: []string{good(2)}, Replace: "T9"}, func(err error) bool { return errors.Is(err, token.ErrNotFound) }},
	} {
		if _, proof, err := s.here.Issue(t.Context(), tc.query, tc.issue); !tc.is(err) || proof != "" {
			t.Errorf("%s: %s, %v", name, proof, err)
		}
	}
	for name, tc := range map[string]struct {
		codes []string
		want  desk.Proof
	}{"none": {nil, desk.NoCode}, "empty": {[]string{""}, desk.NoCode}, "text": {[]string{"issue it"}, desk.NoCode}, "short": {[]string{"12345"}, desk.NoCode}, "eight": {[]string{"12345678"}, desk.WrongCode}} {
		s.pass(time.Hour)
		if _, proof, err := s.here.Issue(t.Context(), "T2", handTo("anna", tc.codes...)); err != nil || proof != tc.want {
			t.Errorf("%s: %s, %v", name, proof, err)
		}
	}
	s.is(t, "T1", token.Active, "anna")
	s.is(t, "T2", token.InStock, "")
}

func testIssueReplaces(t *testing.T, s *lifeSuite) {
	old, fresh := totpToken("T1", 1), totpToken("T2", 2)
	s.issued(t, old, "anna")
	s.box(t, fresh)
	s.block(t, "T1", desk.Block{Reason: token.ReasonDamaged})
	s.pass(time.Minute)
	i := handTo("anna", s.shows(t, fresh, 0))
	i.Replace = "T1"
	if _, proof, err := s.here.Issue(t.Context(), "T2", i); err != nil || proof != desk.Proven {
		t.Fatalf("%s, %v", proof, err)
	}
	s.is(t, "T1", token.Revoked, "anna")
	s.is(t, "T2", token.Active, "anna")
	s.pass(time.Minute)
	if s.accepts(t, "T1", s.shows(t, old, 0)) || !s.accepts(t, "T2", s.shows(t, fresh, 0)) {
		t.Error("the replaced token validates, or the new one does not")
	}
	if _, err := s.here.Undo(t.Context(), "T1"); !isTransition(err) {
		t.Errorf("undo of what was replaced: %v", err)
	}
}

// testIssueRace: of two operators who hand one token to two persons, one does.
func testIssueRace(t *testing.T, s *lifeSuite) {
	for n := range 8 {
		v := totpToken(string(rune('A'+n))+"1", byte(n+1))
		s.box(t, v)
		got := together(t, 2, func(i int) (bool, error) {
			d, account, ahead := s.here, "anna", time.Duration(0)
			if i == 1 {
				d, account, ahead = s.there, "bert", 30*time.Second
			}
			_, proof, err := d.Issue(t.Context(), v.label, handTo(account, s.shows(t, v, ahead)))
			if errors.Is(err, desk.ErrHeld) || isTransition(err) || isLocked(err) {
				err = nil
			}
			return proof == desk.Proven, err
		})
		if got != 1 {
			t.Errorf("%d of two desks issued it", got)
		}
		s.pass(time.Hour)
	}
}
