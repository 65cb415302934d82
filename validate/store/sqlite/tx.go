package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// tx is one write transaction and the ends of the chains that it adds events to.
type tx struct {
	*sql.Tx
	s     *Store
	now   time.Time
	actor string
	heads map[string]audit.Head // those that it moved
	told  audit.Mark            // zero: the own chain tells nothing new
}

// change runs f in one write transaction. Events of f become durable with it, or not at all.
func (s *Store) change(ctx context.Context, f func(*tx) error) error {
	conn, err := s.write.Conn(ctx) // the queue; only here and in lock ctx counts
	if err != nil {
		return err
	}
	defer conn.Close()
	t, err := lock(ctx, conn)
	if err != nil {
		return err
	}
	// Also when f panics, which would otherwise keep this process and all others from writing. It fails where nothing is left to
	// roll back: after the commit, and where SQLite did it by itself, such as on a full disk.
	defer func() { _ = t.Rollback() }()
	x := &tx{Tx: t, s: s, now: s.now(), actor: token.Actor(ctx, s.actor), heads: map[string]audit.Head{}}
	if err := f(x); err != nil {
		return err
	}
	if _, staff := x.heads[audit.Desk]; staff {
		if err := x.makeWords(ctx, math.MaxInt32); err != nil {
			return err
		}
	}
	for _, h := range x.heads {
		h.Signature = s.keys.Signing.Sign(h.Message())
		if _, err := x.hot(s.hot.putHead).Exec(h.Chain, h.Seq, h.Hash[:], h.At.UnixMicro(), h.Signature); err != nil {
			return err
		}
	}
	if err := t.Commit(); err != nil { // the driver rolls back
		s.own, s.told = audit.Head{}, audit.Mark{} // what is there must be read
		return err
	}
	if h, ok := x.heads[s.chain]; ok {
		s.own = h
	}
	if x.told.Seq > 0 {
		s.told = x.told
	}
	return nil
}

// lock begins a write transaction, for which it waits until ctx ends or patience is over.
func lock(ctx context.Context, conn *sql.Conn) (*sql.Tx, error) {
	for end := time.Now().Add(patience); ; {
		t, err := conn.BeginTx(context.WithoutCancel(ctx), nil)
		if !busy(err) || time.Now().After(end) {
			return t, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// QueryContext and QueryRowContext finish what has begun: see change.
func (t *tx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(context.WithoutCancel(ctx), text, args...)
}

// QueryRowContext is as QueryContext.
func (t *tx) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(context.WithoutCancel(ctx), text, args...)
}

// hot is a prepared statement inside this transaction; before prepare ran, its text.
func (t *tx) hot(p prepared) executor {
	if p.Stmt == nil {
		return plain{t.Tx, p.text}
	}
	return t.Stmt(p.Stmt)
}

type executor interface {
	Exec(args ...any) (sql.Result, error)
	QueryRow(args ...any) *sql.Row
}

type plain struct {
	tx   *sql.Tx
	text string
}

func (p plain) Exec(args ...any) (sql.Result, error) { return p.tx.Exec(p.text, args...) }
func (p plain) QueryRow(args ...any) *sql.Row        { return p.tx.QueryRow(p.text, args...) }

// one runs a statement that must change exactly one row; otherwise it returns otherwise.
func (t *tx) one(otherwise error, text string, args ...any) error {
	r, err := t.Exec(text, args...)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n != 1 {
		err = otherwise
	}
	return err
}

// desk adds an event of staff. Detail is marshalled as JSON; nil is {}.
func (t *tx) desk(action, object string, detail any) error {
	return t.event(audit.Desk, t.now, action, object, detail)
}

func (t *tx) event(chain string, at time.Time, action, object string, detail any) error {
	text := []byte("{}")
	if detail != nil {
		var err error
		if text, err = json.Marshal(detail); err != nil {
			return err
		}
	}
	head, err := t.head(chain)
	if err != nil {
		return err
	}
	e := audit.Link(head, audit.Event{At: at, Actor: t.actor, Action: action, Object: object, Detail: string(text)})
	t.heads[chain] = audit.HeadOf(e)
	_, err = t.hot(t.s.hot.putEvent).Exec(e.Chain, e.Seq, e.At.UnixMicro(), e.Actor, e.Action, e.Object, e.Detail, e.Prev[:], e.Hash[:])
	return err
}

// head is the end of a chain as this transaction sees it. A chain without events has Seq 0. The end of this process's own chain is
// remembered, so that events which somebody cut off leave a gap.
func (t *tx) head(chain string) (audit.Head, error) {
	if h, ok := t.heads[chain]; ok {
		return h, nil
	}
	if chain == t.s.chain && t.s.own.Seq > 0 {
		return t.s.own, nil
	}
	h := audit.Head{Chain: chain}
	var hash []byte
	var at int64
	err := t.hot(t.s.hot.getHead).QueryRow(chain).Scan(&h.Seq, &hash, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return h, nil
	}
	h.At = time.UnixMicro(at).UTC()
	copy(h.Hash[:], hash)
	return h, err
}

// micros is a time in a column; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the other way, in UTC.
func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
