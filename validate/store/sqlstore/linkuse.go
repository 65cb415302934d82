package sqlstore

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// enterLink finds a link, and its state after somebody tried a PIN. The try is taken by a guarded statement before it is looked
// at, and given back if the PIN was right, so that of many at once none is free. errUnchanged: nothing was tried.
func (t *tx) enterLink(ctx context.Context, value, pin string) (link, desk.LinkState, error) {
	l, err := t.s.linkOf(ctx, t, value)
	if errors.Is(translate(err), token.ErrNotFound) {
		return l, desk.LinkUnknown, errUnchanged
	}
	if err != nil {
		return l, "", err
	}
	state := l.at(t.now)
	switch {
	case state != desk.LinkOpen && state != desk.LinkShown:
		return l, state, errUnchanged
	case pin == "":
		return l, desk.LinkWrongPIN, errUnchanged
	}
	n, err := t.count(`UPDATE activation SET tries_left = tries_left - 1 WHERE id = ? AND tries_left > 0`, l.ID)
	if err != nil {
		return l, "", err
	}
	if n == 0 {
		return l, desk.LinkLocked, errUnchanged
	}
	t.actor = personObject(l.Person)
	if hmac.Equal(l.pin, t.s.handle(secret.New([]byte(value)), secret.New([]byte(pin)))) {
		return l, state, t.one(token.ErrNotFound, `UPDATE activation SET tries_left = tries_left + 1 WHERE id = ?`, l.ID)
	}
	if l.TriesLeft > 1 {
		return l, desk.LinkWrongPIN, nil
	}
	if err := t.endSecret(l); err != nil {
		return l, "", err
	}
	return l, desk.LinkLocked, t.desk("link.lock", linkObject(l.ID), linkDetail{Account: l.Person.Account, Token: l.token})
}

// ShowLink implements desk.Links.
func (s *Store) ShowLink(ctx context.Context, value, pin string, draw desk.Draw) (desk.LinkState, token.CredentialID, error) {
	var state desk.LinkState
	var id token.CredentialID
	err := s.change(ctx, func(tx *tx) (err error) {
		var l link
		id = 0
		if l, state, err = tx.enterLink(ctx, value, pin); err != nil {
			return err
		}
		switch state {
		case desk.LinkOpen:
			if id, err = tx.drawFor(&l, draw); err != nil {
				return err
			}
			state = desk.LinkShown
		case desk.LinkShown:
			err = tx.QueryRowContext(ctx, `SELECT id FROM credential WHERE token = ? AND state = 'pending'`, l.token).Scan(&id)
			if err != nil {
				return err
			}
		default:
			return nil
		}
		return tx.desk("credential.show", tokenObject(l.token), struct {
			Credential token.CredentialID `json:"credential"`
			Form       string             `json:"form"`
			Link       int64              `json:"link"`
		}{id, "link", l.ID})
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return "", 0, fmt.Errorf("show link: %w", translate(err))
	}
	return state, id, nil
}

// drawFor gives a link a fresh token; the one before is revoked.
func (t *tx) drawFor(l *link, draw desk.Draw) (token.CredentialID, error) {
	if err := t.endSecret(*l); err != nil {
		return 0, err
	}
	k, c, err := draw(l.Kind, l.Settings)
	if err != nil {
		return 0, err
	}
	defer c.Secrets.Destroy()
	k.Holder = &l.Person
	if c, err = t.putApp(&k, c); err != nil {
		return 0, err
	}
	l.token = k.ID
	err = t.one(token.ErrNotFound, `UPDATE activation SET token = ?, opened = ?, wrong = 0 WHERE id = ?`, k.ID, micros(t.now), l.ID)
	return c.ID, err
}

// FinishLink implements desk.Links.
func (s *Store) FinishLink(ctx context.Context, value, pin, name string, prove desk.Prove) (desk.LinkState, desk.Proof, error) {
	var state desk.LinkState
	var proof desk.Proof
	err := s.change(ctx, func(tx *tx) (err error) {
		var l link
		proof = ""
		l, state, err = tx.enterLink(ctx, value, pin)
		if err != nil || state != desk.LinkShown {
			return err
		}
		if err := tx.freeName(ctx, l.Person.ID, l.token, name); err != nil {
			return err
		}
		c, err := oneCredential(ctx, tx, `WHERE c.token = ? AND c.state = 'pending'`, l.token)
		if err != nil {
			return err
		}
		if c.Secrets, err = s.secrets(ctx, tx, c.ID); err != nil {
			return err
		}
		defer c.Secrets.Destroy()
		n, p, err := prove(c)
		if err != nil {
			return err
		}
		if proof = p; proof == desk.Proven {
			if proof, err = tx.activate(l, c, n, name); err != nil {
				return err
			}
		}
		if proof == desk.Proven {
			state = desk.LinkDone
			return nil
		}
		state, err = tx.wrongCode(l)
		return err
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return "", "", fmt.Errorf("finish link: %w", translate(err))
	}
	return state, proof, nil
}

// freeName is a *desk.TextError if the person has another live token of that name. The case of ASCII's letters does not count.
func (t *tx) freeName(ctx context.Context, holder token.PersonID, id token.ID, name string) error {
	var taken int
	err := t.QueryRowContext(ctx, `SELECT count(*) FROM token WHERE holder = ? AND lower(name) = ? AND state <> 'revoked' AND id <> ?`,
		holder, lower(name), id).Scan(&taken)
	if err == nil && taken > 0 {
		err = &desk.TextError{Field: "name", Cause: "another token of this person has it"}
	}
	return err
}

// activate spends the code and makes the app active. The first statement decides.
func (t *tx) activate(l link, c token.Credential, n token.Counters, name string) (desk.Proof, error) {
	raised, err := t.count(`UPDATE counter SET moving = ?1, at = ?2, drift = ?3, drift_at = ?4 WHERE credential = ?5 AND moving < ?1`,
		n.Moving, micros(t.now), n.Clock.Drift, micros(n.Clock.At), c.ID)
	if err != nil || raised == 0 {
		return desk.NotNewer, err
	}
	t.spentMoving(c.ID, n.Moving, t.now)
	next, err := c.State.Next(token.Prove)
	if err != nil {
		return "", err
	}
	err = t.one(token.ErrConflict, `UPDATE credential SET state = ?, proven_at = ? WHERE id = ? AND state = ?`, string(next), micros(t.now), c.ID, string(c.State))
	if err != nil {
		return "", err
	}
	if next, err = l.tokenState.Next(token.Prove); err != nil {
		return "", err
	}
	err = t.one(token.ErrConflict, `UPDATE token SET state = ?, name = ?, issued_at = ? WHERE id = ? AND state = ?`, string(next), name, micros(t.now), l.token, string(l.tokenState))
	if err != nil {
		return "", err
	}
	if err := t.enable(l.token); err != nil {
		return "", err
	}
	if err := t.one(token.ErrConflict, `UPDATE activation SET done = ? WHERE id = ? AND done = 0 AND cancelled = 0`, micros(t.now), l.ID); err != nil {
		return "", err
	}
	if err := t.notify(l.Person.ID, desk.NoticeActivated, desk.Facts{Token: name}); err != nil {
		return "", err
	}
	return desk.Proven, t.desk("link.finish", tokenObject(l.token), linkDetail{Account: l.Person.Account, Token: l.token, Name: name, Moving: n.Moving, Cause: linkObject(l.ID)})
}

// wrongCode counts a code that proved nothing, and says where the link is then.
func (t *tx) wrongCode(l link) (desk.LinkState, error) {
	if err := t.one(token.ErrNotFound, `UPDATE activation SET wrong = wrong + 1 WHERE id = ?`, l.ID); err != nil {
		return "", err
	}
	if l.wrong++; l.wrong < desk.MaxLinkCodes {
		return desk.LinkShown, nil
	}
	if err := t.endSecret(l); err != nil {
		return "", err
	}
	l.token, l.tokenState = 0, ""
	return l.at(t.now), nil
}
