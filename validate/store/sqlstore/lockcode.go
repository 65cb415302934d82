package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// lockCodeLen is the length of a lock code in bytes. Source: reference yubikey-otp.md §7.2.
const lockCodeLen = 16

func (s *Store) lockCodePlace(id int64) seal.Place {
	return seal.Place{Store: s.id, Owner: "lockcode", ID: id, What: "lock-code"}
}

// KeepLockCode makes a code durable, sealed, before it goes to a key. The caller keeps its own copy.
func (s *Store) KeepLockCode(ctx context.Context, serial token.Serial, code secret.Bytes) (token.LockCodeID, error) {
	var id int64
	err := s.change(ctx, func(tx *tx) (err error) {
		if serial == 0 || code.Len() != lockCodeLen || code.IsZero() {
			return errors.New("a lock code has 16 bytes, not all zero, and is for one serial number")
		}
		id, err = tx.insert(`INSERT INTO lockcode (serial, held, key_version, sealed, created) VALUES (?, 0, 0, ?, ?)`, serial, []byte{}, micros(tx.now))
		if err != nil {
			return err
		}
		row, version, err := tx.seal(tx.s.lockCodePlace(id), code) // bound to the number that it just got
		if err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `UPDATE lockcode SET sealed = ?, key_version = ? WHERE id = ?`, row, version, id); err != nil {
			return err
		}
		return tx.desk("lockcode.keep", serialObject(serial), lockCodeDetail{Code: token.LockCodeID(id)})
	})
	if err != nil {
		return 0, fmt.Errorf("keep lock code of %d: %w", serial, translate(err))
	}
	return token.LockCodeID(id), nil
}

type lockCodeDetail struct {
	Code    token.LockCodeID `json:"code"`
	Dropped int64            `json:"dropped,omitempty"`
}

// LockCodes are the codes that a key may have, the one that it was seen with first, then the newest. The caller destroys them.
func (s *Store) LockCodes(ctx context.Context, serial token.Serial) ([]token.LockCode, error) {
	type row struct {
		code    token.LockCode
		version uint32
		sealed  []byte
	}
	rows, err := collect(ctx, s.read, func(r scanner) (out row, err error) {
		var created int64
		err = r.Scan(&out.code.ID, &out.code.Held, &out.version, &out.sealed, &created)
		out.code.Created = fromMicros(created)
		return out, err
	}, `SELECT id, held, key_version, sealed, created FROM lockcode WHERE serial = ? ORDER BY held DESC, id DESC`, serial)
	var out []token.LockCode
	for _, r := range rows {
		if r.code.Code, err = s.unseal(s.lockCodePlace(int64(r.code.ID)), r.version, r.sealed); err != nil {
			break
		}
		out = append(out, r.code)
	}
	if err != nil {
		for _, c := range out {
			c.Code.Destroy()
		}
		return nil, fmt.Errorf("lock codes of %d: %w", serial, translate(err))
	}
	return out, nil
}

// SettleLockCode says which code the key was seen to have, 0 for none: the others of the key are forgotten. token.ErrNotFound: it is no code of
// that key.
func (s *Store) SettleLockCode(ctx context.Context, serial token.Serial, held token.LockCodeID) error {
	err := s.change(ctx, func(tx *tx) error {
		r, err := tx.Exec(`DELETE FROM lockcode WHERE serial = ? AND id <> ?`, serial, held)
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
			if err := tx.QueryRow(`SELECT held FROM lockcode WHERE id = ? AND serial = ?`, held, serial).Scan(&already); err != nil {
				return err
			}
			if !already {
				changed++
				if err := tx.one(token.ErrNotFound, `UPDATE lockcode SET held = 1 WHERE id = ?`, held); err != nil {
					return err
				}
			}
		}
		if changed == 0 {
			return errUnchanged
		}
		return tx.desk("lockcode.settle", serialObject(serial), lockCodeDetail{held, dropped})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("settle lock code of %d: %w", serial, translate(err))
	}
	return nil
}
