package storetest

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Diagnosed is a store that a Doctor can ask.
type Diagnosed interface {
	Full
	diagnose.Store
}

// RunDiagnosis runs the suite of diagnosis and of kept attempts; open gives an empty store each time.
func RunDiagnosis(t *testing.T, open func(t *testing.T) Diagnosed) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s diagnosisSuite)
	}{
		{"a key's life", testDiagnoseKey},
		{"codes", testDiagnoseCodes},
		{"subjects", testSubjectOf},
		{"attempts", testAttempts},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			now := func() time.Time { return at(100) }
			d := deskSuite{ledgerSuite{s}, &desk.Desk{Store: s, Now: now, Rand: rand.Reader}}
			tc.run(t, diagnosisSuite{d, s, &diagnose.Doctor{Store: s, Now: now}})
		})
	}
}

type diagnosisSuite struct {
	deskSuite
	store Diagnosed
	doc   *diagnose.Doctor
}

// codes are the findings' codes.
func (s diagnosisSuite) codes(t *testing.T, q diagnose.Question) []string {
	t.Helper()
	list, err := s.doc.Diagnose(t.Context(), q)
	s.must(t, err)
	var out []string
	for _, f := range list {
		out = append(out, f.Code)
	}
	return out
}

func (s diagnosisSuite) expect(t *testing.T, what string, q diagnose.Question, want ...string) {
	t.Helper()
	if got := s.codes(t, q); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func testDiagnoseKey(t *testing.T, s diagnosisSuite) {
	_, err := s.store.AddPersons(t.Context(), []token.Person{{Account: "anna"}, {Account: "berta"}})
	s.must(t, err)
	anna, err := s.store.Person(t.Context(), "anna")
	s.must(t, err)
	r := reservation(101)
	r.Holder = anna.ID
	s.issue(t, r, 1)
	press := func(use, session int) string { // as the clock of a key would have it
		c := Sample(1, "")
		c.PublicID = r.PublicID
		return c.Press(t, yubiotp.Token{UseCounter: uint16(use), SessionCounter: uint8(session), Timestamp: 5})
	}
	q := diagnose.Question{Account: "anna", Text: press(2, 0)}
	s.expect(t, "a good one", q)
	c, err := s.store.Find(t.Context(), r.PublicID)
	s.must(t, err)
	if ok, err := s.store.Accept(t.Context(), validate.Advance{Credential: c.ID, Use: 2, Timestamp: 5, At: at(2)}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	s.expect(t, "again", q, "D19")
	s.expect(t, "the one before", diagnose.Question{Account: "anna", Text: press(1, 9)}, "D20")
	s.expect(t, "by serial", diagnose.Question{Serial: "101", Text: press(1, 9)}, "D20")
	s.expect(t, "of somebody else", diagnose.Question{Account: "berta", Text: press(3, 0)}, "D13")
	s.expect(t, "of nobody", diagnose.Question{Account: "nobody", Text: press(3, 0)})
	_, _, _, err = s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonStolen})
	s.must(t, err)
	s.expect(t, "blocked", diagnose.Question{Account: "anna", Text: press(3, 0)}, "D29")
	s.expect(t, "blocked, and used", q, "D29", "D19")
}

func testDiagnoseCodes(t *testing.T, s diagnosisSuite) {
	_, err := s.store.AddPersons(t.Context(), []token.Person{{Account: "anna"}})
	s.must(t, err)
	seed := []byte("12345678901234567890")
	s.imported(t, keyfile.Record{Kind: token.HOTP, Label: "OATH0001", Key: secret.Copy(seed), Counter: 12, Owner: "anna"})
	g, err := oath.New(secret.New(seed), oath.SHA1, 6)
	s.must(t, err)
	s.expect(t, "in stock", diagnose.Question{Serial: "OATH0001", Text: g.Code(12)}, "D14")
	s.expect(t, "in stock, far ahead", diagnose.Question{Serial: "OATH0001", Text: g.Code(512)}, "D14", "D21")
	s.expect(t, "in stock, used", diagnose.Question{Serial: "OATH0001", Text: g.Code(7)}, "D14", "D22")
	s.expect(t, "no code of it", diagnose.Question{Serial: "OATH0001", Text: "12345678"}, "D28")
}

func testSubjectOf(t *testing.T, s diagnosisSuite) {
	_, err := s.store.AddPersons(t.Context(), []token.Person{{Account: "anna"}})
	s.must(t, err)
	anna, err := s.store.Person(t.Context(), "anna")
	s.must(t, err)
	r := reservation(101)
	r.Holder = anna.ID
	s.issue(t, r, 1)
	again := reservation(101) // the slot is written again: its former credential is revoked
	again.Holder, again.PublicID = anna.ID, token.SerialPublicID(999)
	s.issue(t, again, 2)
	s.imported(t, keyfile.Record{Kind: token.TOTP, Label: "T1", Key: secret.Copy(make([]byte, 20))})
	for name, tc := range map[string]struct {
		account, serial string
		known           bool
		held            []token.State
	}{
		"account": {"anna", "", true, []token.State{token.Revoked, token.Active}},
		"serial":  {"", "101", true, []token.State{token.Revoked, token.Active}},
		"label":   {"", "T1", true, []token.State{token.InStock}},
		"no one":  {"nobody", "", false, nil}, "nothing": {"", "0", false, nil}, "empty": {"", "", false, nil},
	} {
		sub, err := s.store.Subject(t.Context(), tc.account, tc.serial)
		var states []token.State
		for _, h := range sub.Held {
			states = append(states, h.Credential.State)
		}
		if err != nil || sub.Known() != tc.known || !slices.Equal(states, tc.held) {
			t.Errorf("%s: %+v, %v", name, sub, err)
		}
	}
	held, err := s.store.Holders(t.Context(), []token.PublicID{r.PublicID, again.PublicID, token.SerialPublicID(5)})
	if err != nil || len(held) != 2 || held[0].Credential.State != token.Revoked || held[1].Token.Holder.Account != "anna" {
		t.Errorf("%+v, %v", held, err)
	}
	h, err := s.store.Health(t.Context())
	if err != nil || h.ReadOnly {
		t.Errorf("%+v, %v", h, err)
	}
}

func testAttempts(t *testing.T, s diagnosisSuite) {
	_, err := s.store.AddPersons(t.Context(), []token.Person{{Account: "anna", Name: "Anna Adler"}})
	s.must(t, err)
	anna, err := s.store.Person(t.Context(), "anna")
	s.must(t, err)
	s.key(t, 1)
	k, err := s.d.Find(t.Context(), "101")
	s.must(t, err)
	want := diagnose.Attempt{Client: 3, Source: "192.0.2.7", Person: &anna, Token: k.ID, Findings: []diagnose.Finding{{Code: "D19", Title: "t", Cause: "c", Evidence: "e", User: "u", Helper: "h", Action: "a"}}}
	s.must(t, s.doc.Keep(t.Context(), "7KM4Q2X9", want))
	got, err := s.doc.Attempt(t.Context(), "7KM4Q2X9")
	if err != nil || got.Client != 3 || got.Source != want.Source || got.Person.Name != "Anna Adler" || got.Token != k.ID || !slices.Equal(got.Findings, want.Findings) || !got.At.Equal(at(100)) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.doc.Keep(t.Context(), "7KM4Q2X9", diagnose.Attempt{}); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("again: %v", err)
	}
	s.must(t, s.doc.Keep(t.Context(), "22222222", diagnose.Attempt{}))
	if got, err := s.doc.Attempt(t.Context(), "22222222"); err != nil || got.Person != nil || got.Token != 0 || len(got.Findings) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.doc.Attempt(t.Context(), "33333333"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}
