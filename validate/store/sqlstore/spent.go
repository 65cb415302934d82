package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/spentlog"
)

// followEvery is how often a log of what was spent is told of other servers, and of what their staff did.
const followEvery = 2 * time.Second

// ErrUnlogged is a change that was made, but not written to the log of what was spent: it must not be answered as accepted.
var ErrUnlogged = errors.New("it was not written to the log of spent one-time passwords")

// spending is a log of what is spent, and what was told to it. The zero value is none.
type spending struct {
	log  *spentlog.Writer
	look sync.Mutex    // one follows at a time
	seen int64         // number of the desk event up to which others were followed; owned by who holds look
	quit chan struct{} // closed by Close
	idle chan struct{} // closed when following ended
}

// LogSpent writes whatever this store spends from now on into the log at path too, durable before the caller is told. It is called
// once, before the store is used. The log is closed with the store.
func (s *Store) LogSpent(ctx context.Context, path string) error {
	h := spentlog.Header{Store: hex.EncodeToString(s.id[:]), At: s.now().UTC()}
	var hash []byte
	err := s.read.QueryRowContext(ctx, `SELECT m.epoch, h.seq, h.hash FROM meta m, audit_head h WHERE h.chain = ?`, audit.Desk).Scan(&h.Epoch, &h.Desk.Seq, &hash)
	if err != nil {
		return fmt.Errorf("begin the log: %w", translate(err))
	}
	copy(h.Desk.Hash[:], hash)
	w, err := spentlog.Open(path, h, s.random)
	if err != nil {
		return err
	}
	since, err := s.followFrom(ctx, w.Since())
	if err := errors.Join(err, w.Serves(s.chain)); err != nil {
		return errors.Join(err, w.Close())
	}
	s.spending = spending{log: w, seen: since, quit: make(chan struct{}), idle: make(chan struct{})}
	go s.follow()
	return nil
}

// followFrom is the number of the desk event from which others are followed: where a log stood that is of this history of the store, and
// otherwise where the store was put back.
func (s *Store) followFrom(ctx context.Context, m audit.Mark) (seq int64, err error) {
	var hash []byte
	err = s.read.QueryRowContext(ctx, `SELECT hash FROM audit WHERE chain = ? AND seq = ?`, audit.Desk, m.Seq).Scan(&hash)
	if err == nil && bytes.Equal(hash, m.Hash[:]) {
		return m.Seq, nil
	}
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		err = s.read.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM audit WHERE chain = ? AND object = 'store' AND action = ?`, audit.Desk, actionRestore).Scan(&seq)
	}
	if err != nil {
		return 0, fmt.Errorf("begin the log: %w", translate(err))
	}
	return seq, nil
}

// follow tells the log of others until the store is closed. What it could not, it tells the next time.
func (s *Store) follow() {
	defer close(s.spending.idle)
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		_ = s.followOnce(context.Background())
		select {
		case <-t.C:
		case <-s.spending.quit:
			return
		}
	}
}

// followOnce reads what is new in the desk chain: chains of validations that others began, and one-time passwords that proved a token at a
// desk, in this process or another.
func (s *Store) followOnce(ctx context.Context) error {
	s.spending.look.Lock()
	defer s.spending.look.Unlock()
	list, err := collect(ctx, s.read, func(row scanner) (e audit.Event, err error) {
		var at int64
		err = row.Scan(&e.Seq, &at, &e.Action, &e.Object, &e.Detail)
		e.At = time.UnixMicro(at).UTC()
		return e, err
	}, `SELECT seq, at, action, object, detail FROM audit WHERE chain = ? AND seq > ? ORDER BY seq LIMIT 1000`, audit.Desk, s.spending.seen)
	if err != nil {
		return err
	}
	var proofs []spentlog.Entry
	for _, e := range list {
		if e.Action == audit.Opened {
			if err := s.spending.log.Sees(e.Object); err != nil {
				return err
			}
		}
		if p, ok := proofOf(e); ok {
			proofs = append(proofs, p)
		}
	}
	if err := s.spending.log.Append(proofs); err != nil {
		return err
	}
	if len(list) > 0 {
		s.spending.seen = list[len(list)-1].Seq
	}
	return nil
}

// proofOf is what a desk event says was spent: see tokenDetail.proved.
func proofOf(e audit.Event) (spentlog.Entry, bool) {
	var d tokenDetail
	if json.Unmarshal([]byte(e.Detail), &d) != nil || d.Credential == 0 || d.Use == 0 && d.Session == 0 && d.Moving == 0 {
		return spentlog.Entry{}, false
	}
	if d.PublicID != "" && d.Use < 1<<15 && d.Session < 1<<8 {
		return spentlog.Entry{Kind: spentlog.OTP, ID: int64(d.Credential), Use: d.Use, Session: d.Session, At: e.At}, true
	}
	return spentlog.Entry{Kind: spentlog.Moving, ID: int64(d.Credential), Moving: d.Moving, At: e.At}, d.PublicID == ""
}

// serves tells the log of a chain that this process writes.
func (p *spending) serves(chain string) error {
	if p.log == nil {
		return nil
	}
	return p.log.Serves(chain)
}

// close ends the log.
func (p *spending) close() error {
	if p.log == nil {
		return nil
	}
	close(p.quit)
	<-p.idle
	return p.log.Close()
}

// write makes entries durable beside whatever the caller does meanwhile. It waits when the result is called.
func (p *spending) write(entries []spentlog.Entry) (wait func() error) {
	if p.log == nil || len(entries) == 0 {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- p.log.Append(entries) }()
	return func() error {
		if err := <-done; err != nil {
			return fmt.Errorf("%w: %w", ErrUnlogged, err)
		}
		return nil
	}
}

// spentOf is a Yubico OTP as the log has it.
func spentOf(a validate.Advance) spentlog.Entry {
	return spentlog.Entry{Kind: spentlog.OTP, ID: int64(a.Credential), Use: a.Use, Session: a.Session, Timestamp: a.Timestamp, At: a.At}
}

// spentCounters and those below note what a transaction spends. They are called beside each statement that does.
func (t *tx) spentCounters(id token.CredentialID, n token.Counters) {
	t.spends(spentlog.Entry{Kind: spentlog.OTP, ID: int64(id), Use: n.Use, Session: n.Session, Timestamp: n.Timestamp, At: t.now})
}

func (t *tx) spentMoving(id token.CredentialID, moving int64, at time.Time) {
	t.spends(spentlog.Entry{Kind: spentlog.Moving, ID: int64(id), Moving: moving, At: at})
}

func (t *tx) spentCode(id, left int64, at time.Time) {
	t.spends(spentlog.Entry{Kind: spentlog.Code, ID: id, Left: left, At: at})
}

func (t *tx) spends(e spentlog.Entry) {
	if t.s.spending.log != nil && e.Use >= 0 {
		t.spent = append(t.spent, e)
	}
}
