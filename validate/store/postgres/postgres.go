// Package postgres is a PostgreSQL database for package sqlstore: its connections, its schema, and what its errors mean. Any
// number of servers may use it; they are equal.
//
// Every write transaction but those that accept Yubico OTPs begins by locking one row, the end of the desk chain: they are
// serial, whatever server they come from, and read what was committed before them. The isolation is READ COMMITTED.
//
// The tables are in the first schema of the connection's search_path.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// How long things are waited for.
const (
	connectTime = 5 * time.Second  // for a connection, unless the URL has connect_timeout
	lockTime    = 30 * time.Second // for the transactions of other servers
	silence     = 20 * time.Second // until a database that says nothing is taken for gone
)

// settings are those of each connection that the URL does not set: a server that vanished inside a transaction gives its lock back, and
// COMMIT waits for the disk where the database was set up not to, as an answer leaves only after its counter is durable.
const settings = `SELECT set_config('idle_in_transaction_session_timeout', '30s', false) WHERE current_setting('idle_in_transaction_session_timeout') = '0';
	SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

// connections is how many a server opens at most, unless the URL has pool_max_conns.
const connections = 16

// migrationLock is the number of the advisory lock under which the schema is changed: "tokendsk" in ASCII.
const migrationLock = 0x746f6b656e64736b

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are the files migrations/NNNN_name.sql, numbered from 1 without gaps.
func Migrations() fs.FS { return migrations }

// Backend is a database. It may be used by any number of goroutines.
type Backend struct {
	pool *pgxpool.Pool
	db   *sql.DB
	bind binder
}

// Open takes a URL, postgres://…, as libpq does: with what PGPASSFILE, PGSERVICE and the like add. No connection is made yet.
func Open(ctx context.Context, url string) (*Backend, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, ErrURL // pgx's error has parts of the URL, such as a password
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = connectTime
	}
	if !strings.Contains(url, "pool_max_conns=") {
		c.MaxConns = connections
	}
	c.ConnConfig.DialFunc = (&net.Dialer{
		Timeout: c.ConnConfig.ConnectTimeout, Control: bounded(silence),
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 4, Interval: silence / 4, Count: 3},
	}).DialContext
	c.ConnConfig.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error { return conn.Exec(ctx, settings).Close() }
	if _, set := c.ConnConfig.RuntimeParams["application_name"]; !set {
		c.ConnConfig.RuntimeParams["application_name"] = "tokendesk"
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Backend{pool: pool, db: stdlib.OpenDBFromPool(pool)}, nil
}

// Pool is the connections themselves, for statements that are sent together.
func (b *Backend) Pool() *pgxpool.Pool { return b.pool }

// Pools are the connections for everything.
func (b *Backend) Pools() (write, read *sql.DB) { return b.db, b.db }

// Migrations are the files of the schema.
func (b *Backend) Migrations() fs.FS { return migrations }

// Compiles reports that the driver keeps the statements of each connection compiled by itself.
func (b *Backend) Compiles() bool { return false }

// Bind gives a statement PostgreSQL's placeholders, flags as 0 and 1, and texts without what it cannot hold.
func (b *Backend) Bind(text string, args []any) (string, []any) {
	if len(args) == 0 {
		return text, nil
	}
	out := make([]any, len(args))
	for i, v := range args {
		out[i] = value(v)
	}
	return b.bind.text(text), out
}

// Schema reports whether the table of migrations is there, and whether anything is.
func (b *Backend) Schema(ctx context.Context) (ours, some bool, err error) {
	err = b.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'migration'),
		EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = current_schema())`).Scan(&ours, &some)
	return ours, some, err
}

// Begin starts a write transaction when those before it, of any server, are over.
func (b *Backend) Begin(ctx context.Context) (*sql.Tx, error) {
	return b.begin(ctx, `SELECT seq FROM audit_head WHERE chain = 'desk' FOR UPDATE`)
}

// BeginSchema starts a transaction beside which no other one changes the schema, with the table of migrations in place.
func (b *Backend) BeginSchema(ctx context.Context) (*sql.Tx, error) {
	return b.begin(ctx, fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, int64(migrationLock)),
		`CREATE TABLE IF NOT EXISTS migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied BIGINT NOT NULL)`)
}

func (b *Backend) begin(ctx context.Context, first ...string) (*sql.Tx, error) {
	t, err := b.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	for _, text := range first {
		if _, err := t.ExecContext(ctx, text); err != nil {
			_ = t.Rollback() // it holds nothing
			return nil, err
		}
	}
	return t, nil
}

// BeginRead starts a transaction that sees one state of the database.
func (b *Backend) BeginRead(ctx context.Context) (*sql.Tx, error) {
	return b.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// Ready has nothing to do.
func (b *Backend) Ready(context.Context) error { return nil }

// Close closes the connections.
func (b *Backend) Close() error {
	err := b.db.Close()
	b.pool.Close()
	return err
}
