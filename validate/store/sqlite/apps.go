package sqlite

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// AddToken implements desk.Apps.
func (s *Store) AddToken(ctx context.Context, k token.Token, c token.Credential) (token.ID, error) {
	err := s.change(ctx, func(tx *tx) (err error) {
		if k.ID, err = tx.addToken(k); err != nil {
			return err
		}
		detail := appDetail{Label: k.Label, Kind: c.Kind, State: c.State}
		if k.Holder != nil {
			if err := tx.one(token.ErrNotFound, `UPDATE token SET holder = ? WHERE id = ?`, k.Holder.ID, k.ID); err != nil {
				return err
			}
			detail.Account = k.Holder.Account
		}
		c.Token = k.ID
		if c.ID, err = tx.addCredential(c); err != nil {
			return err
		}
		if err := tx.putSecrets(c.ID, c.Secrets); err != nil {
			return err
		}
		if err := tx.enable(k.ID); err != nil {
			return err
		}
		detail.Credential = c.ID
		return tx.desk("token.add", tokenObject(k.ID), detail)
	})
	if err != nil {
		return 0, fmt.Errorf("add token: %w", translate(err))
	}
	return k.ID, nil
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
