package sqlstore

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// handed is a receipt to be written.
type handed struct {
	station    string // "": the store's own
	number     int64  // 0: the next one
	kind       token.ReceiptKind
	token      token.ID
	credential token.CredentialID // 0: unknown
	person     token.PersonID
	check      token.IDCheck
	operator   string
	at         int64 // micros
	replaces   token.ID
}

// nextReceipt is the number after the last one of a series. Nobody else writes beside the transaction.
func (t *tx) nextReceipt(station string) (n int64, err error) {
	err = t.QueryRow(`SELECT coalesce(max(number), 0) + 1 FROM receipt WHERE station = ?`, station).Scan(&n)
	return n, err
}

// putReceipt writes a receipt whose number is in the event that was written last: the checkpoint that stands on it.
func (t *tx) putReceipt(h handed) error {
	head, err := t.head(audit.Desk)
	if err != nil {
		return err
	}
	_, err = t.Exec(`INSERT INTO receipt (station, number, kind, token, credential, person, id_check, operator, at, replaces, checkpoint, hash)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, h.station, h.number, string(h.kind), h.token, orNull(h.credential), h.person, string(h.check), h.operator,
		h.at, orNull(h.replaces), head.Seq, head.Hash[:])
	return err
}

const receiptText = `SELECT r.station, r.number, r.kind, r.token, coalesce(t.serial, 0), t.label, t.stock_number, coalesce(c.slot, 0), coalesce(c.public_id, ''),
	p.account, p.name, r.id_check, r.operator, r.at, coalesce(o.serial, 0), coalesce(o.label, ''), coalesce(o.id, 0), r.checkpoint, r.hash
	FROM receipt r JOIN token t ON t.id = r.token JOIN person p ON p.id = r.person LEFT JOIN credential c ON c.id = r.credential LEFT JOIN token o ON o.id = r.replaces `

func scanReceipt(row scanner) (token.Receipt, error) {
	var r token.Receipt
	var public string
	var at int64
	var old token.Token
	var hash []byte
	err := row.Scan(&r.Station, &r.Number, &r.Kind, &r.Token, &r.Serial, &r.Label, &r.Stock, &r.Slot, &public,
		&r.Account, &r.Name, &r.IDCheck, &r.Operator, &at, &old.Serial, &old.Label, &old.ID, &r.Checkpoint, &hash)
	if err != nil {
		return r, err
	}
	r.At, r.Hash = fromMicros(at), hex.EncodeToString(hash)
	if old.ID != 0 {
		r.Replaces = desk.Name(old)
	}
	if r.PublicID, err = token.ParsePublicID(public); err != nil {
		err = fmt.Errorf("%w: receipt %s: %w", token.ErrIntegrity, r.Ref(), err)
	}
	return r, err
}

// Receipts implements desk.Handovers.
func (s *Store) Receipts(ctx context.Context, f desk.ReceiptFilter, most int) ([]token.Receipt, error) {
	if most <= 0 {
		most = 1<<31 - 1
	}
	list, err := collect(ctx, s.read, scanReceipt, receiptText+`WHERE (?1 = 0 OR r.token = ?1) AND (?2 = 0 OR r.person = ?2)
		AND (?3 = 0 OR r.number = ?3 AND r.station = ?4) AND (?4 = '' OR r.station = ?4) ORDER BY r.at DESC, r.checkpoint DESC LIMIT ?5`,
		f.Token, f.Person, f.Number, f.Station, most)
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", translate(err))
	}
	return list, nil
}

// Owed implements desk.Handovers.
func (s *Store) Owed(ctx context.Context) ([]token.Token, error) {
	list, err := collect(ctx, s.read, scanToken, `SELECT `+tokenColumns+tokenFrom+`WHERE t.owed > 0 ORDER BY t.id`)
	if err != nil {
		return nil, fmt.Errorf("read what is owed: %w", translate(err))
	}
	return list, nil
}

// SettleOwed implements desk.Handovers.
func (s *Store) SettleOwed(ctx context.Context, id token.ID, note string) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		if err := tx.one(token.ErrConflict, `UPDATE token SET owed = 0 WHERE id = ? AND owed > 0`, id); err != nil {
			return err
		}
		detail := detailOf(k)
		detail.Note = note
		return tx.desk("token.returned", tokenObject(id), detail)
	})
	return err
}

// replace revokes the token that another one takes the place of, which its holder must be the same of. It is owed from now on, unless
// it is an app or was lost.
func (t *tx) replace(ctx context.Context, h desk.Handing, by token.ID) error {
	if h.Replace == 0 {
		return nil
	}
	old, err := oneToken(ctx, t, `WHERE t.id = ?`, h.Replace)
	if err != nil {
		return err
	}
	if old.ID == by || old.Holder == nil || old.Holder.ID != h.To {
		return token.ErrConflict
	}
	if err := t.revoke(ctx, old, "token.replaced", detailOf(old)); err != nil {
		return err
	}
	if old.Model == token.App || old.State == token.Lost {
		return nil
	}
	return t.one(token.ErrNotFound, `UPDATE token SET owed = ? WHERE id = ?`, micros(t.now), old.ID)
}

// replaceable is what replace would say of a handover that a commit is to carry out later.
func (t *tx) replaceable(ctx context.Context, r token.Reservation, by token.ID) error {
	h := r.Handover
	switch {
	case h == (token.Handover{}):
		return nil
	case r.Holder == 0, h.IDCheck == "" && h.Replace != 0, h.IDCheck != "" && !isCheck(h.IDCheck):
		return token.ErrConflict
	case h.Replace == 0:
		return nil
	}
	old, err := oneToken(ctx, t, `WHERE t.id = ?`, h.Replace)
	if err != nil {
		return err
	}
	if old.ID == by || old.Holder == nil || old.Holder.ID != r.Holder {
		return token.ErrConflict
	}
	_, err = old.State.Next(token.Revoke)
	return err
}

func isCheck(c token.IDCheck) bool {
	for _, known := range token.IDChecks() {
		if c == known {
			return true
		}
	}
	return false
}
