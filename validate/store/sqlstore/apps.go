package sqlstore

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// AddToken implements desk.Apps.
func (s *Store) AddToken(ctx context.Context, k token.Token, c token.Credential) (token.ID, error) {
	err := s.change(ctx, func(tx *tx) error {
		_, err := tx.putApp(&k, c)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("add token: %w", translate(err))
	}
	return k.ID, nil
}

// putApp adds a token with its holder and one credential, and sets their numbers.
func (t *tx) putApp(k *token.Token, c token.Credential) (token.Credential, error) {
	var err error
	if k.ID, err = t.addToken(*k); err != nil {
		return c, err
	}
	detail := appDetail{Label: k.Label, Kind: c.Kind, State: c.State}
	if k.Holder != nil {
		if err := t.one(token.ErrNotFound, `UPDATE token SET holder = ? WHERE id = ?`, k.Holder.ID, k.ID); err != nil {
			return c, err
		}
		detail.Account = k.Holder.Account
	}
	c.Token = k.ID
	if c.ID, err = t.addCredential(c); err != nil {
		return c, err
	}
	if err := t.putSecrets(c.ID, c.Secrets); err != nil {
		return c, err
	}
	if err := t.enable(k.ID); err != nil {
		return c, err
	}
	detail.Credential = c.ID
	return c, t.desk("token.add", tokenObject(k.ID), detail)
}

// appDetail is the detail of token.add.
type appDetail struct {
	Credential token.CredentialID `json:"credential"`
	Label      string             `json:"label"`
	Kind       token.Kind         `json:"kind"`
	State      token.State        `json:"state"`
	Account    string             `json:"account,omitempty"`
}

// BeginHandOver implements desk.Apps. The states are read in the transaction that writes the event.
func (s *Store) BeginHandOver(ctx context.Context, id token.CredentialID, h desk.HandOver) error {
	err := s.change(ctx, func(tx *tx) error {
		c, err := oneCredential(ctx, tx, `WHERE c.id = ?`, id)
		if err != nil {
			return err
		}
		k, err := oneToken(ctx, tx, `WHERE t.id = ?`, c.Token)
		if err != nil {
			return err
		}
		if c.State != token.Pending || k.State != token.Pending {
			return desk.ErrNotPending
		}
		var links int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM activation WHERE token = ?`, k.ID).Scan(&links); err != nil {
			return err
		}
		if links > 0 {
			return desk.ErrLink
		}
		return tx.desk("credential.show", tokenObject(k.ID), struct {
			Credential token.CredentialID `json:"credential"`
			desk.HandOver
		}{id, h})
	})
	if err != nil {
		return fmt.Errorf("hand over credential %d: %w", id, translate(err))
	}
	return nil
}
