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
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
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
	closing  sync.Once
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
	b, err := sqlite.Create(dir)
	if err != nil {
		return nil, err
	}
	s, err := newStore(b, keys, o)
	if err == nil {
		err = s.begin(ctx)
	}
	if err == nil {
		err = s.prepare(ctx)
	}
	if err == nil {
		err = b.Sync()
	}
	if err != nil { // it was made here and holds nothing yet
		return nil, errors.Join(err, b.Close(), b.Remove())
	}
	return s, nil
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
	s, err := open(ctx, dir, keys, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", translate(err))
	}
	return s, nil
}

func open(ctx context.Context, dir string, keys Keys, o Options) (*Store, error) {
	b, err := sqlite.Open(dir)
	if err != nil {
		return nil, err
	}
	s, err := newStore(b, keys, o)
	for _, step := range []func(context.Context) error{s.check, s.migrate, s.prepare, s.catchUp} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
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

// newStore is a store on an open database; nothing is read yet.
func newStore(b backend, keys Keys, o Options) (*Store, error) {
	s := &Store{backend: b, keys: keys, now: o.Now, random: o.Rand, actor: o.Actor, derive: deriveEnabled(`credential IN (SELECT id FROM credential WHERE token = ?1)`), hot: hotStatements()}
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
	return s, nil
}

// Close writes a checkpoint of this process's audit chain and closes the store. Secrets that it had opened are destroyed, so
// nothing that Find or Client returned may be in use. The second call does nothing.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		err = errors.Join(s.advancer.close(), s.checkpoint(), s.backend.Close())
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
