package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// spendProof raises the counters of the credential that proved a token, if they are newer: errUnchanged if not. Of a Yubico OTP the
// credential becomes active that was written without a touch; of a code the failures are forgotten.
func (t *tx) spendProof(ctx context.Context, k token.Token, e desk.Evidence) error {
	c, err := oneCredential(ctx, t, `WHERE c.id = ? AND c.token = ? AND c.state <> 'revoked'`, e.Credential, k.ID)
	if isNotFound(err) {
		return errUnchanged // replaced meanwhile
	}
	if err != nil {
		return err
	}
	n := e.Counters
	if c.Kind != token.YubicoOTP {
		err = t.one(errUnchanged, `UPDATE counter SET moving = ?1, drift = ?2, rate = ?3, drift_at = ?4, nonce = '', at = ?5 WHERE credential = ?6 AND moving < ?1`,
			n.Moving, n.Clock.Drift, n.Clock.Rate.Milliseconds(), micros(n.Clock.At), micros(n.At), c.ID)
		if err != nil {
			return err
		}
		t.spentMoving(c.ID, n.Moving, n.At)
		return t.putThrottle(throttleSubject(k), validate.Throttle{})
	}
	err = t.one(errUnchanged, `UPDATE counter SET use_counter = ?1, session_counter = ?2, timestamp = ?3, nonce = '', at = ?4
		WHERE credential = ?5 AND (use_counter, session_counter) < (?1, ?2)`, n.Use, n.Session, n.Timestamp, micros(n.At), c.ID)
	if err != nil {
		return err
	}
	t.spentCounters(c.ID, n)
	_, err = t.hot(t.s.hot.prove).Exec(micros(n.At), c.ID)
	return err
}

// firstProof is a credential's first proof: it is active from now on.
func (t *tx) firstProof(id token.CredentialID) error {
	_, err := t.Exec(`UPDATE credential SET state = 'active', proven_at = CASE WHEN proven_at = 0 THEN ? ELSE proven_at END
		WHERE id = ? AND state IN ('pending', 'programmed', 'in_stock')`, micros(t.now), id)
	return err
}

// throttleSubject is whose failures count: those of a person's tokens together.
func throttleSubject(k token.Token) string {
	if k.Holder != nil {
		return personSubject(k.Holder.ID)
	}
	return tokenObject(k.ID)
}

// OATH implements desk.Life.
func (s *Store) OATH(ctx context.Context, id token.ID) (list []token.Credential, err error) {
	which, args := `c.token = ?`, []any{id}
	if id == 0 {
		which, args = `c.token IN (SELECT id FROM token WHERE state = 'in_stock')`, nil
	}
	list, err = collect(ctx, s.read, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.kind IN ('hotp', 'totp') AND c.state <> 'revoked' AND `+which+` ORDER BY c.id`, args...)
	for i := range list {
		if err == nil {
			list[i].Secrets, err = s.secrets(ctx, s.read, list[i].ID)
		}
	}
	if err != nil {
		for _, c := range list {
			c.Secrets.Destroy()
		}
		return nil, fmt.Errorf("read seeds: %w", translate(err))
	}
	return list, nil
}

// CountProof implements desk.Life.
func (s *Store) CountProof(ctx context.Context, id token.ID, at time.Time) (validate.Throttle, error) {
	var before validate.Throttle
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		var err error
		if before.Failures, before.At, err = failures(ctx, tx, throttleSubject(k)); err != nil {
			return err
		}
		if ok, _ := before.Permits(at); !ok {
			return errUnchanged
		}
		return tx.putThrottle(throttleSubject(k), before.Failed(at))
	})
	return before, err
}

// UncountProof implements desk.Life.
func (s *Store) UncountProof(ctx context.Context, id token.ID, before validate.Throttle) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		_, err := tx.Exec(`UPDATE throttle SET failures = failures - 1, at = ? WHERE subject = ? AND failures > 0`, micros(before.At), throttleSubject(k))
		return err
	})
	return err
}

// Confirm implements desk.Life.
func (s *Store) Confirm(ctx context.Context, id token.ID, name string, e desk.Evidence) (bool, error) {
	return s.live(ctx, id, func(tx *tx, k token.Token) error {
		next, err := k.State.Next(token.Prove)
		if err != nil {
			return err
		}
		if err := tx.spendProof(ctx, k, e); err != nil {
			return err
		}
		if err := tx.firstProof(e.Credential); err != nil {
			return err
		}
		if err := tx.move(k, next); err != nil {
			return err
		}
		if name != "" {
			if k.Holder != nil {
				if err := tx.freeName(ctx, k.Holder.ID, id, name); err != nil {
					return err
				}
			}
			if err := tx.one(token.ErrNotFound, `UPDATE token SET name = ? WHERE id = ?`, name, id); err != nil {
				return err
			}
		}
		if k.State == token.Pending && k.Holder != nil {
			if err := tx.one(token.ErrNotFound, `UPDATE token SET issued_at = ? WHERE id = ?`, micros(tx.now), id); err != nil {
				return err
			}
			if err := tx.notify(k.Holder.ID, desk.NoticeActivated, desk.Facts{Token: desk.Name(k)}); err != nil {
				return err
			}
		}
		detail := detailOf(k).proved(e)
		detail.To, detail.Name = next, name
		if err := tx.enable(id); err != nil {
			return err
		}
		return tx.desk("token.verify", tokenObject(id), detail)
	})
}

// Resync implements desk.Life.
func (s *Store) Resync(ctx context.Context, id token.ID, e desk.Evidence) (bool, error) {
	return s.live(ctx, id, func(tx *tx, k token.Token) error {
		if k.State == token.Revoked {
			return &token.TransitionError{From: k.State, Event: token.Prove}
		}
		if err := tx.spendProof(ctx, k, e); err != nil {
			return err
		}
		if err := tx.trustHOTP(e.Credential); err != nil {
			return err
		}
		return tx.desk("token.resync", tokenObject(id), detailOf(k).proved(e))
	})
}

// ResetClock implements desk.Life.
func (s *Store) ResetClock(ctx context.Context, id token.ID) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		if k.State == token.Revoked {
			return &token.TransitionError{From: k.State, Event: token.Prove}
		}
		r, err := tx.Exec(`UPDATE counter SET drift = 0, rate = 0, drift_at = 0
			WHERE credential IN (SELECT id FROM credential WHERE token = ? AND kind = 'totp' AND state <> 'revoked')`, id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, desk.ErrNoClock)
		}
		return tx.desk("token.clock-reset", tokenObject(id), detailOf(k))
	})
	return err
}
