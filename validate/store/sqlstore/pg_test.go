package sqlstore

import (
	"testing"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// makePG makes a store in a database of the test's own.
func makePG(t testing.TB, server *pgtest.Server) (*Store, place) {
	t.Helper()
	p := place{server.NewDatabase(t), drawKeys(t, t.TempDir())}
	s, err := Create(t.Context(), p.dir, p.keys, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s, p
}

func openPGHarness(t testing.TB, server *pgtest.Server) harness {
	s, p := makePG(t, server)
	h := harness{s, p.openStore(t)}
	t.Cleanup(func() { verifyAudit(t, s) })
	return h
}

// TestPGCounters runs the suite of counters on PostgreSQL.
func TestPGCounters(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	storetest.RunCounters(t, func(t *testing.T) storetest.Harness { return openPGHarness(t, server) })
}
