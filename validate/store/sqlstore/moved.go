package sqlstore

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// A store that was copied elsewhere is closed: two that answer would accept a one-time password once each. meta.closed says so.
// Every write transaction but reopening looks at it first, and no credential is enabled, so that statements which decide beside
// those transactions change nothing either. It is all one transaction, the last one that changed the store: what was accepted before is
// in the copy.

// movedKey is the key of a context whose changes a closed store takes.
type movedKey struct{}

// movedChange is change in a store that may be closed.
func (s *Store) movedChange(ctx context.Context, f func(*tx) error) error {
	return s.change(context.WithValue(ctx, movedKey{}, true), f)
}

// refuse gives the jobs of a closed store token.ErrMoved, and learns the store's generation. Before a store has an identity it is not closed.
func (t *tx) refuse(batch []*job) error {
	var at int64
	err := t.hot(t.s.hot.standing).QueryRow().Scan(&at, &t.generation)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	t.s.kept.seen(t.generation)
	for _, j := range batch {
		if at != 0 && j.ctx.Value(movedKey{}) == nil {
			j.err = token.ErrMoved
		}
	}
	return nil
}

// close ends everything that this store accepts or changes, in all processes; to says where it goes. Closing it again is no change.
func (s *Store) close(ctx context.Context, to string) error {
	err := s.movedChange(ctx, func(tx *tx) error {
		done, err := tx.count(`UPDATE meta SET closed = ?, moved_to = ? WHERE id = 1 AND closed = 0`, micros(tx.now), to)
		if err != nil {
			return err
		}
		if done == 0 {
			return errUnchanged
		}
		if _, err := tx.Exec(`UPDATE counter SET enabled = 0 WHERE enabled = 1`); err != nil {
			return err
		}
		return tx.desk("store.close", "store", map[string]string{"to": to})
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// Reopen makes a store that was moved answer again; false if it was not. Whoever calls it knows that nothing was accepted by the copy, and
// nothing ever will be.
func (s *Store) Reopen(ctx context.Context, why string) (bool, error) {
	err := s.movedChange(ctx, func(tx *tx) error {
		var to string
		if err := tx.QueryRow(`SELECT moved_to FROM meta WHERE id = 1 AND closed <> 0`).Scan(&to); err != nil {
			if isNotFound(err) {
				err = errUnchanged
			}
			return err
		}
		if _, err := tx.Exec(`UPDATE meta SET closed = 0, moved_to = '' WHERE id = 1`); err != nil {
			return err
		}
		if _, err := tx.Exec(deriveEnabled(`1 = 1`)); err != nil {
			return err
		}
		return tx.desk("store.reopen", "store", map[string]string{"from": to, "reason": why})
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reopen: %w", translate(err))
	}
	return true, nil
}

// owns reports whether the keys are those of the store with this check and this public key.
func (s *Store) owns(check, public []byte) error {
	if err := s.matches(check); err != nil {
		return err
	}
	if !s.keys.Signing.Public().Equal(ed25519.PublicKey(public)) {
		return fmt.Errorf("signing key: %w", token.ErrWrongKey)
	}
	return nil
}

// MovedError is a store that was moved.
type MovedError struct {
	To string
	At time.Time
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("the store was moved to %s at %s", e.To, e.At.Format(time.RFC3339))
}

// Unwrap is token.ErrMoved.
func (e *MovedError) Unwrap() error { return token.ErrMoved }

// hereOr is *MovedError for a store that was moved, unless that is fine.
func (s *Store) hereOr(moved bool) func(context.Context) error {
	return func(ctx context.Context) error {
		var at int64
		var to string
		err := s.write.QueryRowContext(ctx, `SELECT closed, moved_to FROM meta WHERE id = 1`).Scan(&at, &to)
		if err == nil && at != 0 && !moved {
			err = &MovedError{to, fromMicros(at)}
		}
		return err
	}
}
