package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// escrowPlace is where an escrowed secret is sealed. Lock codes had a table of their own up to schema 20, and kept their numbers.
func (s *Store) escrowPlace(id int64, what token.EscrowKind) seal.Place {
	owner := "escrow"
	if what == token.LockCode {
		owner = "lockcode"
	}
	return seal.Place{Store: s.id, Owner: owner, ID: id, What: seal.What(what)}
}

type escrowDetail struct {
	What    token.EscrowKind `json:"what"`
	Escrow  token.EscrowID   `json:"escrow"`
	Dropped int64            `json:"dropped,omitempty"`
}

// KeepEscrow makes a secret durable, sealed, before it goes to a key. The caller keeps its own copy. The key need not be known otherwise.
func (s *Store) KeepEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, plain secret.Bytes) (token.EscrowID, error) {
	var id int64
	err := s.change(ctx, func(tx *tx) (err error) {
		if serial == 0 {
			return errors.New("it is for one serial number")
		}
		if err := what.Check(plain); err != nil {
			return err
		}
		id, err = tx.insert(`INSERT INTO escrow (serial, what, held, key_version, sealed, created) VALUES (?, ?, 0, 0, ?, ?)`, serial, what, []byte{}, micros(tx.now))
		if err != nil {
			return err
		}
		row, version, err := tx.seal(tx.s.escrowPlace(id, what), plain) // bound to the number that it just got
		if err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `UPDATE escrow SET sealed = ?, key_version = ? WHERE id = ?`, row, version, id); err != nil {
			return err
		}
		return tx.desk("escrow.keep", serialObject(serial), escrowDetail{What: what, Escrow: token.EscrowID(id)})
	})
	if err != nil {
		return 0, fmt.Errorf("keep the %s of %d: %w", what, serial, translate(err))
	}
	return token.EscrowID(id), nil
}

// Escrows are the secrets of one kind that a key may have, the one that it was seen with first, then the newest. The caller destroys them.
func (s *Store) Escrows(ctx context.Context, serial token.Serial, what token.EscrowKind) ([]token.Escrow, error) {
	type row struct {
		escrow  token.Escrow
		version uint32
		sealed  []byte
	}
	rows, err := collect(ctx, s.read, func(r scanner) (out row, err error) {
		var created int64
		err = r.Scan(&out.escrow.ID, &out.escrow.Held, &out.version, &out.sealed, &created)
		out.escrow.What, out.escrow.Created = what, fromMicros(created)
		return out, err
	}, `SELECT id, held, key_version, sealed, created FROM escrow WHERE serial = ? AND what = ? ORDER BY held DESC, id DESC`, serial, what)
	var out []token.Escrow
	for _, r := range rows {
		if r.escrow.Secret, err = s.unseal(s.escrowPlace(int64(r.escrow.ID), what), r.version, r.sealed); err != nil {
			break
		}
		out = append(out, r.escrow)
	}
	if err != nil {
		for _, e := range out {
			e.Secret.Destroy()
		}
		return nil, fmt.Errorf("the %s of %d: %w", what, serial, translate(err))
	}
	return out, nil
}

// HandOutEscrow is Escrows for somebody who is told the secrets: an event of the audit chain says so, with the reason, before they are. It
// writes none if there are none.
func (s *Store) HandOutEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, reason string) ([]token.Escrow, error) {
	list, err := s.Escrows(ctx, serial, what)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	ids := make([]token.EscrowID, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	err = s.change(ctx, func(tx *tx) error {
		return tx.desk("escrow.show", serialObject(serial), struct {
			What   token.EscrowKind `json:"what"`
			Escrow []token.EscrowID `json:"escrow"`
			Reason string           `json:"reason"`
		}{what, ids, reason})
	})
	if err != nil {
		for _, e := range list {
			e.Secret.Destroy()
		}
		return nil, fmt.Errorf("hand out the %s of %d: %w", what, serial, translate(err))
	}
	return list, nil
}

// Escrowed are the kinds of secrets that are kept for a key, in no order, without opening any.
func (s *Store) Escrowed(ctx context.Context, serial token.Serial) ([]token.EscrowKind, error) {
	out, err := collect(ctx, s.read, func(r scanner) (k token.EscrowKind, err error) { return k, r.Scan(&k) },
		`SELECT DISTINCT what FROM escrow WHERE serial = ?`, serial)
	if err != nil {
		return nil, fmt.Errorf("what is kept for %d: %w", serial, translate(err))
	}
	return out, nil
}

// OpenEscrow is a secret that was on its way to a key when a run ended.
type OpenEscrow struct {
	Serial token.Serial
	What   token.EscrowKind
}

// OpenEscrows are those of all keys, each kind once, by serial number.
func (s *Store) OpenEscrows(ctx context.Context) ([]OpenEscrow, error) {
	out, err := collect(ctx, s.read, func(r scanner) (o OpenEscrow, err error) { return o, r.Scan(&o.Serial, &o.What) },
		`SELECT DISTINCT serial, what FROM escrow WHERE held = 0 ORDER BY serial, what`)
	if err != nil {
		return nil, fmt.Errorf("secrets on their way to keys: %w", translate(err))
	}
	return out, nil
}

// SettleEscrow says which secret of one kind the key was seen to have, 0 for none: the others of that kind are forgotten.
// token.ErrNotFound: it is none of that key and kind.
func (s *Store) SettleEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, held token.EscrowID) error {
	err := s.change(ctx, func(tx *tx) error {
		r, err := tx.Exec(`DELETE FROM escrow WHERE serial = ? AND what = ? AND id <> ?`, serial, what, held)
		if err != nil {
			return err
		}
		dropped, err := r.RowsAffected()
		if err != nil {
			return err
		}
		changed := dropped
		if held != 0 {
			var already bool
			if err := tx.QueryRow(`SELECT held FROM escrow WHERE id = ? AND serial = ? AND what = ?`, held, serial, what).Scan(&already); err != nil {
				return err
			}
			if !already {
				changed++
				if err := tx.one(token.ErrNotFound, `UPDATE escrow SET held = 1 WHERE id = ?`, held); err != nil {
					return err
				}
			}
		}
		if changed == 0 {
			return errUnchanged
		}
		return tx.desk("escrow.settle", serialObject(serial), escrowDetail{what, held, dropped})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("settle the %s of %d: %w", what, serial, translate(err))
	}
	return nil
}

// ForgetEscrow forgets one secret that the key was seen not to have; others of its kind stay. One that is not there is no error.
func (s *Store) ForgetEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, id token.EscrowID) error {
	err := s.change(ctx, func(tx *tx) error {
		r, err := tx.Exec(`DELETE FROM escrow WHERE serial = ? AND what = ? AND id = ?`, serial, what, id)
		if err != nil {
			return err
		}
		dropped, err := r.RowsAffected()
		if err != nil {
			return err
		}
		if dropped == 0 {
			return errUnchanged
		}
		return tx.desk("escrow.forget", serialObject(serial), escrowDetail{What: what, Escrow: id})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("forget a %s of %d: %w", what, serial, translate(err))
	}
	return nil
}

// PIVEvent is what was done to the PIV application of a key; fields that do not apply are empty.
type PIVEvent struct {
	Slot        string `json:"slot,omitempty"`        // "9a"
	Algorithm   string `json:"algorithm,omitempty"`   // "p256"
	PublicKey   string `json:"public_key,omitempty"`  // SHA-256 of the SubjectPublicKeyInfo, in hexadecimal
	Certificate string `json:"certificate,omitempty"` // SHA-256 of it, in hexadecimal
	Subject     string `json:"subject,omitempty"`
	Issuer      string `json:"issuer,omitempty"`
	Number      string `json:"number,omitempty"` // that the issuer gave the certificate, in hexadecimal
	// Gone are the SHA-256 of certificates whose key is lost with it.
	Gone   []string `json:"gone,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// NotePIV adds an event about a key's PIV application to the audit chain; what is "piv.reset" or the like.
func (s *Store) NotePIV(ctx context.Context, serial token.Serial, what string, e PIVEvent) error {
	err := s.change(ctx, func(tx *tx) error { return tx.desk(what, serialObject(serial), e) })
	if err != nil {
		return fmt.Errorf("note what was done to %d: %w", serial, translate(err))
	}
	return nil
}
