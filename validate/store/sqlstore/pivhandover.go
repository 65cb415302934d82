package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// pivDetail is the detail of the event of a key whose PIV application was set up for somebody.
type pivDetail struct {
	tokenDetail
	Revoked int `json:"revoked,omitempty"` // accounts that its former holder may know
}

// HandOverPIV registers the token of a key whose PIV application was set up, and binds the holder. A key without any other credential is
// active: that it was set up is the proof that it was here. One with credentials goes through a write that nothing proved. The errors
// are *token.TransitionError, desk.ErrHeld, token.ErrUnsettled while a write is open for somebody else and token.ErrNotFound for an unknown holder.
func (s *Store) HandOverPIV(ctx context.Context, h token.PIVHandover) error {
	err := s.change(ctx, func(tx *tx) error {
		id, err := tx.reserveToken(ctx, token.Reservation{Serial: h.Serial, Firmware: h.Firmware})
		if err != nil {
			return err
		}
		k, err := oneToken(ctx, tx, `WHERE t.id = ?`, id)
		if err != nil {
			return err
		}
		if err := tx.forOne(id, h.Holder); err != nil {
			return err
		}
		next, err := tx.setUp(k)
		if err != nil {
			return err
		}
		if next != k.State {
			if err := tx.move(k, next); err != nil {
				return err
			}
		}
		detail := pivDetail{tokenDetail: detailOf(k)}
		detail.To = next
		if err := tx.bindPIV(ctx, k, h, &detail); err != nil {
			return err
		}
		if err := tx.enable(id); err != nil {
			return err
		}
		return tx.desk("piv.handover", serialObject(h.Serial), detail)
	})
	if err != nil {
		return fmt.Errorf("hand over %d: %w", h.Serial, translate(err))
	}
	return nil
}

// PIVHandedOver reports whether the PIV application of a key was set up for somebody since then, and not wiped after that: HandOverPIV is
// the last step of it.
func (s *Store) PIVHandedOver(ctx context.Context, serial token.Serial, since time.Time) (bool, error) {
	last, err := collect(ctx, s.read, func(r scanner) (what string, err error) { return what, r.Scan(&what) },
		`SELECT action FROM audit WHERE chain = ? AND object = ? AND at >= ? AND action IN ('piv.handover', 'piv.reset') ORDER BY seq DESC LIMIT 1`,
		audit.Desk, serialObject(serial), micros(since))
	if err != nil {
		return false, fmt.Errorf("was PIV of %d handed over: %w", serial, translate(err))
	}
	return len(last) == 1 && last[0] == "piv.handover", nil
}

// setUp is a token's state after its PIV application was set up.
func (t *tx) setUp(k token.Token) (token.State, error) {
	others, err := t.full(k.ID)
	if err != nil {
		return "", err
	}
	if others {
		return written(k.State, nil)
	}
	return written(k.State, &token.Counters{})
}

func (t *tx) bindPIV(ctx context.Context, k token.Token, h token.PIVHandover, detail *pivDetail) error {
	if h.Holder == 0 || k.Holder != nil && k.Holder.ID == h.Holder {
		return nil
	}
	if k.Holder != nil && !h.Reassign {
		return desk.ErrHeld
	}
	if k.Holder != nil {
		l, err := t.leave(ctx, k, 0)
		if err != nil {
			return err
		}
		detail.Revoked, detail.Pushed, detail.Browsers = l.Revoked, l.Pushed, l.Browsers
		// What was made for the holder was seen while the key was the former one's.
		if _, err := t.Exec(`UPDATE certificate SET seen = ? WHERE serial = ? AND slot = ? AND gone = 0`, micros(t.now), h.Serial, h.Made); err != nil {
			return err
		}
	}
	if err := t.QueryRow(`SELECT account FROM person WHERE id = ?`, h.Holder).Scan(&detail.Account); err != nil {
		return err
	}
	return t.one(token.ErrNotFound, `UPDATE token SET holder = ?, issued_at = ? WHERE id = ?`, h.Holder, micros(t.now), k.ID)
}
