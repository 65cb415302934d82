package sqlstore

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// shipDetail is the detail of an event about a token in the post.
type shipDetail struct {
	tokenDetail
	Shipment int64  `json:"shipment,omitempty"`
	Expires  string `json:"expires,omitempty"`
	Left     int    `json:"tries_left,omitempty"`
}

// numberOf is what is kept of the number that goes with a token.
func (s *Store) numberOf(id token.ID, number secret.Bytes) []byte {
	return s.handle(secret.New([]byte("shipment of "+tokenObject(id))), number)
}

// Ship implements desk.Handovers.
func (s *Store) Ship(ctx context.Context, id token.ID, p desk.Posting) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		next, err := k.State.Next(token.Ship)
		if err != nil {
			return err
		}
		again := k.State == token.Shipped
		if k.Holder != nil && (!again || k.Holder.ID != p.To) {
			return desk.ErrHeld
		}
		if err := tx.settled(id); err != nil {
			return err
		}
		if err := tx.provable(id); err != nil {
			return err
		}
		detail := shipDetail{tokenDetail: detailOf(k), Expires: p.Until.UTC().Format(time.RFC3339)}
		detail.To, detail.IDCheck, detail.Replaces, detail.Note = next, p.IDCheck, p.Replace, p.Note
		if err := tx.move(k, next); err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `UPDATE token SET holder = ?, issued_at = 0 WHERE id = ?`, p.To, id); err != nil {
			return err
		}
		if err := tx.enable(id); err != nil {
			return err
		}
		if detail.Pushed, err = tx.unwant(id, 0); err != nil {
			return err
		}
		if err := tx.replace(ctx, p.Handing, id); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE shipment SET ended = ? WHERE token = ? AND ended = 0`, micros(tx.now), id); err != nil {
			return err
		}
		detail.Shipment, err = tx.insert(`INSERT INTO shipment (token, person, number, tries_left, expires, created) VALUES (?, ?, ?, ?, ?, ?)`,
			id, p.To, s.numberOf(id, p.Number), desk.ShipTries, micros(p.Until), micros(tx.now))
		if err != nil {
			return err
		}
		return tx.posted(ctx, k, again, p, detail)
	})
	return err
}

// provable is token.ErrConflict for a token that could never show that it arrived.
func (t *tx) provable(id token.ID) error {
	var ok bool
	err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM credential WHERE token = ? AND state NOT IN ('pending', 'revoked') AND kind IN ('yubico-otp', 'hotp', 'totp'))`, id).Scan(&ok)
	if err == nil && !ok {
		err = token.ErrConflict
	}
	return err
}

// posted tells the person, and writes the receipt of what is posted for the first time.
func (t *tx) posted(ctx context.Context, k token.Token, again bool, p desk.Posting, detail shipDetail) error {
	now, err := oneToken(ctx, t, `WHERE t.id = ?`, k.ID)
	if err != nil {
		return err
	}
	detail.Account = now.Holder.Account
	if again {
		return t.desk("token.ship", tokenObject(k.ID), detail)
	}
	if err := t.notify(p.To, desk.NoticeShipped, desk.Facts{Token: desk.Name(now), Until: p.Until.UTC()}); err != nil {
		return err
	}
	r := handed{kind: token.Posted, token: k.ID, person: p.To, check: p.IDCheck, operator: t.actor, at: micros(t.now), replaces: p.Replace}
	if r.number, err = t.nextReceipt(""); err != nil {
		return err
	}
	err = t.QueryRow(`SELECT coalesce(min(id), 0) FROM credential WHERE token = ? AND state NOT IN ('pending', 'revoked')`, k.ID).Scan(&r.credential)
	if err != nil {
		return err
	}
	detail.Receipt = token.Receipt{Number: r.number}.Ref()
	if err := t.desk("token.ship", tokenObject(k.ID), detail); err != nil {
		return err
	}
	return t.putReceipt(r)
}

// Arrive implements desk.Handovers.
func (s *Store) Arrive(ctx context.Context, id token.ID, number string, e desk.Evidence) (desk.Proof, error) {
	var proof desk.Proof
	err := s.change(ctx, func(tx *tx) (err error) {
		proof, err = tx.arrive(ctx, id, number, e)
		return err
	})
	if errors.Is(err, errUnchanged) {
		return desk.NotNewer, nil
	}
	if err != nil {
		return "", fmt.Errorf("arrive: %w", translate(err))
	}
	return proof, nil
}

func (t *tx) arrive(ctx context.Context, id token.ID, number string, e desk.Evidence) (desk.Proof, error) {
	k, err := oneToken(ctx, t, `WHERE t.id = ?`, id)
	if err != nil {
		return "", err
	}
	next, err := k.State.Next(token.Arrive)
	if err != nil {
		return "", err
	}
	if err := t.spendProof(ctx, k, e); err != nil {
		return "", err
	}
	detail := shipDetail{tokenDetail: detailOf(k).proved(e)}
	var want []byte
	var expires int64
	err = t.QueryRow(`SELECT id, number, tries_left, expires FROM shipment WHERE token = ? AND ended = 0`, id).Scan(&detail.Shipment, &want, &detail.Left, &expires)
	if err != nil && !isNotFound(err) {
		return "", err
	}
	if err != nil || detail.Left == 0 || expires <= micros(t.now) {
		return desk.NumberOver, t.desk("token.arrive-late", tokenObject(id), detail)
	}
	if !hmac.Equal(want, t.s.numberOf(id, secret.New([]byte(number)))) {
		detail.Left--
		if _, err := t.Exec(`UPDATE shipment SET tries_left = ? WHERE id = ?`, detail.Left, detail.Shipment); err != nil {
			return "", err
		}
		return desk.WrongNumber, t.desk("token.arrive-wrong", tokenObject(id), detail)
	}
	if _, err := t.Exec(`UPDATE shipment SET ended = ? WHERE id = ?`, micros(t.now), detail.Shipment); err != nil {
		return "", err
	}
	if err := t.firstProof(e.Credential); err != nil {
		return "", err
	}
	if err := t.move(k, next); err != nil {
		return "", err
	}
	if err := t.one(token.ErrNotFound, `UPDATE token SET issued_at = ? WHERE id = ?`, micros(t.now), id); err != nil {
		return "", err
	}
	if err := t.opened(id); err != nil {
		return "", err
	}
	if err := t.notify(k.Holder.ID, desk.NoticeIssued, desk.Facts{Token: desk.Name(k)}); err != nil {
		return "", err
	}
	detail.To = next
	return desk.Proven, t.desk("token.arrive", tokenObject(id), detail)
}

// CancelShipment implements desk.Handovers.
func (s *Store) CancelShipment(ctx context.Context, id token.ID, note string) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		if err := tx.one(token.ErrConflict, `UPDATE shipment SET ended = ? WHERE token = ? AND ended = 0`, micros(tx.now), id); err != nil {
			return err
		}
		if k.State == token.Shipped {
			if _, err := tx.block(ctx, k, desk.Block{Reason: token.ReasonLost, Note: note}); err != nil {
				return err
			}
		}
		detail := detailOf(k)
		detail.Note = note
		return tx.desk("token.ship-cancel", tokenObject(id), detail)
	})
	return err
}
