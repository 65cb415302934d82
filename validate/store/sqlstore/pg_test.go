package sqlstore

import (
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

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

// TestPGRefusal: what the server says about a statement is told from the end of a connection, in whatever language it says so.
func TestPGRefusal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err       error
		code      string
		transient bool
	}{
		{&pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "42501"}, "42501", false},
		{&pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "42501"}, "42501", false},
		{&pgconn.PgError{Severity: "ERROR", Code: "42501"}, "42501", false}, // a cluster may not have the other one
		{&pgconn.PgError{Severity: "FEHLER", SeverityUnlocalized: "ERROR", Code: "40001"}, "40001", true},
		{&pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "40003"}, "", true},
		{&pgconn.PgError{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P01"}, "", true},
		{&pgconn.PgError{Severity: "ERROR", SeverityUnlocalized: "PANIC", Code: "XX000"}, "", true},
		{io.ErrUnexpectedEOF, "", true},
	} {
		code, ok := refusal(fmt.Errorf("decide: %w", tc.err))
		if code != tc.code || ok != (tc.code != "") || transient(tc.err) != tc.transient {
			t.Errorf("%v: %q, %v, transient %v", tc.err, code, ok, transient(tc.err))
		}
	}
}
