package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

// The pauses before a transaction is run again.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// errUntold is the end of a change without an event of which the COMMIT got no answer.
var errUntold = errors.New("the database did not say whether the change was made")

// attempt is one transaction for a batch.
type attempt struct {
	tx     *tx
	good   []*job // those that changed something
	err    error  // that undid all of them
	commit bool   // it is of COMMIT
}

// writeAll runs the jobs one after the other in one transaction and commits what they changed: how many did, and the error that undid
// all of them. What the database undid without a fault of its own is run again, until patience is over.
func (s *Store) writeAll(t *sql.Tx, batch []*job) (changed int, broken error) {
	a := s.attempt(t, batch)
	for n, end := 0, time.Now().Add(patience); a.err != nil; n++ {
		doubtful := a.commit && s.backend.Doubtful(a.err)
		if !doubtful && !s.backend.Again(a.err) {
			break
		}
		next, err := s.beginAgain(n, end)
		if err != nil {
			a.err = fmt.Errorf("%w; then: %w", a.err, err)
			break
		}
		if doubtful {
			there, err := s.confirm(next, a.tx.heads)
			if there && err != nil && (s.backend.Again(err) || s.backend.Doubtful(err)) && time.Now().Before(end) {
				continue // it is asked about once more
			}
			if err != nil || there {
				if a.err = err; err == nil {
					a.tx.committed()
				}
				break
			}
		}
		a = s.attempt(next, batch)
	}
	if a.err != nil && a.commit {
		s.own, s.told = audit.Head{}, audit.Mark{} // what is there must be read
	}
	for _, j := range batch {
		if j.err == nil {
			j.err = a.err
		}
	}
	return len(a.good), a.err
}

// wrap is what changes run in.
func (s *Store) wrap(t *sql.Tx) *tx {
	return &tx{
		transaction: transaction{t, s.backend}, s: s, now: s.now(), actor: s.actor, heads: map[string]audit.Head{}, told: s.told,
		stmts: map[*sql.Stmt]*sql.Stmt{}, known: map[string]audit.Head{}, unwritten: new([]audit.Event),
	}
}

// attempt runs the jobs. One that failed alone has its error, the others have none.
func (s *Store) attempt(t *sql.Tx, batch []*job) attempt {
	// It fails where nothing is left to roll back: after the commit, and where SQLite did it by itself, such as on a full disk.
	defer func() { _ = t.Rollback() }()
	a := attempt{tx: s.wrap(t)}
	for _, j := range batch {
		j.err, j.panic = nil, nil
	}
	if a.err = a.tx.refuse(batch); a.err != nil {
		return a
	}
	for _, j := range batch {
		if j.err != nil {
			continue
		}
		if a.err = a.tx.add(j, len(batch) > 1); a.err != nil {
			return a
		}
		if j.err == nil {
			a.good = append(a.good, j)
		}
	}
	if len(a.good) == 0 {
		return a
	}
	if a.err = a.tx.finish(); a.err != nil {
		return a
	}
	logged := s.spending.write(a.tx.spent) // beside the commit: what is logged and not committed is only raised to, some day
	a.err = t.Commit()
	unlogged := logged()
	for _, j := range a.good {
		if j.spent {
			j.err = unlogged
		}
	}
	if a.err != nil {
		a.commit = true
		return a
	}
	a.tx.committed()
	return a
}

// committed remembers where the chains end.
func (t *tx) committed() {
	if h, ok := t.heads[t.s.chain]; ok {
		t.s.own = h
	}
	t.s.told = t.told
}

// beginAgain starts the next transaction when the database can be reached, after a pause that grows with n.
func (s *Store) beginAgain(n int, end time.Time) (*sql.Tx, error) {
	for ; ; n++ {
		pause := min(firstPause<<min(n, 20), lastPause)
		time.Sleep(pause/2 + rand.N(pause))
		t, err := s.backend.Begin(context.Background())
		if err == nil || !s.backend.Again(err) || time.Now().After(end) {
			return t, err
		}
	}
}

// confirm reports whether a transaction of which the COMMIT got no answer was committed. If it was, t ends with a COMMIT too, which is
// durable after it: where COMMIT waits for a standby and this was broken off, everybody sees what the standby may not have yet.
func (s *Store) confirm(t *sql.Tx, heads map[string]audit.Head) (bool, error) {
	there, err := s.isWritten(t, heads)
	switch {
	case err != nil:
		_ = t.Rollback() // it only read
		return false, err
	case there:
		return true, t.Commit()
	}
	return false, nil
}

// isWritten reports whether a transaction of which the COMMIT got no answer was committed: then its events are there. It may be asked
// in a transaction that began after the connection was lost, which is not before the other one is over: both hold the same lock.
// Without an event nobody knows.
func (s *Store) isWritten(t *sql.Tx, heads map[string]audit.Head) (bool, error) {
	for _, h := range heads {
		var hash []byte
		err := transaction{t, s.backend}.QueryRow(`SELECT hash FROM audit WHERE chain = ? AND seq = ?`, h.Chain, h.Seq).Scan(&hash)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		return bytes.Equal(hash, h.Hash[:]), err
	}
	return false, errUntold
}
