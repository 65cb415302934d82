package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestErrors: what the server's conditions and lost connections mean, and whether a transaction is run again.
func TestErrors(t *testing.T) {
	t.Parallel()
	answer := func(code string) error { return fmt.Errorf("add: %w", &pgconn.PgError{Code: code}) }
	b := &Backend{}
	for _, tc := range []struct {
		name                  string
		err, means            error
		busy, again, doubtful bool
	}{
		{name: "none"},
		{name: "unique", err: answer("23505"), means: token.ErrDuplicate},
		{name: "reference", err: answer("23503"), means: token.ErrNotFound},
		{name: "disk", err: answer("53100"), means: token.ErrFull},
		{name: "damage", err: answer("XX001"), means: token.ErrIntegrity},
		{name: "damaged index", err: answer("XX002"), means: token.ErrIntegrity},
		{name: "no table", err: answer("42P01"), means: token.ErrIntegrity},
		{name: "password", err: answer("28P01"), means: ErrLogin},
		{name: "login", err: answer("28000"), means: ErrLogin},
		{name: "right", err: answer("42501"), means: fs.ErrPermission},
		{name: "standby", err: answer("25006"), means: ErrReadOnly},
		{name: "database", err: answer("3D000"), means: ErrNoDatabase},
		{name: "conflict", err: answer("40001"), busy: true, again: true},
		{name: "deadlock", err: answer("40P01"), busy: true, again: true},
		{name: "of a cluster", err: answer("40003"), doubtful: true},
		{name: "ended", err: answer("57P01"), means: ErrUnreachable, busy: true, again: true, doubtful: true},
		{name: "crashed", err: answer("57P02"), means: ErrUnreachable, busy: true, again: true, doubtful: true},
		{name: "connection", err: answer("08006"), means: ErrUnreachable, busy: true, again: true, doubtful: true},
		{name: "starting", err: answer("57P03"), means: ErrUnreachable, again: true},
		{name: "cancelled", err: answer("57014")},
		{name: "syntax", err: answer("42601")},
		{name: "lost", err: fmt.Errorf("read: %w", io.ErrUnexpectedEOF), means: ErrUnreachable, busy: true, again: true, doubtful: true},
		{name: "closed", err: pgconn.ErrConnClosed, means: ErrUnreachable, busy: true, again: true, doubtful: true},
		{name: "rolled back", err: pgx.ErrTxCommitRollback},
		{name: "time", err: context.DeadlineExceeded, doubtful: true},
	} {
		if got := Meaning(tc.err); !errors.Is(got, tc.means) || (got == nil) != (tc.means == nil) {
			t.Errorf("%s means %v, want %v", tc.name, got, tc.means)
		}
		if busy, again, doubtful := b.Busy(tc.err), b.Again(tc.err), b.Doubtful(tc.err); busy != tc.busy || again != tc.again || doubtful != tc.doubtful {
			t.Errorf("%s: busy %v, again %v, doubtful %v", tc.name, busy, again, doubtful)
		}
	}
}
