package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

func TestFactors(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunFactors(t, func(t *testing.T, now func() time.Time) (storetest.Full, storetest.Full) {
			h := open(t)
			h.s.now, h.another.now = now, now
			return h.s, h.another
		})
	})
}

// held is a HOTP token of a new person: its generator, whose key is the caller's.
func held(t testing.TB, s *Store, account string, state token.State) oath.Generator {
	t.Helper()
	key := secret.New([]byte(strings.Repeat("k", 20)))
	got, err := s.Import(context.Background(), "f", []keyfile.Record{{Kind: token.HOTP, Label: "of " + account, Key: key.Clone(), Digits: 6, Hash: "sha1"}})
	if err != nil || got[0].Outcome != "new" {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := s.AddPersons(context.Background(), []token.Person{{Account: account}}); err != nil {
		t.Fatal(err)
	}
	execute(t, s, fmt.Sprintf(`UPDATE token SET state = '%s', holder = (SELECT id FROM person WHERE account = '%s') WHERE label = 'of %s'`, state, account, account))
	execute(t, s, fmt.Sprintf(`UPDATE credential SET state = '%s' WHERE token = (SELECT id FROM token WHERE label = 'of %s')`, state, account))
	execute(t, s, `UPDATE counter SET enabled = 1`)
	g, err := oath.New(key, oath.SHA1, 6)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newChecker(s *Store) *validate.Checker {
	return validate.NewChecker(s, validate.New(s, s.now), s.now)
}

// TestFirstCodeProves: a credential that waited for its first code is active by it, with its token.
func TestFirstCodeProves(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	g := held(t, s, "anna", token.Programmed)
	got, err := newChecker(s).Check(t.Context(), validate.Factor{Account: "anna", Text: g.Code(3)})
	if err != nil || got.Outcome != validate.Accepted {
		t.Fatalf("%+v, %v", got, err)
	}
	c, err := oneCredential(t.Context(), s.read, `WHERE c.id = ?`, got.Credential)
	if err != nil || c.State != token.Active || c.ProvenAt.IsZero() || c.Counters.Moving != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	if k, err := oneToken(t.Context(), s.read, `WHERE t.id = ?`, got.Token); err != nil || k.State != token.Active {
		t.Errorf("%+v, %v", k, err)
	}
}

// TestCodesInAudit: each attempt is one event with what was decided and the moving factor, without the code and without what was typed
// as a name; none is in the files.
func TestCodesInAudit(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	g := held(t, s, "anna", token.Active)
	c := newChecker(s)
	typed := []string{g.Code(7), "918273", "7KM4Q2X9AB"}
	for _, f := range []validate.Factor{
		{Account: "anna", Text: typed[0], Source: "192.0.2.9", Signed: true}, {Account: "anna", Text: typed[1]}, {Account: "my password 123", Text: typed[1]}, {Account: "anna", Text: typed[2]},
	} {
		if _, err := c.Check(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for e, err := range s.AuditEvents(t.Context(), AuditFilter{Chain: s.chain}) {
		if err != nil {
			t.Fatal(err)
		}
		detail, _, _ := strings.Cut(e.Detail, `,"desk":`)
		got = append(got, e.Action+" "+e.Object+" "+strings.TrimSuffix(detail, "}"))
	}
	want := []string{
		`validate token 1 {"credential":1,"kind":"hotp","person":1,"token":1,"source":"192.0.2.9","result":"OK","reason":"accepted","signed":true,"use":-1,"session":-1,"moving":7`,
		`validate person anna {"person":1,"result":"BAD_OTP","reason":"wrong code","signed":false,"use":-1,"session":-1`,
		`validate  {"result":"BAD_OTP","reason":"unknown person or token","signed":false,"use":-1,"session":-1`,
		`validate person anna {"person":1,"result":"BAD_OTP","reason":"wrong code","signed":false,"use":-1,"session":-1`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, bytes := range p.files(t) {
		for _, text := range append(typed, "my password") {
			if strings.Contains(string(bytes), text) {
				t.Errorf("%s holds %q", name, text)
			}
		}
	}
	verifyAudit(t, s)
}

// TestTheSameStatements: an unknown person, a known one and a locked one cost one transaction each, of as many statements that write.
func TestTheSameStatements(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	held(t, s, "anna", token.Active)
	c := newChecker(s)
	changes := func() (n int) {
		if err := s.write.db.QueryRow(`SELECT total_changes()`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	check := func(account string) int {
		before := changes()
		if got, err := c.Check(t.Context(), validate.Factor{Account: account, Text: "000000"}); err != nil || got.Outcome != validate.BadOTP {
			t.Fatalf("%+v, %v", got, err)
		}
		return changes() - before
	}
	check("anna") // this process's chain begins
	check("nobody")
	for account, want := range map[string]int{"anna": 4, "nobody": 4} { // anna is throttled: subject, client, event, head
		if n := check(account); n != want {
			t.Errorf("%s: %d rows written, want %d", account, n, want)
		}
	}
	execute(t, s, `UPDATE throttle SET at = 1`)
	if n := check("anna"); n != 4 {
		t.Errorf("a wrong code: %d rows written", n)
	}
	execute(t, s, `UPDATE throttle SET failures = 10 WHERE subject LIKE 'person%'`)
	if n := check("anna"); n != 4 {
		t.Errorf("locked: %d rows written", n)
	}
}

// BenchmarkKnownSubject, BenchmarkUnknownSubject and BenchmarkLockedSubject take a wrong code of 6 digits to its refusal, made durable.
func BenchmarkKnownSubject(b *testing.B)   { benchmarkSubject(b, subjectCases[:1]) }
func BenchmarkUnknownSubject(b *testing.B) { benchmarkSubject(b, subjectCases[1:2]) }
func BenchmarkLockedSubject(b *testing.B)  { benchmarkSubject(b, subjectCases[2:]) }

// BenchmarkSubjectsInTurn asks them in turn, so that what else the machine does meets all alike, and reports the medians.
func BenchmarkSubjectsInTurn(b *testing.B) { benchmarkSubject(b, subjectCases) }

// subjectCases are who is asked about, and the failures before.
var subjectCases = []struct {
	name, account string
	failures      int
}{{"known", "anna", 0}, {"unknown", "nobody", 0}, {"locked", "anna", 10}}

func benchmarkSubject(b *testing.B, list []struct {
	name, account string
	failures      int
}) {
	s, _ := makeStore(b)
	held(b, s, "anna", token.Active)
	c := newChecker(s)
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, tc := range list {
			b.StopTimer()
			execute(b, s, `INSERT OR REPLACE INTO throttle VALUES ('person 1', ?, ?)`, tc.failures, micros(s.now()))
			b.StartTimer()
			start := time.Now()
			if _, err := c.Check(b.Context(), validate.Factor{Account: tc.account, Text: "000000"}); err != nil {
				b.Fatal(err)
			}
			took[tc.name] = append(took[tc.name], time.Since(start))
		}
	}
	for name, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), name+"-µs")
	}
}
