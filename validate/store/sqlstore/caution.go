package sqlstore

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// What a backup that was put back does to credentials: see package validate, Cautious. A cautious row is never enabled, so the
// statements that accept need not know of it. Only the two below take caution off, and none of them accepts.

// relaxText raises the counters of a cautious row by a fresh Yubico OTP; its pair with the stored one is validate.Pairs.
func relaxText() string {
	ticks := `(?3 - timestamp + 16777216) % 16777216`
	return fmt.Sprintf(`UPDATE counter SET use_counter = ?1, session_counter = ?2, timestamp = ?3, nonce = '', at = ?4,
		caution = CASE WHEN caution = 1 AND use_counter = ?1 AND %[1]s <= %[2]d AND abs(?4 - at - %[1]s * 125000) <= %[3]d THEN 0 ELSE 1 END
		WHERE credential = ?5 AND enabled = 0 AND caution > 0 AND (use_counter, session_counter) < (?1, ?2) AND %[4]s`,
		ticks, validate.PairTicks, validate.PairDeviation.Microseconds(), allowed())
}

// relaxMovingText is the same for a HOTP code.
func relaxMovingText() string {
	return fmt.Sprintf(`UPDATE counter SET moving = ?1, at = ?2,
		caution = CASE WHEN caution = 1 AND ?1 = moving + 1 AND ?2 - at BETWEEN 0 AND %d THEN 0 ELSE 1 END
		WHERE credential = ?3 AND enabled = 0 AND caution > 0 AND moving < ?1 AND %s`, validate.PairHOTP.Microseconds(), allowed())
}

// relax runs one of them, and enables the row where no caution is left. False: it changed nothing.
func (t *tx) relax(text string, id token.CredentialID, args ...any) (bool, error) {
	r, err := t.Exec(text, args...)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	_, err = t.Exec(deriveEnabled(`credential = ?1`), id)
	return true, err
}

// spendCautious is Spend where the row that was read is cautious. What is not so any more is spent as everything else.
func (s *Store) spendCautious(ctx context.Context, a validate.Advance) error {
	return s.change(ctx, func(tx *tx) error {
		relaxed, err := tx.relax(relaxText(), a.Credential, a.Use, a.Session, a.Timestamp, micros(a.At), a.Credential)
		if err != nil {
			return err
		}
		if !relaxed {
			if _, err := tx.hot(s.hot.spend).Exec(a.Use, a.Session, a.Timestamp, micros(a.At), a.Credential); err != nil {
				return err
			}
		}
		tx.spends(spentOf(a))
		return tx.validation(a)
	})
}

// trustHOTP ends the caution of a HOTP credential: a member of staff saw two codes that follow one another, past the stored one.
func (t *tx) trustHOTP(id token.CredentialID) error {
	_, err := t.Exec(`UPDATE counter SET caution = 0 WHERE credential = ?1 AND caution > 0 AND credential IN (SELECT id FROM credential WHERE kind = 'hotp')`, id)
	if err == nil {
		_, err = t.Exec(deriveEnabled(`credential = ?1`), id)
	}
	return err
}

// Cautious implements desk.Trust.
func (s *Store) Cautious(ctx context.Context) ([]token.Token, error) {
	list, err := collect(ctx, s.read, scanToken, `SELECT `+tokenColumns+tokenFrom+`WHERE t.id IN (
		SELECT c.token FROM counter n JOIN credential c ON c.id = n.credential WHERE n.caution > 0 AND c.state <> 'revoked') ORDER BY t.id`)
	if err != nil {
		return nil, fmt.Errorf("list cautious tokens: %w", translate(err))
	}
	return list, nil
}

// Release implements desk.Trust.
func (s *Store) Release(ctx context.Context, id token.ID, why string) (bool, error) {
	return s.live(ctx, id, func(tx *tx, k token.Token) error {
		n, err := tx.count(`UPDATE counter SET caution = 0 WHERE caution > 0 AND credential IN (SELECT id FROM credential WHERE token = ?)`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		if err := tx.enable(id); err != nil {
			return err
		}
		detail := detailOf(k)
		detail.Note = why
		return tx.desk("token.release", tokenObject(id), detail)
	})
}
