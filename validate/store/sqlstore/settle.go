package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Commit ends an entry: the slot holds the new credential. In one transaction the former credential of the slot is revoked, the
// new one becomes active with the counters of its proof, or programmed without (counters nil, allowed after Written and where
// the entry asks for no proof), and the holder is bound. Of an account whose codes another service checks nothing is kept. A token that was blocked meanwhile stays blocked, and is what the write
// made of it when it is back. token.ErrConflict if the entry's phase or proof does not allow it.
func (s *Store) Commit(ctx context.Context, id token.EntryID, counters *token.Counters) error {
	err := s.change(ctx, func(tx *tx) error {
		e, err := s.openEntry(ctx, tx, id)
		if err != nil {
			return err
		}
		if !e.Phase.Uncertain() || counters == nil && (e.Proof != token.NoProof || e.Phase != token.Written) {
			return token.ErrConflict
		}
		if e.Elsewhere {
			return tx.commitElsewhere(ctx, e)
		}
		return tx.commit(ctx, e, counters, act{operator: tx.actor, at: tx.now})
	})
	if err != nil {
		return fmt.Errorf("commit entry %d: %w", id, translate(err))
	}
	return nil
}

// act is who committed where and when: here and now, or at a station without a network.
type act struct {
	station  string // "": here
	entry    int64  // in the station's journal
	receipt  int64  // its number there; 0: the next one here
	operator string
	at       time.Time
}

// stamp is a time in the detail of an event.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (t *tx) commit(ctx context.Context, e token.Entry, counters *token.Counters, by act) error {
	detail := ledgerDetail{Proof: e.Proof}
	if e.Former != nil { // first, so that its public ID is free
		next, err := e.Former.State.Next(token.Revoke)
		if err != nil {
			return err
		}
		if err := t.setCredentialState(e.Former.ID, next); err != nil {
			return err
		}
		if _, err := t.unwant(e.Token, e.Former.ID); err != nil {
			return err
		}
		detail.Former = e.Former.ID
	}
	state, err := written(e.Credential.State, counters)
	if err != nil {
		return err
	}
	if err := t.setCredentialState(e.Credential.ID, state); err != nil {
		return err
	}
	detail.State = state
	if counters != nil {
		if err := t.raise(e.Credential, *counters); err != nil {
			return err
		}
		if _, err := t.Exec(`UPDATE credential SET proven_at = ? WHERE id = ?`, micros(by.at), e.Credential.ID); err != nil {
			return err
		}
	}
	same, err := t.keepSpent(ctx, e)
	if err != nil {
		return err
	}
	k, err := oneToken(ctx, t, `WHERE t.id = ?`, e.Token)
	if err != nil {
		return err
	}
	if err := t.tellOverwritten(ctx, e, k, same); err != nil {
		return err
	}
	if err := t.tokenWritten(k, counters); err != nil {
		return err
	}
	if e.Holder != nil {
		if k.Holder != nil && k.Holder.ID != e.Holder.ID {
			if detail.left, err = t.leave(ctx, k, e.Credential.ID); err != nil {
				return err
			}
		}
		if _, err := t.Exec(`UPDATE token SET holder = ?, issued_at = ? WHERE id = ?`, e.Holder.ID, micros(by.at), e.Token); err != nil {
			return err
		}
		detail.Holder, detail.Account = e.Holder.ID, e.Holder.Account
	}
	if err := t.handOver(ctx, e, &detail, by); err != nil {
		return err
	}
	return t.enable(e.Token)
}

// tellOverwritten tells the holder what a write ended on the key, unless the holder hears of the write itself or of the key's loss. An
// account that has its former secret again, same, goes on as it was.
func (t *tx) tellOverwritten(ctx context.Context, e token.Entry, k token.Token, same bool) error {
	if e.Former == nil || same || e.Holder != nil && (e.Handover.IDCheck != "" || k.Holder == nil || k.Holder.ID != e.Holder.ID) {
		return nil
	}
	return t.tellErased(ctx, k.ID, *e.Former)
}

// keepSpent: an account that has its former secret again makes the same codes, and what was used of them stays used. It reports whether it
// has.
func (t *tx) keepSpent(ctx context.Context, e token.Entry) (same bool, err error) {
	if e.Former == nil || e.Credential.Settings.Account == "" {
		return false, nil
	}
	var marks [2][]byte
	for i, id := range []token.CredentialID{e.Former.ID, e.Credential.ID} {
		secrets, err := t.s.secrets(ctx, t, id)
		if err != nil {
			return false, err
		}
		marks[i] = t.s.mark(secrets.Key, secrets.PrivateID)
		secrets.Destroy()
	}
	if !bytes.Equal(marks[0], marks[1]) {
		return false, nil
	}
	return true, t.raise(e.Credential, e.Former.Counters)
}

// commitElsewhere forgets a secret whose codes another service checks: the key has it now. Whom the key belongs to stays as it is.
func (t *tx) commitElsewhere(ctx context.Context, e token.Entry) error {
	detail := ledgerDetail{Proof: e.Proof, Elsewhere: true}
	for _, c := range []*token.Credential{e.Former, &e.Credential} {
		if c == nil {
			continue
		}
		next, err := c.State.Next(token.Revoke)
		if err != nil {
			return err
		}
		if err := t.setCredentialState(c.ID, next); err != nil {
			return err
		}
		detail.State = next
	}
	if e.Former != nil {
		detail.Former = e.Former.ID
		if _, err := t.unwant(e.Token, e.Former.ID); err != nil {
			return err
		}
		if err := t.tellErased(ctx, e.Token, *e.Former); err != nil {
			return err
		}
	}
	if err := t.forget(e.Credential.ID); err != nil {
		return err
	}
	if err := t.advance(e, token.Committed, "ledger.commit", &detail); err != nil {
		return err
	}
	return t.enable(e.Token)
}

// handOver writes the event of a commit, and does what its handover asks for. A token that is to be replaced and went another way since the
// reservation is left alone: the key is written, and its commit must not fail for that.
func (t *tx) handOver(ctx context.Context, e token.Entry, detail *ledgerDetail, by act) error {
	h, action := e.Handover, "ledger.commit"
	if by.station != "" {
		action, detail.Kind = "journal.commit", e.Credential.Kind
		detail.Station, detail.Write, detail.Operator, detail.At = by.station, by.entry, by.operator, stamp(by.at)
	}
	if h.IDCheck == "" || e.Holder == nil {
		return t.advance(e, token.Committed, action, detail)
	}
	r := handed{kind: token.Issued, token: e.Token, credential: e.Credential.ID, person: e.Holder.ID, check: h.IDCheck,
		station: by.station, number: by.receipt, operator: by.operator, at: micros(by.at)}
	err := t.replaceable(ctx, token.Reservation{Holder: e.Holder.ID, Handover: h}, e.Token)
	var moved *token.TransitionError
	switch {
	case err == nil:
		r.replaces = h.Replace
		if err := t.replace(ctx, desk.Handing{To: e.Holder.ID, Replace: h.Replace}, e.Token); err != nil {
			return err
		}
	case !errors.Is(err, token.ErrConflict) && !errors.As(err, &moved):
		return err
	}
	now, err := oneToken(ctx, t, `WHERE t.id = ?`, e.Token)
	if err != nil {
		return err
	}
	if err := t.notify(e.Holder.ID, desk.NoticeIssued, desk.Facts{Token: desk.Name(now)}); err != nil {
		return err
	}
	if r.number == 0 {
		if r.number, err = t.nextReceipt(""); err != nil {
			return err
		}
	}
	detail.IDCheck, detail.Replaces, detail.Note, detail.Receipt = h.IDCheck, r.replaces, h.Note, token.Receipt{Station: r.station, Number: r.number}.Ref()
	if err := t.advance(e, token.Committed, action, detail); err != nil {
		return err
	}
	return t.putReceipt(r)
}

// tokenWritten moves the token, or what it will be after the block; "" is a block of before that was kept.
func (t *tx) tokenWritten(k token.Token, counters *token.Counters) error {
	was, text := k.State, `UPDATE token SET state = ? WHERE id = ?`
	if k.State.Blocked() {
		was, text = k.BlockedFrom, `UPDATE token SET blocked_from = ? WHERE id = ?`
	}
	if was == "" {
		return nil
	}
	next, err := written(was, counters)
	if err != nil {
		return err
	}
	return t.one(token.ErrNotFound, text, string(next), k.ID)
}

// written is the state after the write and, with counters, the proof.
func written(s token.State, counters *token.Counters) (token.State, error) {
	s, err := s.Next(token.Write)
	if err == nil && counters != nil {
		s, err = s.Next(token.Prove)
	}
	return s, err
}

// raise sets counters that are higher than the stored ones; lower ones change nothing. A Yubico OTP has the pair, the other kinds
// have the moving factor.
func (t *tx) raise(c token.Credential, n token.Counters) error {
	text := `UPDATE counter SET moving = ?1, at = ?2 WHERE credential = ?3 AND moving < ?1`
	args := []any{n.Moving, micros(t.now), c.ID}
	if c.Kind == token.YubicoOTP {
		text = `UPDATE counter SET use_counter = ?1, session_counter = ?2, timestamp = ?3, nonce = ?4, at = ?5
			WHERE credential = ?6 AND (use_counter, session_counter) < (?1, ?2)`
		args = []any{n.Use, n.Session, n.Timestamp, n.Nonce, micros(t.now), c.ID}
	}
	if c.Kind == token.YubicoOTP {
		t.spentCounters(c.ID, n)
	} else {
		t.spentMoving(c.ID, n.Moving, t.now)
	}
	_, err := t.Exec(text, args...)
	return err
}

// Abort ends an entry: the slot holds what it held before. The new credential is revoked and its secrets are destroyed; the
// former one may validate again. former are the counters of an OTP of the former credential that was seen meanwhile, nil if
// none was; they are raised to, so that it is spent. The caller knows what the slot holds: after Writing, only a touch tells.
// from is the phase that the caller knows; token.ErrConflict if the entry has moved on, as its secrets may be on a key by now.
func (s *Store) Abort(ctx context.Context, id token.EntryID, from token.Phase, reason string, former *token.Counters) error {
	err := s.change(ctx, func(tx *tx) error {
		e, err := s.openEntry(ctx, tx, id)
		if err != nil {
			return err
		}
		if e.Phase != from || former != nil && e.Former == nil {
			return token.ErrConflict
		}
		if former != nil {
			if err := tx.raise(*e.Former, *former); err != nil {
				return err
			}
			if _, err := tx.hot(s.hot.prove).Exec(micros(tx.now), e.Former.ID); err != nil {
				return err
			}
			if _, err := tx.hot(s.hot.proveToken).Exec(e.Former.ID); err != nil {
				return err
			}
		}
		next, err := e.Credential.State.Next(token.Revoke)
		if err != nil {
			return err
		}
		if err := tx.setCredentialState(e.Credential.ID, next); err != nil {
			return err
		}
		if err := tx.forget(e.Credential.ID); err != nil {
			return err
		}
		if err := tx.advance(e, token.Aborted, "ledger.abort", &ledgerDetail{Reason: reason}); err != nil {
			return err
		}
		return tx.enable(e.Token)
	})
	if err != nil {
		return fmt.Errorf("abort entry %d: %w", id, translate(err))
	}
	return nil
}

// forget destroys secrets that were never on a key, or are none of this store's.
func (t *tx) forget(id token.CredentialID) error {
	if _, err := t.Exec(`DELETE FROM secret WHERE credential = ?`, id); err != nil {
		return err
	}
	_, err := t.Exec(`UPDATE credential SET mark = ? WHERE id = ?`, []byte{}, id)
	return err
}
