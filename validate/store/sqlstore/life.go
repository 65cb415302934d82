package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// tokenDetail is the detail of an event about a token.
type tokenDetail struct {
	Serial     token.Serial       `json:"serial,omitempty"`
	Label      string             `json:"label,omitempty"`
	Account    string             `json:"account,omitempty"` // of the holder, or of the former one
	From       token.State        `json:"from,omitempty"`
	To         token.State        `json:"to,omitempty"`
	Reason     token.Reason       `json:"reason,omitempty"`
	Note       string             `json:"note,omitempty"`
	Name       string             `json:"name,omitempty"`
	Until      string             `json:"until,omitempty"`
	IDCheck    desk.IDCheck       `json:"id_check,omitempty"`
	Replaces   token.ID           `json:"replaces,omitempty"`
	Credential token.CredentialID `json:"credential,omitempty"` // that proved it
	PublicID   string             `json:"public_id,omitempty"`
	Use        int                `json:"use,omitempty"`
	Session    int                `json:"session,omitempty"`
	Moving     int64              `json:"moving,omitempty"`
	Drift      int64              `json:"drift,omitempty"`
	Pushed     int64              `json:"pushed,omitempty"` // credentials at targets that are to be disabled there
	Browsers   int                `json:"browsers,omitempty"`
	Links      int                `json:"links,omitempty"`
	Codes      int                `json:"codes,omitempty"` // temporary and recovery codes
	Receipt    string             `json:"receipt,omitempty"`
}

func detailOf(k token.Token) tokenDetail {
	d := tokenDetail{Serial: k.Serial, Label: k.Label, From: k.State, Reason: k.Reason}
	if k.Holder != nil {
		d.Account = k.Holder.Account
	}
	return d
}

// proved adds what proved it.
func (d tokenDetail) proved(e desk.Evidence) tokenDetail {
	d.Credential, d.PublicID = e.Credential, e.PublicID.String()
	if e.PublicID.Len() > 0 {
		d.Use, d.Session = e.Counters.Use, e.Counters.Session
	} else {
		d.Moving, d.Drift = e.Counters.Moving, e.Counters.Clock.Drift
	}
	return d
}

// change of a token: k is as the transaction read it.
type lifeChange func(tx *tx, k token.Token) error

// live runs f on a token in one transaction; false if f says errUnchanged.
func (s *Store) live(ctx context.Context, id token.ID, f lifeChange) (bool, error) {
	err := s.change(ctx, func(tx *tx) error {
		k, err := oneToken(ctx, tx, `WHERE t.id = ?`, id)
		if err != nil {
			return err
		}
		return f(tx, k)
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	return err == nil, translate(err)
}

// move writes a state, guarded by the one that was read.
func (t *tx) move(k token.Token, to token.State) error {
	return t.one(token.ErrConflict, `UPDATE token SET state = ? WHERE id = ? AND state = ?`, string(to), k.ID, string(k.State))
}

// unblock moves a blocked token and forgets the block.
func (t *tx) unblock(k token.Token, to token.State) error {
	if err := t.move(k, to); err != nil {
		return err
	}
	return t.one(token.ErrNotFound, `UPDATE token SET reason = '', blocked_at = 0, blocked_from = '', blocked_by = '', until = 0 WHERE id = ?`, k.ID)
}

// opened sets what may be accepted of a token, and wants it at targets again.
func (t *tx) opened(id token.ID) error {
	if err := t.enable(id); err != nil { // a credential stays off while a write of its slot is uncertain
		return err
	}
	return t.wantAgain(id)
}

// settled is token.ErrUnsettled while a write or a change of a slot is open.
func (t *tx) settled(id token.ID) error {
	var open bool
	err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM ledger WHERE token = ?1 AND phase NOT IN ('committed', 'aborted'))
		OR EXISTS (SELECT 1 FROM slot_change WHERE token = ?1 AND phase = 'writing')`, id).Scan(&open)
	if err == nil && open {
		err = token.ErrUnsettled
	}
	return err
}

// Restore implements desk.Life.
func (s *Store) Restore(ctx context.Context, id token.ID, e desk.Evidence) (bool, error) {
	return s.live(ctx, id, func(tx *tx, k token.Token) error {
		next, err := k.State.Next(token.Restore)
		if err != nil {
			return err
		}
		if k.BlockedFrom == token.InStock || k.BlockedFrom == token.Shipped { // nobody was given it yet
			next = k.BlockedFrom
		}
		if err := tx.spendProof(ctx, k, e); err != nil {
			return err
		}
		if err := tx.unblock(k, next); err != nil {
			return err
		}
		if err := tx.opened(id); err != nil {
			return err
		}
		detail := detailOf(k).proved(e)
		detail.To = next
		if k.Holder != nil {
			if detail.Browsers, err = tx.dropBrowsers(k.Holder.ID, 0); err != nil {
				return err
			}
			if err := tx.notify(k.Holder.ID, desk.NoticeRestored, desk.Facts{Token: desk.Name(k), Reason: k.Reason}); err != nil {
				return err
			}
		}
		return tx.desk("token.restore", tokenObject(id), detail)
	})
}

// Undo implements desk.Life.
func (s *Store) Undo(ctx context.Context, id token.ID) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		if _, err := k.State.Next(token.Undo); err != nil {
			return err
		}
		if cause, err := tx.noUndo(k); err != nil {
			return err
		} else if cause != "" {
			return &desk.UndoError{Cause: cause}
		}
		if err := tx.unblock(k, k.BlockedFrom); err != nil {
			return err
		}
		if err := tx.opened(id); err != nil {
			return err
		}
		detail := detailOf(k)
		detail.To = k.BlockedFrom
		if k.Holder != nil {
			if err := tx.notify(k.Holder.ID, desk.NoticeRestored, desk.Facts{Token: desk.Name(k), Reason: k.Reason}); err != nil {
				return err
			}
		}
		return tx.desk("token.undo", tokenObject(id), detail)
	})
	return err
}

// noUndo says what forbids an undo; "" for nothing.
func (t *tx) noUndo(k token.Token) (cause string, err error) {
	switch passed := t.now.Sub(k.BlockedAt); {
	case !k.BlockedFrom.Valid() || k.BlockedBy == "":
		return "more than one block was made", nil
	case k.BlockedBy != t.actor:
		return "somebody else made it", nil
	case passed < 0 || passed > token.UndoTime:
		return fmt.Sprintf("it was made more than %d minutes ago", int(token.UndoTime.Minutes())), nil
	case k.Holder == nil:
		return "", nil
	}
	var reissued bool
	err = t.QueryRow(`SELECT EXISTS (SELECT 1 FROM token WHERE holder = ? AND id <> ? AND issued_at >= ?)`, k.Holder.ID, k.ID, micros(k.BlockedAt)).Scan(&reissued)
	if err == nil && reissued {
		cause = "its holder was issued another token since"
	}
	return cause, err
}
