package sqlstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
)

// batched is the advancer of PostgreSQL. Presses that wait at the same time share one transaction of two round trips: what
// counts is decided by one statement for all (decideText), and their events are written with the end of this process's chain and
// committed. Several batches are on their way at once, and so are those of other processes.
//
// Nobody waits for a row while having another: a batch waits for the row of its oldest press only, before it has any, and takes
// of the rest those that are free. So there are no deadlocks, neither between servers nor with staff, who lock rows in any order.
//
// A batch that fails before its COMMIT was sent has left nothing, and its presses are decided again. If the answer to COMMIT is lost,
// the chain tells what became of it: see ownChain.resolve.
type batched struct {
	s       *Store
	connect func(context.Context) (*pgx.Conn, error)
	queued  queued // for what must go with changes of staff
	presses presses
	chain   ownChain
	running sync.WaitGroup // lanes, checkpoints and what went to queued
	quit    chan struct{}  // closed by close: nobody pauses any more
}

var _ advancer = (*batched)(nil)

func newBatched(s *Store, connect func(context.Context) (*pgx.Conn, error)) *batched {
	b := &batched{s: s, connect: connect, queued: queued{s}, quit: make(chan struct{})}
	b.presses.busy = map[token.CredentialID]bool{}
	b.chain.turn = make(chan struct{}, 1)
	for range lanes {
		b.presses.free = append(b.presses.free, &lane{b: b})
	}
	return b
}

// guards reports that decideText compares generations.
func (b *batched) guards() bool { return true }

func (b *batched) accept(ctx context.Context, a validate.Advance) (bool, error) {
	return b.do(ctx, pressAccept, a)
}

func (b *batched) spend(ctx context.Context, a validate.Advance) error {
	_, err := b.do(ctx, pressSpend, a)
	return err
}

func (b *batched) note(ctx context.Context, a validate.Advance) error {
	_, err := b.do(ctx, pressNote, a)
	return err
}

func (b *batched) waiting() int {
	b.presses.mu.Lock()
	defer b.presses.mu.Unlock()
	return len(b.presses.waiting)
}

// do waits until it is decided and durable. Where ctx or pressPatience ends first, nothing is known: what was begun is finished.
func (b *batched) do(caller context.Context, kind pressKind, a validate.Advance) (bool, error) {
	if err := caller.Err(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(caller, pressPatience)
	defer cancel()
	p := &press{kind: kind, advance: a, actor: token.Actor(ctx, b.s.actor), ctx: ctx, done: make(chan struct{})}
	if l := b.presses.add(p); l != nil {
		b.running.Go(l.run)
	}
	select {
	case <-p.done:
		return p.ok, p.err
	case <-ctx.Done():
	}
	cause := b.presses.leave(p)
	select {
	case <-p.done:
		return p.ok, p.err
	default:
	}
	switch err := caller.Err(); {
	case err == nil && cause == nil:
		return false, fmt.Errorf("%w within %v", postgres.ErrUnreachable, pressPatience)
	case err == nil:
		return false, fmt.Errorf("%w within %v: %w", postgres.ErrUnreachable, pressPatience, cause)
	case cause == nil:
		return false, err
	default:
		return false, fmt.Errorf("%w: %w", err, cause)
	}
}

// serially decides what changes more than counters: the first OTP of a credential that was not proven. Staff may have other rows
// of it, so it waits in their order.
func (b *batched) serially(p *press) {
	b.running.Go(func() { p.finish(b.queued.accept(p.ctx, p.advance)) })
}

// close ends the chain with a checkpoint, if it was begun. Nothing may be asked any more.
func (b *batched) close() error {
	close(b.quit)
	b.running.Wait()
	for _, l := range b.presses.free {
		l.drop()
	}
	return b.chain.checkpoint(b.s)
}

// pause lets time pass after a failure: 5 ms, then twice as long each time, up to 320 ms.
func (b *batched) pause(failures int) {
	t := time.NewTimer(5 * time.Millisecond << min(failures-1, 6))
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.quit:
	}
}
