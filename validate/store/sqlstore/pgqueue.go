package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// lanes is how many batches of one process are on their way at once: while one is being committed, the next is decided.
const lanes = 2

// pressPatience is how long one OTP waits for the database, however often it went away meanwhile.
const pressPatience = 10 * time.Second

// press is what is asked about one OTP.
type press struct {
	kind    pressKind
	advance validate.Advance
	actor   string
	ctx     context.Context // of the caller; ends the waiting
	done    chan struct{}   // closed when the rest is final
	ok      bool            // accepted
	err     error

	// Guarded by presses.mu.
	taken bool  // by a batch
	alone bool  // a batch with it failed; the next one has nothing else in it
	cause error // of the last batch with it that failed
}

type pressKind int

const (
	pressAccept pressKind = iota
	pressSpend
	pressNote
)

// counts reports whether it locks the row of its credential.
func (p *press) counts() bool { return p.kind != pressNote }

func (p *press) finish(ok bool, err error) {
	p.ok, p.err = ok, err
	close(p.done)
}

// presses is the queue. What waits when a lane is free becomes one batch, so that a press that comes alone waits for nobody.
type presses struct {
	mu      sync.Mutex
	waiting []*press                    // oldest first
	busy    map[token.CredentialID]bool // those in a batch that is on its way
	free    []*lane
}

// add queues p and gives a free lane, if there is one that can take it now. The caller runs it.
func (q *presses) add(p *press) *lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, p)
	n := len(q.free)
	if n == 0 || p.counts() && q.busy[p.advance.Credential] {
		return nil
	}
	l := q.free[n-1]
	q.free = q.free[:n-1]
	return l
}

// leave takes p out for a caller who waits no longer, and says what is known about why there is no answer.
func (q *presses) leave(p *press) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !p.taken {
		for i, w := range q.waiting {
			if w == p {
				q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
				break
			}
		}
	}
	return p.cause
}

// take gives the oldest presses, maxGroup at most, and of one credential only one that counts. None: the lane is free.
func (q *presses) take(l *lane) []*press {
	q.mu.Lock()
	defer q.mu.Unlock()
	var batch []*press
	rest := q.waiting[:0:0]
	for i, p := range q.waiting {
		if len(batch) == maxGroup || len(batch) > 0 && batch[0].alone {
			rest = append(rest, q.waiting[i:]...)
			break
		}
		if p.alone && len(batch) > 0 || p.counts() && q.busy[p.advance.Credential] {
			rest = append(rest, p)
			continue
		}
		if p.counts() {
			q.busy[p.advance.Credential] = true
		}
		p.taken = true
		batch = append(batch, p)
	}
	q.waiting = rest
	if len(batch) == 0 {
		q.free = append(q.free, l)
	}
	return batch
}

// settled says that the batch is no longer on its way. Those in again wait once more, before all others; cause is why, nil if
// somebody else had their rows. Whose caller has gone is dropped.
func (q *presses) settled(batch, again []*press, cause error, alone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range batch {
		if p.counts() {
			delete(q.busy, p.advance.Credential)
		}
	}
	var front []*press
	for _, p := range again {
		if p.ctx.Err() != nil {
			continue
		}
		p.taken, p.alone = false, alone
		if cause != nil {
			p.cause = cause
		}
		front = append(front, p)
	}
	if len(front) > 0 {
		q.waiting = append(front, q.waiting...)
	}
}
