package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

// Copied is what was copied into another database.
type Copied struct {
	backup.Header `json:"header"`
	Events        int `json:"events"` // of the audit chain, that were verified
}

// CopyTo moves the store into an empty place, as Restore takes one: from the first step on this store accepts and changes nothing
// any more, in no process. Every table is read back there and compared before the copy is committed, and the audit chain is verified; so
// nothing is cautious in it. name is how the place is called in the audit chains, without a password. When it fails, this
// store is open again, unless nobody knows whether the copy was committed: *DoubtError.
func (s *Store) CopyTo(ctx context.Context, where, name string, o Options, p Progress) (Copied, error) {
	var out Copied
	if err := s.emptyAt(ctx, where, o); err != nil { // before anything is closed
		return out, fmt.Errorf("copy: %w", translate(err))
	}
	if err := s.close(ctx, name); err != nil {
		return out, fmt.Errorf("copy: %w", translate(err))
	}
	err := s.copyTo(ctx, where, o, p, &out)
	var doubt *DoubtError
	if err != nil && !errors.As(err, &doubt) {
		_, e := s.Reopen(context.WithoutCancel(ctx), "the copy failed")
		err = errors.Join(err, e)
	}
	if err != nil {
		return Copied{}, fmt.Errorf("copy: %w", translate(err))
	}
	return out, nil
}

// DoubtError is a commit of which the outcome is not known.
type DoubtError struct{ Err error }

func (e *DoubtError) Error() string {
	return "nobody knows whether the copy was committed: " + e.Err.Error()
}

// Unwrap is the cause.
func (e *DoubtError) Unwrap() error { return e.Err }

// emptyAt is fs.ErrExist where a store is, and another error where none can be.
func (s *Store) emptyAt(ctx context.Context, where string, o Options) error {
	if !IsURL(where) {
		path := filepath.Join(where, sqlite.FileName)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
		return nil
	}
	b, err := postgres.Open(ctx, where)
	if err != nil {
		return err
	}
	to, err := newStore(b, s.keys, o)
	if err == nil {
		err = to.vacant(ctx)
	}
	return errors.Join(err, b.Close())
}

func (s *Store) copyTo(ctx context.Context, where string, o Options, p Progress, out *Copied) error {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dumped := make(chan error, 1)
	go func() {
		_, err := s.dump(ctx, w, nil)
		_ = w.CloseWithError(err) // never fails
		dumped <- err
	}()
	err := build(ctx, where, s.keys, o, r, p, func(l *loading) error { return l.copied(s, out) })
	_ = r.CloseWithError(errors.New("the copy ended")) // never fails
	cancel()
	if e := <-dumped; e != nil && err == nil {
		err = e
	}
	return err
}

// copied opens the copy.
func (l *loading) copied(from *Store, out *Copied) error {
	if !l.report.OK() {
		return &AuditError{l.report.Findings}
	}
	out.Header, out.Events = l.from.Header, l.report.Events
	if _, err := l.Exec(`UPDATE meta SET closed = 0, moved_to = '' WHERE id = 1`); err != nil {
		return err
	}
	if _, err := l.Exec(deriveEnabled(`1 = 1`)); err != nil {
		return err
	}
	return l.desk("store.copy", "store", map[string]any{"from": from.database(), "rows": l.from.Header.Rows})
}
