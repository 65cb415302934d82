package sqlstore

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// checkpointEvery is how many validations lie between two checkpoints in the desk chain.
const checkpointEvery = 1000

// validationDetail is the detail of a "validate" event. The counters are those that the OTP presented; they are no secret and
// allow stored counters to be raised again after a backup was put back (reference validation-protocol.md §14).
type validationDetail struct {
	Credential token.CredentialID `json:"credential,omitempty"`
	Kind       string             `json:"kind,omitempty"`
	Person     token.PersonID     `json:"person,omitempty"`
	Token      token.ID           `json:"token,omitempty"`
	Client     int64              `json:"client,omitempty"`
	Source     string             `json:"source,omitempty"`
	Result     string             `json:"result"`
	Reason     validate.Reason    `json:"reason,omitempty"`
	Signed     bool               `json:"signed"`
	Use        int                `json:"use"`
	Session    int                `json:"session"`
	Moving     *int64             `json:"moving,omitempty"` // of a HOTP or TOTP code that fitted, for which the others are -1
	audit.Anchor
}

// validation adds an event to this process's chain, which is announced in the desk chain before its first event and
// marked there every checkpointEvery events. The first one after a change of the desk chain tells
// where that stood.
func (t *tx) validation(a validate.Advance) error {
	return t.validationOf(a.Event.PublicID.String(), a)
}

// validationOf is validation for what is no Yubico OTP: the object is the token, or else the person, or "" if nobody is known by what
// was typed.
func (t *tx) validationOf(object string, a validate.Advance) error {
	head, err := t.head(t.s.chain)
	if err != nil {
		return err
	}
	if head.Seq == 0 {
		if err := t.mark(audit.Opened, t.s.chain, audit.Mark{}); err != nil {
			return err
		}
	}
	desk, err := t.head(audit.Desk)
	if err != nil {
		return err
	}
	detail := describe(a)
	if m := (audit.Mark{Seq: desk.Seq, Hash: desk.Hash}); m != t.told {
		t.told, detail.Desk = m, &m
	}
	err = t.event(t.s.chain, a.At, "validate", object, detail)
	if err != nil {
		return err
	}
	if head = t.heads[t.s.chain]; head.Seq%checkpointEvery == 0 {
		return t.mark(audit.Checkpoint, t.s.chain, audit.Mark{Seq: head.Seq, Hash: head.Hash})
	}
	return nil
}

// describe is what the audit says about a decision.
func describe(a validate.Advance) validationDetail {
	e := a.Event
	detail := validationDetail{a.Credential, e.Kind, e.Person, e.Token, e.Client, e.Source, e.Result, e.Reason, e.Signed, a.Use, a.Session, nil, audit.Anchor{}}
	if isCode(e.Kind) && a.Moving >= 0 {
		detail.Moving = &a.Moving
	}
	return detail
}

func isCode(kind string) bool { return kind == string(token.HOTP) || kind == string(token.TOTP) }

// checkpoint marks the end of this process's chain, if it has one that is not marked.
func (s *Store) checkpoint() error {
	err := s.change(context.Background(), func(tx *tx) error {
		head, err := tx.head(s.chain)
		if err != nil {
			return err
		}
		if head.Seq%checkpointEvery == 0 {
			return errUnchanged
		}
		return tx.mark(audit.Checkpoint, s.chain, audit.Mark{Seq: head.Seq, Hash: head.Hash})
	})
	if errors.Is(err, errUnchanged) || errors.Is(err, token.ErrMoved) {
		return nil
	}
	return err
}

// AuditFilter selects events. Zero fields select all.
type AuditFilter struct {
	Chain  string
	Object string
	From   time.Time // at or after
	Until  time.Time // before
}

const eventColumns = `SELECT chain, seq, at, actor, action, object, detail, prev, hash FROM audit`

// AuditEvents are the selected events in the order of (chain, number); Desk comes first. They are read as the sequence is
// taken, all from one state of the store.
func (s *Store) AuditEvents(ctx context.Context, f AuditFilter) iter.Seq2[audit.Event, error] {
	until := int64(1<<63 - 1)
	if !f.Until.IsZero() {
		until = micros(f.Until)
	}
	return s.auditRows(ctx, s.read, eventColumns+` WHERE (?1 = '' OR chain = ?1) AND (?2 = '' OR object = ?2) AND at >= ?3 AND at < ?4 ORDER BY chain, seq`,
		f.Chain, f.Object, micros(f.From), until)
}

func (s *Store) auditRows(ctx context.Context, q querier, text string, args ...any) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		rows, err := q.QueryContext(ctx, text, args...)
		if err != nil {
			yield(audit.Event{}, fmt.Errorf("read audit: %w", translate(err)))
			return
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanEvent(rows)
			if !yield(e, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(audit.Event{}, fmt.Errorf("read audit: %w", translate(err)))
		}
	}
}

// scanEvent takes what is there: a hash of a wrong length is left for Verify to find.
func scanEvent(rows *sql.Rows) (audit.Event, error) {
	var e audit.Event
	var at int64
	var prev, hash []byte
	if err := rows.Scan(&e.Chain, &e.Seq, &at, &e.Actor, &e.Action, &e.Object, &e.Detail, &prev, &hash); err != nil {
		return e, fmt.Errorf("read audit: %w", translate(err))
	}
	e.At = time.UnixMicro(at).UTC()
	copy(e.Prev[:], prev)
	copy(e.Hash[:], hash)
	if len(hash) != len(e.Hash) || len(prev) != len(e.Prev) {
		e.Hash = audit.Hash{}
	}
	return e, nil
}

func auditHeads(ctx context.Context, q querier) ([]audit.Head, error) {
	rows, err := q.QueryContext(ctx, `SELECT chain, seq, hash, at, signature FROM audit_head ORDER BY chain`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []audit.Head
	for rows.Next() {
		var h audit.Head
		var at int64
		var hash []byte
		if err := rows.Scan(&h.Chain, &h.Seq, &hash, &at, &h.Signature); err != nil {
			return nil, err
		}
		h.At = time.UnixMicro(at).UTC()
		if len(hash) == len(h.Hash) {
			copy(h.Hash[:], hash)
		}
		out = append(out, h)
	}
	return out, rows.Err()
}

// Audit calls f with all events and all heads, of one state of the store: for audit.Write and audit.Verify.
func (s *Store) Audit(ctx context.Context, f func(events iter.Seq2[audit.Event, error], heads []audit.Head) error) error {
	var own error // of f
	err := s.readState(ctx, func(q querier) error {
		heads, err := auditHeads(ctx, q)
		if err == nil {
			own = f(s.auditRows(ctx, q, eventColumns+` ORDER BY chain, seq`), heads)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read audit: %w", translate(err))
	}
	return own
}

// AuditVerify checks the whole audit against the public half of the signing key.
func (s *Store) AuditVerify(ctx context.Context, public ed25519.PublicKey) (audit.Report, error) {
	var r audit.Report
	err := s.Audit(ctx, func(events iter.Seq2[audit.Event, error], heads []audit.Head) (err error) {
		r, err = audit.Verify(public, events, heads)
		return err
	})
	return r, err
}
