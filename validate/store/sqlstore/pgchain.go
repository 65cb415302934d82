package sqlstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

// errDoubt says that a COMMIT was sent and could not be found out about in time.
var errDoubt = errors.New("the database went away while it was committing")

// errCut says that our chain is not as we left it: it is left alone, and another one begun.
var errCut = errors.New("somebody else wrote to the audit chain")

// Actions of events of a chain that a process of PostgreSQL writes, other than "validate".
const (
	chainBegun   = "audit.begun"   // the first, written with the announcement in the desk chain
	chainResumed = "audit.resumed" // in the place of a batch of which COMMIT was not answered: that it was not committed
)

// ownChain is the chain of validations of one process on PostgreSQL. Batches are decided side by side and take their numbers one after
// the other: who has the turn knows the end of the chain, and gives it on when its COMMIT was answered.
type ownChain struct {
	turn chan struct{} // capacity 1: who has put something in has the turn, and with it head, told and doubts
	open atomic.Bool   // batches can be added: it was begun, and there is no doubt

	head   audit.Head // as committed; Seq 0: the chain is not begun
	told   audit.Mark // where the desk chain stood, as this chain tells it
	doubts []*links   // of which COMMIT was not answered; they have the same numbers, so one of them at most is there

	mu      sync.Mutex
	end     audit.Head // head, for checkpoints
	marked  int64      // the last checkpoint in the desk chain
	marking bool
}

// take waits for the turn.
func (c *ownChain) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the audit chain: %w", ctx.Err())
	}
}

func (c *ownChain) give() {
	c.open.Store(c.head.Seq > 0 && len(c.doubts) == 0)
	<-c.turn
}

// ready begins the chain before its first batch and ends a doubt that was left. It is asked before a transaction begins: while it waits
// for staff, no row is locked.
func (c *ownChain) ready(ctx context.Context, l *lane) error {
	if c.open.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pressPatience)
	defer cancel()
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if len(c.doubts) > 0 {
		if _, err := c.resolve(ctx, l); err != nil {
			return err
		}
	}
	if c.head.Seq > 0 {
		return nil
	}
	return c.begin(ctx, l.b.s)
}

// begin announces a new chain in the desk chain and writes its first event, in one transaction.
func (c *ownChain) begin(ctx context.Context, s *Store) error {
	var head audit.Head
	err := s.change(ctx, func(tx *tx) error {
		var name [8]byte
		if _, err := io.ReadFull(s.random, name[:]); err != nil {
			return err
		}
		chain := audit.ValidatePrefix + hex.EncodeToString(name[:])
		if err := s.spending.serves(chain); err != nil {
			return err
		}
		if err := tx.mark(audit.Opened, chain, audit.Mark{}); err != nil {
			return err
		}
		err := tx.event(chain, tx.now, chainBegun, chain, nil)
		head = tx.heads[chain]
		return err
	})
	if err == nil {
		c.head, c.told = head, audit.Mark{}
		c.moved()
	}
	return err
}

// write adds the events of a batch to the chain and commits. If the answer is lost it finds out; errDoubt is that it could not.
func (c *ownChain) write(ctx context.Context, l *lane, v *verdicts) error {
	ctx, cancel := context.WithTimeout(ctx, pressPatience)
	defer cancel()
	details := make([]validationDetail, len(v.events))
	for i, p := range v.events {
		details[i] = describe(p.advance)
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if c.head.Seq == 0 || len(c.doubts) > 0 {
		return errors.New("the audit chain has to be begun or resumed first")
	}
	k := &links{head: c.head, told: c.told}
	if v.desk.Seq > k.told.Seq || v.desk.Seq == k.told.Seq && v.desk.Hash != k.told.Hash {
		k.told = v.desk
		details[0].Desk = &k.told
	}
	for i, p := range v.events {
		text, err := json.Marshal(details[i])
		if err != nil {
			return err
		}
		k.add(audit.Event{At: p.advance.At, Actor: p.actor, Action: "validate", Object: p.advance.Event.PublicID.String(), Detail: string(text)})
	}
	if err := k.commit(ctx, l.conn, l.b.s); err != nil {
		return c.lost(ctx, l, k, err)
	}
	c.follow(k)
	return nil
}

// follow takes over the end of what was committed.
func (c *ownChain) follow(k *links) {
	c.head, c.told, c.doubts = k.head, k.told, nil
	c.moved()
}

// lost is what follows an error of commit: nil if it was carried out after all.
func (c *ownChain) lost(ctx context.Context, l *lane, k *links, err error) error {
	if code, refused := refusal(err); refused { // what pgx calls safe to retry may have been sent: see postgres.Backend.Doubtful
		if code == uniqueViolation {
			c.head, err = audit.Head{}, fmt.Errorf("%w: %w", errCut, err)
		}
		return err
	}
	l.drop()
	c.doubts = append(c.doubts, k)
	found, e := c.resolve(ctx, l)
	switch {
	case e != nil:
		return fmt.Errorf("%w: %w: %w", errDoubt, err, e)
	case found != k:
		return fmt.Errorf("before it committed: %w", err)
	}
	return nil
}

// resolve finds out which of the doubts was committed; nil if none was. What is not there yet may still come, as long as the server
// has it in a buffer. So an event is put in its place, which waits for a transaction that has that place, and makes it impossible
// for one that has not.
func (c *ownChain) resolve(ctx context.Context, l *lane) (*links, error) {
	fence := &links{head: c.head, told: c.told}
	fence.add(audit.Event{At: l.b.s.now(), Actor: l.b.s.actor, Action: chainResumed, Object: c.head.Chain, Detail: "{}"})
	for failures := 1; ; failures++ {
		found, there, err := c.look(ctx, l)
		if err == nil && found != nil {
			err = c.confirm(ctx, l)
		}
		if err == nil && !there {
			if _, err = l.conn.Exec(ctx, `BEGIN ISOLATION LEVEL READ COMMITTED`); err == nil {
				err = fence.commit(ctx, l.conn, l.b.s)
			}
			if err == nil {
				c.follow(fence)
				return nil, nil
			}
			if !slices.Contains(c.doubts, fence) {
				c.doubts = append(c.doubts, fence)
			}
		}
		switch {
		case err == nil && found != nil:
			c.follow(found)
			if found == fence {
				found = nil
			}
			return found, nil
		case err == nil:
			c.head, c.doubts = audit.Head{}, nil
			return nil, errCut
		case ctx.Err() != nil:
			return nil, err
		}
		l.drop()
		l.b.pause(failures)
	}
}

// look reads what is in the place of the doubts: one of them, something else (nil), or nothing.
func (c *ownChain) look(ctx context.Context, l *lane) (found *links, there bool, err error) {
	if err := l.ready(ctx); err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var hash []byte
	err = l.conn.QueryRow(ctx, pgGetEventText, c.head.Chain, c.head.Seq+1).Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	for _, k := range c.doubts {
		if bytes.Equal(hash, k.hashes[0]) {
			found = k
		}
	}
	return found, err == nil, err
}

// confirm commits something. It is durable after what was found: where COMMIT waits for a standby and this was broken off, everybody sees
// what the standby may not have yet.
func (c *ownChain) confirm(ctx context.Context, l *lane) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	_, err := l.conn.Exec(ctx, pgConfirmText, c.head.Chain)
	return err
}
