// Package sqlstore is the store in one file, DIR/tokendesk.db: counters and clients for package validate, the ledger for package
// provision, persons, tokens and key files for package desk, and the audit chain that every change of state is written to,
// in the same transaction.
//
// Any number of processes may have the file open. What decides is always a statement of the database: a write transaction
// begins with BEGIN IMMEDIATE, and is durable (write-ahead log, synchronous=FULL) when the method returns. Inside a process
// one connection writes and callers queue for it; what waits when it is free shares one transaction (group.go). Others read.
//
// A context ends the waiting for the queue and for other processes; a transaction that has begun is finished.
//
// The method for the first walk is Accept (counters.go); for the second Reserve, Seal, Mark, Commit (ledger.go, settle.go).
package sqlstore

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// FileName is the database in a store's directory. SQLite puts two files with longer names beside it.
const FileName = "tokendesk.db"

// readers is how many connections read at once.
const readers = 4

// patience is how long a transaction waits for another process.
const patience = 30 * time.Second

// impatience is how long SQLite itself waits for the writing lock once the store is open, in milliseconds; then it is asked again.
// Between two attempts it sleeps 1, 2, 5, 10 and up to 100 ms: too long to find the lock free beside a server that is never idle.
const impatience = 10

// Keys are the two keys of a store. They come from files outside the database.
type Keys struct {
	Sealing seal.Key
	Signing seal.SigningKey
}

// Options are what the store takes from the world. All are required.
type Options struct {
	Now   func() time.Time
	Rand  io.Reader // crypto/rand.Reader outside tests; used under a lock
	Actor string    // who acts, for the audit chain: the system user
}

// Store is an open store. All methods may be called from any number of goroutines.
type Store struct {
	write   *sql.DB // one connection
	read    *sql.DB
	hot     statements
	keys    Keys
	id      seal.StoreID
	now     func() time.Time
	random  io.Reader // owned by the writer
	actor   string
	chain   string     // of this process's validations
	own     audit.Head // its end, as committed; owned by the writer, as told is
	told    audit.Mark // where the desk chain stood, as the own chain tells it
	derive  string     // the statement that sets enabled for one token
	ciphers unsealed[yubiotp.Cipher]
	seeds   unsealed[secret.Bytes]
	clients clientKeys
	group   group
	closing sync.Once
}

// Create makes the directory (0700) if it is missing, and a store in it (0600), and opens that. A store that is there
// already is left alone: fs.ErrExist.
func Create(ctx context.Context, dir string, keys Keys, o Options) (*Store, error) {
	s, err := create(ctx, dir, keys, o)
	if err != nil {
		return nil, fmt.Errorf("create store: %w", translate(err))
	}
	return s, nil
}

func create(ctx context.Context, dir string, keys Keys, o Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	s, err := connect(path, keys, o)
	if err == nil {
		if err = s.begin(ctx); err == nil {
			err = s.prepare(ctx)
		}
		if err == nil { // the names of the files are as durable as their contents
			err = errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
		}
		if err != nil {
			err = errors.Join(err, s.disconnect())
		}
	}
	if err != nil { // it was made here and holds nothing yet
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if e := os.Remove(path + suffix); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
		return nil, err
	}
	return s, nil
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

// begin writes the schema and the store's identity.
func (s *Store) begin(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if _, err := io.ReadFull(s.random, s.id[:]); err != nil {
		return err
	}
	check, err := s.keys.Sealing.Check(s.random, s.id)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *tx) error {
		_, err := tx.Exec(`INSERT INTO meta (id, store_id, key_check, audit_key, created) VALUES (1, ?, ?, ?, ?)`,
			s.id[:], check, []byte(s.keys.Signing.Public()), micros(tx.now))
		if err != nil {
			return err
		}
		return tx.desk("store.create", "store", map[string]string{"store": hex.EncodeToString(s.id[:])})
	})
}

// Open opens the store of a directory and brings its schema forward. The errors are fs.ErrNotExist, token.ErrNewer for a
// store of a later version, token.ErrWrongKey for keys that are not this store's (both told before anything else is read),
// and token.ErrIntegrity for a file that is damaged or no store.
func Open(ctx context.Context, dir string, keys Keys, o Options) (*Store, error) {
	s, err := open(ctx, filepath.Join(dir, FileName), keys, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", translate(err))
	}
	return s, nil
}

func open(ctx context.Context, path string, keys Keys, o Options) (*Store, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() == 0 { // SQLite takes an empty file for an empty database
		return nil, token.ErrIntegrity
	}
	s, err := connect(path, keys, o)
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	if err := s.catchUp(ctx); err != nil {
		return nil, errors.Join(err, s.disconnect())
	}
	return s, nil
}

// check reads the version and then the identity, and nothing else.
func (s *Store) check(ctx context.Context) error {
	if _, err := s.version(ctx); err != nil {
		return err
	}
	var id, check, public []byte
	if err := s.write.QueryRowContext(ctx, `SELECT store_id, key_check, audit_key FROM meta WHERE id = 1`).Scan(&id, &check, &public); err != nil {
		return fmt.Errorf("%w: no identity", token.ErrIntegrity)
	}
	s.id = seal.StoreID(id)
	if !s.keys.Sealing.Matches(s.id, check) {
		return token.ErrWrongKey
	}
	if !s.keys.Signing.Public().Equal(ed25519.PublicKey(public)) {
		return fmt.Errorf("signing key: %w", token.ErrWrongKey)
	}
	return nil
}

// connect opens the connections; nothing is read yet.
func connect(path string, keys Keys, o Options) (*Store, error) {
	if keys.Signing.Public() == nil || keys.Sealing.Version() == 0 {
		return nil, errors.New("two keys are needed")
	}
	var name [8]byte
	if _, err := io.ReadFull(o.Rand, name[:]); err != nil {
		return nil, err
	}
	s := &Store{
		keys: keys, now: o.Now, random: o.Rand, actor: o.Actor, derive: deriveEnabled(), hot: hotStatements(),
		chain: audit.ValidatePrefix + hex.EncodeToString(name[:]),
	}
	var err error
	if s.write, err = sql.Open("sqlite", source(path, "_txlock=immediate")); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", source(path, "_pragma=query_only(1)")); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return s, nil
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

// Close writes a checkpoint of this process's audit chain and closes the store. Secrets that it had opened are destroyed, so
// nothing that Find or Client returned may be in use. The second call does nothing.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		err = errors.Join(s.checkpoint(), s.disconnect())
		s.ciphers.destroy()
		s.seeds.destroy()
		s.clients.destroy()
	})
	if err != nil {
		return fmt.Errorf("close store: %w", translate(err))
	}
	return nil
}

func (s *Store) disconnect() error { return errors.Join(s.read.Close(), s.write.Close()) }
