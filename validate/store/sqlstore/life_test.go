package sqlstore

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

func TestLife(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunLife(t, func(t *testing.T, now func() time.Time) (storetest.Full, storetest.Full) {
			h := open(t)
			h.s.now, h.another.now = now, now
			return h.s, h.another
		})
	})
}

// TestSweepKeepsMarks: a secret that a program without marks wrote is known again after it was swept, so that an old file does not
// bring a revoked key back with its counters at the start.
func TestSweepKeepsMarks(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	if _, err := s.Import(t.Context(), "a", []keyfile.Record{sample.Carol()}); err != nil {
		t.Fatal(err)
	}
	list, err := s.Tokens(t.Context(), desk.Match{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := s.write.db.Exec(`UPDATE credential SET mark = x''`); err != nil {
		t.Fatal(err)
	}
	if err := s.Retire(t.Context(), list[0].ID, "shredded"); err != nil {
		t.Fatal(err)
	}
	now := s.now().Add(keepRevoked)
	s.now = func() time.Time { return now }
	if got, err := s.Sweep(t.Context()); err != nil || got.Secrets == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	r := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Label, r.Serial = "other", token.Serial(0) })
	if got, err := s.Import(t.Context(), "b", []keyfile.Record{r}); err != nil || got[0].Outcome != desk.Different {
		t.Errorf("%+v, %v", got, err)
	}
}
