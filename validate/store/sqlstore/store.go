// Package sqlstore is the store in an SQL database, one file by default (package sqlite) or PostgreSQL: counters and clients for package validate, the ledger for package
// provision, persons, tokens and key files for package desk, and the audit chain that every change of state is written to,
// in the same transaction.
//
// Any number of processes may have the database open. What decides is always a statement of it. A change holds a lock of the
// database from its begin, beside which no process changes anything but the counters of Yubico OTPs, and is durable when the
// method returns. Inside a process callers queue; what waits when the writer is free shares one transaction (group.go).
//
// A context ends the waiting for the queue and for other processes; a transaction that has begun is finished. Where the database
// undid it without a fault of its own, it is run again (again.go): what a change does to the caller's variables it does anew.
//
// The method for the first walk is Accept (counters.go); for the second Reserve, Seal, Mark, Commit (ledger.go, settle.go).
package sqlstore

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// FileName is the database in the directory of a store that is one.
const FileName = sqlite.FileName

// patience is how long a transaction waits for those of other processes, and for a database that went away in the middle of it.
const patience = 30 * time.Second

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
	Moved bool      // open it although it was moved: to move it once more, or to reopen it
	// Reload reads the sealing key's file again, when a row needs a version that is not known; nil: there is none but the key given.
	Reload func() (seal.Key, error)
}

// Store is an open store. All methods may be called from any number of goroutines.
type Store struct {
	backend  backend
	write    pool
	read     pool
	hot      statements
	advancer advancer
	keys     Keys
	id       seal.StoreID
	now      func() time.Time
	random   io.Reader // owned by the writer
	actor    string
	chain    string     // of this process's validations
	own      audit.Head // its end, as committed; owned by the writer, as told is
	told     audit.Mark // where the desk chain stood, as the own chain tells it
	derive   string     // the statement that sets enabled for one token
	ciphers  unsealed[yubiotp.Cipher]
	seeds    unsealed[secret.Bytes]
	clients  clientKeys
	devices  clientKeys
	kept     kept
	group    group
	spending spending
	sealing  atomic.Pointer[seal.Key] // the newest that was read
	reload   func() (seal.Key, error)
	closing  sync.Once
}

// Create makes a store and opens it. Where is a directory, which is made (0700) if it is missing, for a file in it (0600); or the URL
// of an empty database or schema of PostgreSQL, which IsURL tells apart. A store that is there already is left alone: fs.ErrExist.
func Create(ctx context.Context, where string, keys Keys, o Options) (*Store, error) {
	s, err := create(ctx, where, keys, o)
	if err != nil {
		return nil, fmt.Errorf("create store: %w", translate(err))
	}
	return s, nil
}

func create(ctx context.Context, where string, keys Keys, o Options) (*Store, error) {
	if IsURL(where) {
		b, err := postgres.Open(ctx, where)
		if err != nil {
			return nil, err
		}
		s, err := made(ctx, b, keys, o)
		if err != nil { // an empty schema may be left, which the next Create takes
			return nil, errors.Join(err, b.Close())
		}
		return s, nil
	}
	b, err := sqlite.Create(where)
	if err != nil {
		return nil, err
	}
	s, err := made(ctx, b, keys, o)
	if err == nil {
		err = b.Sync()
	}
	if err != nil { // it was made here and holds nothing yet
		return nil, errors.Join(err, b.Close(), b.Remove())
	}
	return s, nil
}

// made is a new store in an empty database.
func made(ctx context.Context, b backend, keys Keys, o Options) (*Store, error) {
	s, err := newStore(b, keys, o)
	for _, step := range []func(context.Context) error{s.vacant, s.migrate, s.begin, s.prepare} {
		if err == nil {
			err = step(ctx)
		}
	}
	return s, err
}

// vacant is fs.ErrExist where a store is.
func (s *Store) vacant(ctx context.Context) error {
	at, err := s.version(ctx)
	if err != nil || at == 0 {
		return err
	}
	var there bool
	err = s.write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM meta)`).Scan(&there)
	if err == nil && there {
		err = fs.ErrExist
	}
	return err
}

// IsURL reports whether where names a database of PostgreSQL, not a directory.
func IsURL(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// begin writes the store's identity.
func (s *Store) begin(ctx context.Context) error {
	if _, err := io.ReadFull(s.random, s.id[:]); err != nil {
		return err
	}
	check, err := s.ring().Check(s.random, s.id)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *tx) error {
		err := tx.one(fs.ErrExist, `INSERT INTO meta (id, store_id, key_check, key_version, audit_key, created) VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			s.id[:], check, s.ring().Version(), []byte(s.keys.Signing.Public()), micros(tx.now))
		if err != nil {
			return err
		}
		return tx.desk("store.create", "store", map[string]string{"store": hex.EncodeToString(s.id[:])})
	})
}

// Open opens the store of a directory or a URL and brings its schema forward. The errors are fs.ErrNotExist, token.ErrNewer for a
// store of a later version, token.ErrWrongKey for keys that are not this store's (both told before anything else is read),
// token.ErrIntegrity for a database that is damaged or no store, *MovedError, and those of package postgres.
func Open(ctx context.Context, where string, keys Keys, o Options) (*Store, error) {
	s, err := open(ctx, where, keys, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", translate(err))
	}
	return s, nil
}

func open(ctx context.Context, where string, keys Keys, o Options) (*Store, error) {
	b, err := openBackend(ctx, where)
	if err != nil {
		return nil, err
	}
	s, err := newStore(b, keys, o)
	for _, step := range []func(context.Context) error{s.check, s.migrate, s.hereOr(o.Moved), s.prepare, s.catchUp} {
		if err == nil {
			err = step(ctx)
		}
	}
	if errors.Is(err, errNoIdentity) && IsURL(where) { // a database may be empty, a file is not
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return s, nil
}

func openBackend(ctx context.Context, where string) (backend, error) {
	if IsURL(where) {
		return postgres.Open(ctx, where)
	}
	return sqlite.Open(where)
}

// check reads the version and then the identity, and nothing else.
func (s *Store) check(ctx context.Context) error {
	at, err := s.version(ctx)
	if err != nil {
		return err
	}
	if at == 0 {
		return errNoIdentity
	}
	var id, check, public []byte
	err = s.write.QueryRowContext(ctx, `SELECT store_id, key_check, audit_key FROM meta WHERE id = 1`).Scan(&id, &check, &public)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoIdentity
	}
	if err != nil {
		return err
	}
	s.id = seal.StoreID(id)
	return s.owns(check, public)
}

// newStore is a store on an open database; nothing is read yet.
func newStore(b backend, keys Keys, o Options) (*Store, error) {
	s := &Store{backend: b, keys: keys, now: o.Now, random: o.Rand, actor: o.Actor, derive: deriveEnabled(`credential IN (SELECT id FROM credential WHERE token = ?1)`), hot: hotStatements()}
	s.sealing.Store(&keys.Sealing)
	s.reload = o.Reload
	if keys.Signing.Public() == nil || keys.Sealing.Version() == 0 {
		return s, errors.New("two keys are needed")
	}
	var name [8]byte
	if _, err := io.ReadFull(o.Rand, name[:]); err != nil {
		return s, err
	}
	s.chain = audit.ValidatePrefix + hex.EncodeToString(name[:])
	write, read := b.Pools()
	s.write, s.read = pool{write, b}, pool{read, b}
	s.advancer = queued{s}
	if p, ok := b.(*postgres.Backend); ok {
		s.advancer = newBatched(s, func(ctx context.Context) (*pgx.Conn, error) {
			return pgx.ConnectConfig(ctx, p.Pool().Config().ConnConfig)
		})
	}
	return s, nil
}

// Close writes a checkpoint of this process's audit chain and closes the store. Secrets that it had opened are destroyed, so
// nothing that Find or Client returned may be in use. The second call does nothing.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		err = errors.Join(s.advancer.close(), s.checkpoint(), s.spending.close(), s.backend.Close())
		s.ciphers.destroy()
		s.seeds.destroy()
		s.clients.destroy()
		s.devices.destroy()
	})
	if err != nil {
		return fmt.Errorf("close store: %w", translate(err))
	}
	return nil
}
