// Package sqlite is a database in one file, DIR/tokendesk.db, for package sqlstore: its connections, its schema, and what its
// errors mean. Any number of processes may have the file open.
//
// One connection writes: a write transaction begins with BEGIN IMMEDIATE and is durable (write-ahead log, synchronous=FULL)
// when it is committed. Others read.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tokendesk/tokendesk/provision/token"
)

// FileName is the database in a store's directory. SQLite puts two files with longer names beside it.
const FileName = "tokendesk.db"

// logSuffix ends the name of the write-ahead log, which is gone when the last one closed the database.
const logSuffix = "-wal"

// readers is how many connections read at once.
const readers = 4

// patience is how long SQLite waits for another process until the store is open.
const patience = 30 * time.Second

// impatience is how long SQLite itself waits for the writing lock once the store is open, in milliseconds; then it is asked again.
// Between two attempts it sleeps 1, 2, 5, 10 and up to 100 ms: too long to find the lock free beside a server that is never idle.
const impatience = 10

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are the files migrations/NNNN_name.sql, numbered from 1 without gaps.
func Migrations() fs.FS { return migrations }

// Backend is an open database. It may be used by any number of goroutines.
type Backend struct {
	path        string
	write, read *sql.DB
}

// Create makes the directory (0700) if it is missing, and an empty database in it (0600). One that is there already is left
// alone: fs.ErrExist. If what follows fails, Remove takes the file away again.
func Create(dir string) (*Backend, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	if err := Absent(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	b, err := connect(path)
	if err != nil {
		return nil, errors.Join(err, remove(path))
	}
	return b, nil
}

// Absent is fs.ErrExist for a directory with a database, or with the log of one that was taken away: SQLite would write what is in
// that into any other file that gets its name.
func Absent(dir string) error {
	for _, suffix := range []string{"", logSuffix, "-journal"} {
		path := filepath.Join(dir, FileName+suffix)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
	}
	return nil
}

// Whole is an error for a closed database of which a part is still in its log: the last one to close could not bring it into the
// file, and SQLite does not say so.
func Whole(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, FileName+logSuffix))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = fmt.Errorf("the log could not be written into the database: %w", token.ErrFull)
	}
	return err
}

// Open opens the database of a directory: fs.ErrNotExist if there is none. Nothing is read yet.
func Open(dir string) (*Backend, error) {
	path := filepath.Join(dir, FileName)
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() == 0 { // SQLite takes an empty file for an empty database
		return nil, token.ErrIntegrity
	}
	return connect(path)
}

func connect(path string) (*Backend, error) {
	b := &Backend{path: path}
	var err error
	if b.write, err = sql.Open("sqlite", source(path, "_txlock=immediate")); err != nil {
		return nil, err
	}
	b.write.SetMaxOpenConns(1)
	if b.read, err = sql.Open("sqlite", source(path, "_pragma=query_only(1)")); err != nil {
		return nil, errors.Join(err, b.write.Close())
	}
	b.read.SetMaxOpenConns(readers)
	b.read.SetMaxIdleConns(readers)
	return b, nil
}

// source is the driver's name of a file. mode=rw: a file that went missing is not made anew.
func source(path, extra string) string {
	p := filepath.ToSlash(path)
	if abs, err := filepath.Abs(path); err == nil {
		p = filepath.ToSlash(abs)
	}
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // file:///C:/dir
	}
	u := url.URL{Scheme: "file", Path: p, RawQuery: fmt.Sprintf(
		"mode=rw&_pragma=busy_timeout(%d)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&%s", patience.Milliseconds(), extra)}
	return u.String()
}

// Pools are the writing connection and those that read.
func (b *Backend) Pools() (write, read *sql.DB) { return b.write, b.read }

// Migrations are the files of the schema.
func (b *Backend) Migrations() fs.FS { return migrations }

// Compiles reports that a prepared statement saves work.
func (b *Backend) Compiles() bool { return true }

// Bind returns text and arguments as they are: the placeholders ? and ?1 and the values are SQLite's.
func (b *Backend) Bind(text string, args []any) (string, []any) { return text, args }

// Schema reports whether the table of migrations is there, and whether anything is.
func (b *Backend) Schema(ctx context.Context) (ours, some bool, err error) {
	err = b.write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'migration'), EXISTS (SELECT 1 FROM sqlite_schema)`).Scan(&ours, &some)
	return ours, some, err
}

// Begin starts a write transaction, beside which nobody else writes.
func (b *Backend) Begin(ctx context.Context) (*sql.Tx, error) { return b.write.BeginTx(ctx, nil) }

// BeginSchema is Begin, with the table of migrations in place.
func (b *Backend) BeginSchema(ctx context.Context) (*sql.Tx, error) {
	t, err := b.Begin(ctx)
	if err != nil {
		return nil, err
	}
	_, err = t.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied INTEGER NOT NULL) STRICT`)
	if err != nil {
		return nil, errors.Join(err, t.Rollback())
	}
	return t, nil
}

// BeginRead starts a transaction that sees one state of the database.
func (b *Backend) BeginRead(ctx context.Context) (*sql.Tx, error) {
	return b.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
}

// Ready is called once, when the schema is there.
func (b *Backend) Ready(ctx context.Context) error {
	_, err := b.write.ExecContext(ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, impatience))
	return err
}

// Sync makes the names of the files as durable as their contents.
func (b *Backend) Sync() error {
	dir := filepath.Dir(b.path)
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// syncDir makes the names in a directory durable. Windows has no such call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) { // a parent that only root reads holds its names without us
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close closes the connections.
func (b *Backend) Close() error { return errors.Join(b.read.Close(), b.write.Close()) }

// Remove takes away the files of a closed database that Create made and that holds nothing yet.
func (b *Backend) Remove() error { return remove(b.path) }

func remove(path string) error {
	var err error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if e := os.Remove(path + suffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
