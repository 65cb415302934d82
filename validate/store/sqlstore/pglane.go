package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/spentlog"
)

// stepTime bounds one round trip, and how long it may wait for a row of somebody else.
const stepTime = 5 * time.Second

// lane is one connection and the batch on it. One goroutine has it.
type lane struct {
	b        *batched
	conn     *pgx.Conn // nil: none
	failures int       // since the last batch that went well
}

// run settles batches until nobody waits.
func (l *lane) run() {
	for batch := l.b.presses.take(l); len(batch) > 0; batch = l.b.presses.take(l) {
		l.settle(batch)
	}
}

// settle runs one batch and tells the callers, or puts them back to wait once more.
func (l *lane) settle(batch []*press) {
	q, start := &l.b.presses, time.Now()
	v, err := l.try(batch)
	if err != nil || len(v.events) > 0 {
		l.b.s.group.committed(len(batch), start, err)
	}
	if err == nil {
		l.failures = 0
		q.settled(batch, v.again, nil, false)
		v.tell()
		for _, p := range v.unproven {
			l.b.serially(p)
		}
		if l.b.chain.due() {
			l.b.running.Go(func() { _ = l.b.chain.checkpoint(l.b.s) }) // the next one makes up for it
		}
		return
	}
	l.drop()
	l.failures++
	switch {
	case errors.Is(err, errDoubt), errors.Is(err, token.ErrMoved):
		q.settled(batch, nil, nil, false)
		fail(batch, err)
	case transient(err):
		q.settled(batch, batch, err, batch[0].alone)
		l.b.pause(l.failures)
	case len(batch) > 1: // whose fault it is shows when each is asked alone
		q.settled(batch, batch, err, true)
	default:
		q.settled(batch, nil, nil, false)
		fail(batch, err)
	}
}

func fail(batch []*press, err error) {
	for _, p := range batch {
		p.finish(false, err)
	}
}

// verdicts are what became of a batch.
type verdicts struct {
	accepted, refused []*press
	noted             []*press // spent or not, with an event
	unproven          []*press // to be decided serially
	again             []*press // somebody else had the row
	events            []*press // accepted and noted, in the order of the batch
	desk              audit.Mark
	unlogged          error // what was spent is in no log
}

// spent is what the log is told.
func (v *verdicts) spent() []spentlog.Entry {
	var out []spentlog.Entry
	for _, p := range slices.Concat(v.accepted, v.noted) {
		if p.counts() {
			out = append(out, spentOf(p.advance))
		}
	}
	return out
}

func (v *verdicts) tell() {
	for _, p := range v.accepted {
		p.finish(v.unlogged == nil, v.unlogged)
	}
	for _, p := range v.refused {
		p.finish(false, nil)
	}
	for _, p := range v.noted {
		if p.counts() && v.unlogged != nil {
			p.finish(false, v.unlogged)
			continue
		}
		p.finish(true, nil)
	}
}

// try decides about a batch and commits. After an error nothing of it counts, unless that is errDoubt.
func (l *lane) try(batch []*press) (*verdicts, error) {
	ctx := context.Background()
	if err := l.ready(ctx); err != nil {
		return nil, err
	}
	if err := l.b.chain.ready(ctx, l); err != nil {
		return nil, err
	}
	v, err := l.decide(ctx, batch)
	if err != nil {
		return nil, err
	}
	if len(v.events) == 0 {
		_, err := l.conn.Exec(ctx, `ROLLBACK`)
		return v, err
	}
	logged := l.b.s.spending.write(v.spent())
	err = l.b.chain.write(ctx, l, v)
	if e := logged(); err == nil {
		v.unlogged = e
	}
	return v, err
}

// ready connects if there is no connection.
func (l *lane) ready(ctx context.Context) error {
	if l.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	c, err := l.b.connect(ctx)
	if err != nil {
		return err
	}
	for _, text := range laneSettings() {
		_, err := c.Exec(ctx, text)
		if _, unknown := refusal(err); unknown {
			continue // not PostgreSQL itself; then it has no such plans either
		}
		if err != nil {
			return errors.Join(err, c.Close(ctx))
		}
	}
	l.conn = c
	return nil
}

// drop ends the connection, and whatever was begun on it.
func (l *lane) drop() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	_ = l.conn.Close(ctx) // it is of no more use either way
	l.conn = nil
}

// decide begins the transaction and asks the statement that decides.
func (l *lane) decide(ctx context.Context, batch []*press) (*verdicts, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var ask asked
	for _, p := range batch {
		if p.counts() {
			ask.add(p)
		}
	}
	rows := map[token.CredentialID]rowVerdict{}
	var desk audit.Mark
	var generation, closed int64
	var out pgx.Batch
	out.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
	switch n := len(ask.credentials); {
	case n > 1:
		out.Queue(waitText, ask.credentials[0])
		out.Queue(impatient)
		out.Queue(decideText(`SKIP LOCKED`), ask.args()...).Query(readRows(rows))
		out.Queue(patientAgain)
	case n == 1:
		out.Queue(decideText(``), ask.args()...).Query(readRows(rows))
	}
	out.Queue(pgDeskText, audit.Desk).QueryRow(func(row pgx.Row) error {
		var hash []byte
		err := row.Scan(&desk.Seq, &hash, &generation, &closed)
		copy(desk.Hash[:], hash)
		return err
	})
	if err := l.conn.SendBatch(ctx, &out).Close(); err != nil {
		return nil, err
	}
	if closed != 0 {
		return nil, token.ErrMoved
	}
	l.b.s.kept.seen(validate.Generation(generation))
	v := judge(batch, rows)
	v.desk = desk
	return v, nil
}

// judge sorts the presses by what the statement said about their rows. The oldest was waited for: if it has no row, there is none.
func judge(batch []*press, rows map[token.CredentialID]rowVerdict) *verdicts {
	v := &verdicts{}
	first := true
	for _, p := range batch {
		if !p.counts() {
			v.noted, v.events = append(v.noted, p), append(v.events, p)
			continue
		}
		row, held := rows[p.advance.Credential]
		missing := !held && first
		first = false
		switch {
		case !held && !missing:
			v.again = append(v.again, p)
		case p.kind == pressSpend:
			v.noted, v.events = append(v.noted, p), append(v.events, p)
		case row.raised:
			v.accepted, v.events = append(v.accepted, p), append(v.events, p)
		case row.unproven:
			v.unproven = append(v.unproven, p)
		default:
			v.refused = append(v.refused, p)
		}
	}
	return v
}
