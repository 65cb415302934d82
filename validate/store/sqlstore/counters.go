package sqlstore

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

var _ validate.Counters = (*Store)(nil)

// Find implements validate.Counters. The row is read anew each time; the cipher is kept.
func (s *Store) Find(ctx context.Context, id token.PublicID) (validate.Credential, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return validate.Credential{}, fmt.Errorf("find credential: %w", translate(err))
	}
	return c, nil
}

func (s *Store) find(ctx context.Context, id token.PublicID) (validate.Credential, error) {
	c := validate.Credential{PublicID: id}
	n := &c.Row.Counters
	var version, at, closed int64
	var groups string
	var g validate.Generation
	err := s.row(ctx, s.hot.find, id.String()).Scan(&c.ID, &c.Token, &version, &c.Row.State, &c.Row.Token, &c.Row.Enabled, &c.Row.Caution,
		&n.Use, &n.Session, &n.Timestamp, &n.Moving, &n.Nonce, &at, &c.Holder, &groups, &g, &closed)
	if err == nil && closed != 0 {
		err = token.ErrMoved
	}
	if err != nil {
		return c, err
	}
	n.At, c.Groups = fromMicros(at), splitGroups(groups)
	if c.Cipher, err = s.cipher(ctx, secretKey{c.ID, version}); err == nil && c.Row.Enabled {
		s.kept.putCredential(g, c)
	}
	return c, err
}

func (s *Store) cipher(ctx context.Context, k secretKey) (yubiotp.Cipher, error) {
	if c, ok := s.ciphers.get(k); ok {
		return c, nil
	}
	secrets, err := s.secrets(ctx, s.read, k.id)
	if err != nil {
		return yubiotp.Cipher{}, err
	}
	defer secrets.Destroy()
	c, err := yubiotp.NewCipher(secrets.Key, secrets.PrivateID)
	if err != nil {
		return c, fmt.Errorf("%w: credential %d: %w", token.ErrIntegrity, k.id, err)
	}
	return s.ciphers.put(k, c), nil
}

// advancer decides about Yubico OTPs and notes what was decided, each with its audit event, durable on return. The errors are
// the driver's. It may be used by any number of goroutines.
type advancer interface {
	accept(ctx context.Context, a validate.Advance) (bool, error)
	// guards reports whether accept compares Advance.Kept, where it is not 0, with the generation of its own transaction, and refuses
	// another. If it does not, nothing is decided on what is kept.
	guards() bool
	spend(ctx context.Context, a validate.Advance) error
	note(ctx context.Context, a validate.Advance) error
	// waiting is how many wait that are not in the queue of change.
	waiting() int
	// close finishes what was begun, and ends the chain of events if it has one of its own.
	close() error
}

// Accept implements validate.Counters.
func (s *Store) Accept(ctx context.Context, a validate.Advance) (bool, error) {
	ok, err := s.advancer.accept(ctx, a)
	if err != nil {
		return false, fmt.Errorf("accept: %w", translate(err))
	}
	if ok {
		s.kept.accepted(a)
	} else {
		s.kept.drop(a.Event.PublicID)
	}
	return ok, nil
}

// Spend implements validate.Counters.
func (s *Store) Spend(ctx context.Context, a validate.Advance) error {
	spend := s.advancer.spend
	if a.Event.Reason == validate.ReasonCautious {
		spend = s.spendCautious
	}
	if err := spend(ctx, a); err != nil {
		return fmt.Errorf("spend: %w", translate(err))
	}
	return nil
}

// Note implements validate.Counters.
func (s *Store) Note(ctx context.Context, a validate.Advance) error {
	if err := s.advancer.note(ctx, a); err != nil {
		return fmt.Errorf("note: %w", translate(err))
	}
	return nil
}

// queued is the advancer that goes through change, in the order of everything else.
type queued struct{ s *Store }

func (q queued) guards() bool { return true }

func (q queued) accept(ctx context.Context, a validate.Advance) (ok bool, err error) {
	err = q.s.submit(ctx, &job{plain: func(tx *tx) (err error) {
		ok, err = tx.accept(a)
		return err
	}})
	return ok && err == nil, err
}

// accept is the statement that decides, and what follows from it. False: nothing was written.
func (t *tx) accept(a validate.Advance) (bool, error) {
	if a.Kept != 0 && (a.Kept != t.generation || t.staff) {
		return false, nil
	}
	r, err := t.hot(t.s.hot.accept).Exec(a.Use, a.Session, a.Timestamp, a.Nonce, micros(a.At), a.Credential)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	t.spends(spentOf(a))
	if !a.Proven {
		if err := t.prove(a); err != nil {
			return false, err
		}
	}
	return true, t.validation(a)
}

// prove makes a credential active that was programmed, and its token, which may have been waiting for this proof too. What is
// enabled stays so.
func (t *tx) prove(a validate.Advance) error {
	r, err := t.hot(t.s.hot.prove).Exec(micros(a.At), a.Credential)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 1 {
		_, err = t.hot(t.s.hot.proveToken).Exec(a.Credential)
	}
	return err
}

func (q queued) spend(ctx context.Context, a validate.Advance) error {
	return q.s.change(ctx, func(tx *tx) error {
		if _, err := tx.hot(q.s.hot.spend).Exec(a.Use, a.Session, a.Timestamp, micros(a.At), a.Credential); err != nil {
			return err
		}
		tx.spends(spentOf(a))
		return tx.validation(a)
	})
}

func (q queued) note(ctx context.Context, a validate.Advance) error {
	return q.s.change(ctx, func(tx *tx) error { return tx.validation(a) })
}

func (q queued) waiting() int { return 0 }

func (q queued) close() error { return nil }
