package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/spentlog"
)

// tx is one change inside a write transaction, and the ends of the chains that it adds events to.
type tx struct {
	transaction
	s      *Store
	now    time.Time
	actor  string
	base   map[string]audit.Head // those that changes before it in the same transaction moved
	heads  map[string]audit.Head // those that it moved
	known  map[string]audit.Head // those that were read in the transaction, as they were before it
	told   audit.Mark            // what the own chain tells; the Store's until it tells something new
	staff  bool                  // something was changed that ends the generation
	spent  []spentlog.Entry      // for the log of what was spent
	sealer seal.Key              // the zero Key: not chosen yet

	generation validate.Generation // of the store before it; 0 in the transaction of one job
	stmts      map[*sql.Stmt]*sql.Stmt
	unwritten  *[]audit.Event // nil: each event is written at once
}

// QueryContext and QueryRowContext finish what has begun: see change.
func (t *tx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return t.transaction.QueryContext(context.WithoutCancel(ctx), text, args...)
}

// QueryRowContext is as QueryContext.
func (t *tx) QueryRowContext(ctx context.Context, text string, args ...any) *sql.Row {
	return t.transaction.QueryRowContext(context.WithoutCancel(ctx), text, args...)
}

// hot is a prepared statement inside this transaction; where it was not compiled, its text.
func (t *tx) hot(p prepared) executor {
	if p.stmt == nil {
		return plain{t.transaction, p.text}
	}
	bound, ok := t.stmts[p.stmt]
	if !ok {
		bound = t.raw.Stmt(p.stmt)
		t.stmts[p.stmt] = bound
	}
	return bound
}

type executor interface {
	Exec(args ...any) (sql.Result, error)
	QueryRow(args ...any) *sql.Row
}

type plain struct {
	t    transaction
	text string
}

func (p plain) Exec(args ...any) (sql.Result, error) { return p.t.Exec(p.text, args...) }
func (p plain) QueryRow(args ...any) *sql.Row        { return p.t.QueryRow(p.text, args...) }

// insert runs an INSERT and returns the id of the new row.
func (t *tx) insert(text string, args ...any) (int64, error) {
	var id int64
	err := t.QueryRow(text+` RETURNING id`, args...).Scan(&id)
	return id, err
}

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
	t.staff = true
	return t.mark(action, object, detail)
}

// mark adds an event to the desk chain that tells of no change by staff.
func (t *tx) mark(action, object string, detail any) error {
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
	if t.unwritten != nil {
		*t.unwritten = append(*t.unwritten, e)
		return nil
	}
	return t.putEvents([]audit.Event{e})
}

// putEvents inserts events, several with one statement.
func (t *tx) putEvents(list []audit.Event) error {
	for len(list) > 0 {
		n, p := 1, t.s.hot.putEvent
		if len(list) >= manyEvents {
			n, p = manyEvents, t.s.hot.putEvents
		}
		args := make([]any, 0, 9*n)
		for i := range list[:n] {
			e := &list[i]
			args = append(args, e.Chain, e.Seq, e.At.UnixMicro(), e.Actor, e.Action, e.Object, e.Detail, e.Prev[:], e.Hash[:])
		}
		if _, err := t.hot(p).Exec(args...); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// head is the end of a chain as this transaction sees it. A chain without events has Seq 0. The end of this process's own chain is
// remembered, so that events which somebody cut off leave a gap.
func (t *tx) head(chain string) (audit.Head, error) {
	if h, ok := t.heads[chain]; ok {
		return h, nil
	}
	if h, ok := t.base[chain]; ok {
		return h, nil
	}
	if chain == t.s.chain && t.s.own.Seq > 0 {
		return t.s.own, nil
	}
	if h, ok := t.known[chain]; ok {
		return h, nil
	}
	h := audit.Head{Chain: chain}
	var hash []byte
	var at int64
	err := t.hot(t.s.hot.getHead).QueryRow(chain).Scan(&h.Seq, &hash, &at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return h, err
	}
	if err == nil {
		h.At = time.UnixMicro(at).UTC()
		copy(h.Hash[:], hash)
	}
	t.known[chain] = h
	return h, nil
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
