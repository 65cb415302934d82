package storetest

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// RunOperators runs the suite of operators, their sessions, clients, RADIUS devices and groups. open gives two ways into one empty store, as two
// processes have it, both by that clock.
func RunOperators(t *testing.T, open func(t *testing.T, now func() time.Time) (here, there Full)) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *staffSuite)
	}{
		{"operators", testOperators},
		{"operator refusals", testOperatorRefusals},
		{"sessions", testSessions},
		{"session idles", testSessionIdles},
		{"session ends", testSessionEnds},
		{"revoked operator", testRevokedOperator},
		{"client rotation", testRotation},
		{"client rotation at once", testRotationNow},
		{"one of 8 rotations", testRotationRace},
		{"client rights", testClientRights},
		{"revoked client", testRevokedClient},
		{"RADIUS", testRADIUS},
		{"RADIUS rotation", testRADIUSRotation},
		{"RADIUS refusals", testRADIUSRefusals},
		{"RADIUS, revoked", testRevokedRADIUS},
		{"groups", testGroups},
		{"groups of a holder", testHolderGroups},
		{"profiles", testProfiles},
		{"profile race", testProfileRace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &staffSuite{time: at(0)}
			here, there := open(t, s.now)
			s.a = ledgerSuite{here}
			s.b = there
			s.here = &desk.Desk{Store: here, Now: s.now, Rand: rand.Reader}
			s.there = &desk.Desk{Store: there, Now: s.now, Rand: rand.Reader}
			tc.run(t, s)
		})
	}
}

// staffSuite is one run: two processes and a clock that tests move.
type staffSuite struct {
	a           ledgerSuite
	b           Full
	here, there *desk.Desk
	mu          sync.Mutex
	time        time.Time
}

func (s *staffSuite) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.time
}

func (s *staffSuite) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.time = s.time.Add(d)
}

// operator registers one and returns the text of the API token.
func (s *staffSuite) operator(t *testing.T, name string, roles ...desk.Role) string {
	t.Helper()
	o, apiToken, err := s.here.AddOperator(t.Context(), name, roles)
	if err != nil || o.ID < 1 || o.Name != name || !o.Active || !o.Created.Equal(s.now()) {
		t.Fatalf("%+v, %v", o, err)
	}
	return string(apiToken.Reveal())
}

func testOperators(t *testing.T, s *staffSuite) {
	anna := s.operator(t, "anna", desk.RoleHelpdesk, desk.RoleIssuer, desk.RoleHelpdesk)
	bert := s.operator(t, "bert", desk.RoleAuditor)
	if rest, ok := strings.CutPrefix(anna, "td_"); !ok || len(rest) != 43 || anna == bert {
		t.Errorf("a token of %d characters", len(anna))
	}
	for _, d := range []*desk.Desk{s.here, s.there} {
		o, err := d.Authenticate(t.Context(), anna)
		if err != nil || o.Name != "anna" || !slices.Equal(o.Roles, []desk.Role{desk.RoleIssuer, desk.RoleHelpdesk}) || !o.May(desk.RightIssue) || o.May(desk.RightAudit) {
			t.Errorf("%+v, %v", o, err)
		}
		list, err := d.Operators(t.Context())
		if err != nil || len(list) != 2 || list[0].Name != "anna" || list[1].Name != "bert" || !list[1].Active {
			t.Errorf("%+v, %v", list, err)
		}
	}
}

func testOperatorRefusals(t *testing.T, s *staffSuite) {
	good := s.operator(t, "anna", desk.RoleAdmin)
	swapped := []byte(good)
	swapped[10] ^= 1
	for _, text := range []string{"", "td_", good[3:], good + "A", good[:45], string(swapped), strings.ToUpper(good), " " + good, strings.Repeat("x", 10000), "\xff\x00"} {
		if _, err := s.there.Authenticate(t.Context(), text); !errors.Is(err, token.ErrNotFound) || len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("%d characters: %v", len(text), err)
		}
		if _, _, err := s.there.LogIn(t.Context(), text); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("log in, %d characters: %v", len(text), err)
		}
	}
	var text *desk.TextError
	if _, _, err := s.here.AddOperator(t.Context(), "", []desk.Role{desk.RoleAdmin}); !errors.As(err, &text) {
		t.Errorf("no name: %v", err)
	}
	for _, roles := range [][]desk.Role{nil, {"root"}, {desk.RoleAdmin, ""}} {
		if _, _, err := s.here.AddOperator(t.Context(), "bert", roles); !errors.Is(err, desk.ErrRole) {
			t.Errorf("roles %q: %v", roles, err)
		}
	}
	if _, _, err := s.there.AddOperator(t.Context(), "anna", []desk.Role{desk.RoleAdmin}); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("again: %v", err)
	}
	if err := s.here.RevokeOperator(t.Context(), "nobody"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("revoke nobody: %v", err)
	}
}

// session logs in and returns the cookie's value.
func (s *staffSuite) session(t *testing.T, apiToken string) string {
	t.Helper()
	n, o, err := s.here.LogIn(t.Context(), apiToken)
	if err != nil || n.Value.Len() != 43 || len(n.CSRF) != 43 || n.CSRF == string(n.Value.Reveal()) || o.Name == "" {
		t.Fatalf("%+v, %v", o, err)
	}
	return string(n.Value.Reveal())
}

func (s *staffSuite) alive(t *testing.T, value string, want bool) {
	t.Helper()
	o, csrf, err := s.there.Session(t.Context(), value)
	switch {
	case want && (err != nil || o.Name != "anna" || len(csrf) != 43):
		t.Errorf("at %v: %+v, %v", s.now(), o, err)
	case !want && (!errors.Is(err, token.ErrNotFound) || o.Name != "" || csrf != ""):
		t.Errorf("at %v it lives: %+v, %v", s.now(), o, err)
	}
}

func testSessions(t *testing.T, s *staffSuite) {
	apiToken := s.operator(t, "anna", desk.RoleHelpdesk)
	one, two := s.session(t, apiToken), s.session(t, apiToken)
	s.alive(t, one, true)
	s.alive(t, two, true)
	for _, other := range []string{"", apiToken, one[1:], one + "A", two[:42] + "!"} {
		s.alive(t, other, false)
	}
	if _, err := s.here.Authenticate(t.Context(), one); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("a session's value as an API token: %v", err)
	}
	if a, b := s.csrf(t, one), s.csrf(t, two); a == b {
		t.Error("two sessions share a CSRF value")
	}
	for range 2 { // the second finds none
		s.a.must(t, s.there.LogOut(t.Context(), one))
	}
	s.alive(t, one, false)
	s.alive(t, two, true)
}

func (s *staffSuite) csrf(t *testing.T, value string) string {
	t.Helper()
	_, csrf, err := s.here.Session(t.Context(), value)
	s.a.must(t, err)
	return csrf
}

// testSessionIdles: a request within the first minute is not noted, one after it is.
func testSessionIdles(t *testing.T, s *staffSuite) {
	apiToken := s.operator(t, "anna", desk.RoleHelpdesk)
	idle, soon, later := s.session(t, apiToken), s.session(t, apiToken), s.session(t, apiToken)
	s.pass(59 * time.Second)
	s.alive(t, soon, true)
	s.pass(2 * time.Second)
	s.alive(t, later, true)
	s.pass(desk.SessionIdle - 62*time.Second)
	s.alive(t, idle, true) // and noted
	s.pass(2 * time.Second)
	s.alive(t, soon, false)
	s.alive(t, later, true) // and noted
	s.pass(desk.SessionIdle - 2*time.Second)
	s.alive(t, idle, false)
	s.pass(time.Second)
	s.alive(t, later, true)
	s.pass(desk.SessionIdle)
	s.alive(t, later, false)
}

func testSessionEnds(t *testing.T, s *staffSuite) {
	value := s.session(t, s.operator(t, "anna", desk.RoleHelpdesk))
	for range 47 { // every ten minutes, 7 h 50 min
		s.pass(10 * time.Minute)
		s.alive(t, value, true)
	}
	s.pass(10*time.Minute - time.Second)
	s.alive(t, value, true)
	s.pass(time.Second)
	s.alive(t, value, false)
	s.pass(-time.Hour) // a clock that is put back lets it live on, as it would have
	s.alive(t, value, true)
}

func testRevokedOperator(t *testing.T, s *staffSuite) {
	apiToken := s.operator(t, "anna", desk.RoleAdmin)
	other := s.operator(t, "bert", desk.RoleAdmin)
	value := s.session(t, apiToken)
	s.alive(t, value, true)
	s.a.must(t, s.here.RevokeOperator(t.Context(), "anna"))
	s.alive(t, value, false)
	if _, err := s.there.Authenticate(t.Context(), apiToken); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("the API token: %v", err)
	}
	if _, _, err := s.there.LogIn(t.Context(), apiToken); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("log in: %v", err)
	}
	if err := s.there.RevokeOperator(t.Context(), "anna"); !errors.Is(err, token.ErrConflict) {
		t.Errorf("again: %v", err)
	}
	if _, _, err := s.here.AddOperator(t.Context(), "anna", []desk.Role{desk.RoleAdmin}); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("the name for somebody else: %v", err)
	}
	if list, err := s.there.Operators(t.Context()); err != nil || list[0].Active || list[0].May(desk.RightOperators) {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := s.there.Authenticate(t.Context(), other); err != nil {
		t.Errorf("another: %v", err)
	}
}
