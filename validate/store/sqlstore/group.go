package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// maxGroup is how many changes one transaction holds at most.
const maxGroup = 256

// mostGenerations is how far a change of staff raises the generation at most. How far is drawn: a database that lost its last changes, to
// a standby or to a backup, must not come to the same number by others. In 63 bits there is room for billions of changes.
const mostGenerations = 1 << 31

// group is the queue of the writer. What waits when it is free becomes one transaction, with one flush of the disk for all; a
// change that comes alone waits for nobody.
type group struct {
	mu      sync.Mutex
	waiting []*job
	leading bool // somebody takes care of them
	meter   Committed
}

// job is one change that waits.
type job struct {
	ctx   context.Context
	f     func(*tx) error
	plain func(*tx) error // instead of f: its only errors are those of the database, after which nothing of the transaction counts
	taken bool            // by a transaction, which will be finished; guarded by group.mu
	spent bool            // it is to be in the log of what was spent
	done  chan struct{}   // closed when the rest is final
	err   error
	panic any // of f
}

// change runs f in a write transaction, perhaps together with other changes; an error of f undoes f alone. Events of f become durable
// with it, or not at all: when change returns nil, everything is. ctx ends the waiting for the queue and for other processes.
// f runs in another goroutine; a panic of f comes back here.
func (s *Store) change(ctx context.Context, f func(*tx) error) error {
	return s.submit(ctx, &job{f: f})
}

// submit is change for a job.
func (s *Store) submit(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.ctx, j.done = ctx, make(chan struct{})
	if s.group.join(j) {
		go s.lead()
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if s.group.leave(j) {
			return ctx.Err()
		}
		<-j.done
	}
	if j.panic != nil {
		panic(j.panic)
	}
	return j.err
}

// join reports whether nobody leads: then the caller sees to that.
func (g *group) join(j *job) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, j)
	first := !g.leading
	g.leading = true
	return first
}

// leave reports whether j was not taken yet, and never will be.
func (g *group) leave(j *job) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if j.taken {
		return false
	}
	for i, w := range g.waiting {
		if w == j {
			g.waiting = append(g.waiting[:i:i], g.waiting[i+1:]...)
			break
		}
	}
	return true
}

// take gives the oldest jobs, most at once. None: nobody leads any more.
func (g *group) take(most int) []*job {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(most, len(g.waiting))
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	for _, j := range batch {
		j.taken = true
	}
	g.leading = n > 0
	return batch
}

// idle reports whether nobody waits; then nobody leads any more.
func (g *group) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leading = len(g.waiting) > 0
	return !g.leading
}

// lead writes what waits until nothing does.
func (s *Store) lead() {
	for {
		start := time.Now()
		t, err := s.lock()
		if err != nil {
			all := s.group.take(math.MaxInt)
			for _, j := range all {
				j.err = err
				close(j.done)
			}
			s.group.committed(len(all), start, err)
			if s.group.idle() {
				return
			}
			continue
		}
		if t == nil {
			return
		}
		batch := s.group.take(maxGroup)
		if len(batch) == 0 {
			_ = t.Rollback() // nothing was begun
			return
		}
		n, err := s.writeAll(t, batch)
		for _, j := range batch {
			close(j.done)
		}
		if n > 0 || err != nil {
			s.group.committed(n, start, err)
		}
		if s.group.idle() {
			return
		}
	}
}

// lock begins a write transaction, for which it waits until patience is over, or until nobody waits any more: then it is nil.
func (s *Store) lock() (*sql.Tx, error) {
	for end := time.Now().Add(patience); ; {
		t, err := s.backend.Begin(context.Background())
		if !s.backend.Busy(err) || time.Now().After(end) {
			return t, err
		}
		if s.group.idle() {
			return nil, nil
		}
	}
}

// add runs one job and takes over what it moved. Among several, a job that fails is undone alone; the error is that this could
// not be done, or that all is to be run again, and nothing of the transaction counts.
func (t *tx) add(j *job, several bool) error {
	if j.plain != nil {
		j.f, t.actor = j.plain, token.Actor(j.ctx, t.s.actor)
		before := len(t.spent)
		j.run(t)
		j.spent = len(t.spent) > before
		return j.err
	}
	if several {
		if err := t.script(`SAVEPOINT job`); err != nil {
			return err
		}
	}
	x := &tx{transaction: t.transaction, s: t.s, now: t.s.now(), actor: token.Actor(j.ctx, t.s.actor), base: t.heads, heads: map[string]audit.Head{}, told: t.told, stmts: t.stmts, known: t.known}
	j.run(x)
	if t.s.backend.Again(j.err) {
		return j.err
	}
	if j.err != nil {
		if !several {
			return nil // the caller rolls back
		}
		return t.script(`ROLLBACK TO job; RELEASE job`)
	}
	if several {
		if err := t.script(`RELEASE job`); err != nil {
			return err
		}
	}
	maps.Copy(t.heads, x.heads)
	t.told = x.told
	t.spent, j.spent = append(t.spent, x.spent...), len(x.spent) > 0
	t.staff = t.staff || x.staff
	return nil
}

// run calls f. A panic is kept for the caller of change; without that it would keep this process and all others from writing.
func (j *job) run(x *tx) {
	defer func() {
		if v := recover(); v != nil {
			j.panic = fmt.Sprintf("%v\n%s", v, debug.Stack())
			j.err = errors.New("panic")
		}
	}()
	j.err = j.f(x)
}

// finish writes the events that were left, makes the words of what staff changed, and signs the ends of the chains.
func (t *tx) finish() error {
	if err := t.putEvents(*t.unwritten); err != nil {
		return err
	}
	if _, staff := t.heads[audit.Desk]; staff {
		if err := t.makeWords(context.Background(), math.MaxInt32); err != nil {
			return err
		}
	}
	if t.staff {
		if _, err := t.Exec(`UPDATE meta SET generation = generation + ?`, 1+rand.Int64N(mostGenerations)); err != nil {
			return err
		}
	}
	for _, h := range t.heads {
		h.Signature = t.s.keys.Signing.Sign(h.Message())
		if _, err := t.hot(t.s.hot.putHead).Exec(h.Chain, h.Seq, h.Hash[:], h.At.UnixMicro(), h.Signature); err != nil {
			return err
		}
	}
	return nil
}
