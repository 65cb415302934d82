package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

var _ validate.Raiser = (*Store)(nil)

// maxRaises bounds how often one raise is tried again because an OTP was accepted meanwhile.
const maxRaises = 100

// raisedText finds what findText finds, without what only an OTP needs.
const raisedText = `SELECT c.id, c.token, c.state, t.state, n.enabled, n.use_counter, n.session_counter, n.timestamp, n.moving, n.nonce, n.at
	FROM credential c JOIN token t ON t.id = c.token JOIN counter n ON n.credential = c.id
	WHERE c.public_id = ? AND c.kind = 'yubico-otp' AND c.state <> 'revoked'
	  AND (c.state <> 'pending' OR EXISTS (SELECT 1 FROM secret WHERE credential = c.id))
	ORDER BY c.state = 'pending' LIMIT 1`

// raising is a credential whose counters are to be raised.
type raising struct {
	id    token.CredentialID
	token token.ID
	row   validate.Row
}

func findRaising(ctx context.Context, q querier, id token.PublicID) (raising, error) {
	var r raising
	var at int64
	n := &r.row.Counters
	err := q.QueryRowContext(ctx, raisedText, id.String()).Scan(&r.id, &r.token, &r.row.State, &r.row.Token, &r.row.Enabled,
		&n.Use, &n.Session, &n.Timestamp, &n.Moving, &n.Nonce, &at)
	n.At = fromMicros(at)
	return r, err
}

// raiseTo finds the credential and raises it, as validate.Raiser says. The row is guarded by what was read of it, so that what is
// returned is what was there right before, whatever else is accepted at the time.
func (t *tx) raiseTo(ctx context.Context, r validate.Raise) (c raising, raised bool, err error) {
	for range maxRaises {
		if c, err = findRaising(ctx, t, r.PublicID); err != nil {
			return c, false, err
		}
		n := c.row.Counters
		if r.Use < n.Use || r.Use == n.Use && r.Session <= n.Session {
			return c, false, nil
		}
		done, err := t.Exec(`UPDATE counter SET use_counter = ?, session_counter = ?, timestamp = ?, nonce = ?, at = ?
			WHERE credential = ? AND use_counter = ? AND session_counter = ?`,
			r.Use, r.Session, r.Timestamp, r.Nonce, micros(r.At), c.id, n.Use, n.Session)
		if err != nil {
			return c, false, err
		}
		if changed, err := done.RowsAffected(); err != nil || changed == 1 {
			t.spentCounters(c.id, token.Counters{Use: r.Use, Session: r.Session, Timestamp: r.Timestamp})
			return c, err == nil, err
		}
	}
	return c, false, validate.ErrContended
}

// Raise implements validate.Raiser.
func (s *Store) Raise(ctx context.Context, r validate.Raise) (before validate.Row, raised bool, err error) {
	err = s.change(ctx, func(tx *tx) error {
		c, did, err := tx.raiseTo(ctx, r)
		before, raised = c.row, did
		switch {
		case err != nil:
			return err
		case !did:
			return errUnchanged
		}
		return tx.validation(validate.Advance{
			Credential: c.id, Use: r.Use, Session: r.Session, Timestamp: r.Timestamp, Nonce: r.Nonce, At: tx.now,
			Event: validate.Event{Source: r.Source, PublicID: r.PublicID, Result: validate.ResultRaised, Reason: validate.ReasonElsewhere},
		})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return validate.Row{}, false, fmt.Errorf("raise: %w", translate(err))
	}
	return before, raised, nil
}
