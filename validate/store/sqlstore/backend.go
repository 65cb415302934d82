package sqlstore

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/tokendesk/tokendesk/validate/store/postgres"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

// backend is what one kind of database does in its own way. The statements are the same for all: placeholders are ? or ?1, a flag
// is an INTEGER, nothing depends on a row's internal number, and after an error a transaction only ends.
type backend interface {
	// Pools are the connections for writing and for reading, which may be the same.
	Pools() (write, read *sql.DB)
	// Compiles reports whether a statement that is asked often should be prepared.
	Compiles() bool
	// Bind is a statement and its arguments as the driver takes them.
	Bind(text string, args []any) (string, []any)

	// Begin starts a write transaction. Until it ends, no other one of any process gets past Begin.
	Begin(ctx context.Context) (*sql.Tx, error)
	// BeginSchema is Begin for a database whose tables are missing or old. It makes the table of migrations.
	BeginSchema(ctx context.Context) (*sql.Tx, error)
	// BeginRead starts a transaction that sees one state of the database.
	BeginRead(ctx context.Context) (*sql.Tx, error)

	// Busy reports whether Begin failed because somebody else was in the way, and may be called again.
	Busy(err error) bool
	// Again reports whether a transaction that failed with err left nothing and may succeed when it is run again.
	Again(err error) bool
	// Doubtful reports whether a transaction whose COMMIT failed with err may have been committed.
	Doubtful(err error) bool

	// Migrations are the files migrations/NNNN_name.sql.
	Migrations() fs.FS
	// Schema reports whether the table of migrations is there, and whether any is.
	Schema(ctx context.Context) (ours, some bool, err error)
	// Numbers are the highest ids that the named tables ever gave, and SetNumber sets one, for a table without rows above it.
	Numbers(ctx context.Context, t *sql.Tx, tables []string) (map[string]int64, error)
	SetNumber(ctx context.Context, t *sql.Tx, table string, n int64) error
	// Ready is called once, when the tables are there.
	Ready(ctx context.Context) error
	Close() error
}

var (
	_ backend = (*sqlite.Backend)(nil)
	_ backend = (*postgres.Backend)(nil)
)

// querier is a transaction or a pool of connections.
type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row
}

// pool is connections that take our statements.
type pool struct {
	db *sql.DB
	b  backend
}

// rereads is how often something is read again because the connection was lost: after a restart of the database, all of a pool may be.
const rereads = 20

// reread reports whether a read that failed with err, for the n-th time, is tried once more.
func reread(ctx context.Context, b backend, n int, err error) bool {
	return n < rereads && ctx.Err() == nil && b.Busy(err) && b.Again(err)
}

func (p pool) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	text, args = p.b.Bind(text, args)
	rows, err := p.db.QueryContext(ctx, text, args...)
	for n := 0; reread(ctx, p.b, n, err); n++ {
		rows, err = p.db.QueryContext(ctx, text, args...)
	}
	return rows, err
}

func (p pool) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	text, args = p.b.Bind(text, args)
	row := p.db.QueryRowContext(ctx, text, args...)
	for n := 0; reread(ctx, p.b, n, row.Err()); n++ {
		row = p.db.QueryRowContext(ctx, text, args...)
	}
	return row
}

// transaction is a transaction that takes our statements.
type transaction struct {
	raw *sql.Tx
	b   backend
}

func (t transaction) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	text, args = t.b.Bind(text, args)
	return t.raw.QueryContext(ctx, text, args...)
}

func (t transaction) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	text, args = t.b.Bind(text, args)
	return t.raw.QueryRowContext(ctx, text, args...)
}

func (t transaction) QueryRow(text string, args ...any) *sql.Row {
	return t.QueryRowContext(context.Background(), text, args...)
}

func (t transaction) Exec(text string, args ...any) (sql.Result, error) {
	text, args = t.b.Bind(text, args)
	return t.raw.Exec(text, args...)
}

// script runs statements without arguments, separated by semicolons.
func (t transaction) script(text string) error {
	_, err := t.raw.Exec(text)
	return err
}

// readState runs f on one state of the database.
func (s *Store) readState(ctx context.Context, f func(q querier) error) error {
	t, err := s.backend.BeginRead(ctx)
	for n := 0; reread(ctx, s.backend, n, err); n++ {
		t, err = s.backend.BeginRead(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }() // it only reads
	return f(transaction{t, s.backend})
}
