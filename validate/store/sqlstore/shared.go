package sqlstore

import (
	"context"
	"slices"

	"github.com/tokendesk/tokendesk/provision/token"
)

// sharedDetail is the detail of the event of an account that is revoked because its holder changes.
type sharedDetail struct {
	Credential token.CredentialID `json:"credential"`
	OATH       string             `json:"oath_account"`
	Reason     string             `json:"reason"`
	Pushed     int64              `json:"pushed,omitempty"`
}

// share notes of accounts on keys that their secrets leave the store.
func (t *tx) share(ctx context.Context, list []token.CredentialID) error {
	drawn, err := collect(ctx, t, scanID[token.CredentialID], `SELECT id FROM credential WHERE account <> '' AND shared = 0`)
	if err != nil {
		return err
	}
	for _, id := range drawn {
		if !slices.Contains(list, id) {
			continue
		}
		if err := t.one(token.ErrNotFound, `UPDATE credential SET shared = 1 WHERE id = ?`, id); err != nil {
			return err
		}
	}
	return nil
}

func scanID[T ~int64](row scanner) (id T, err error) { return id, row.Scan(&id) }

// revokeShared revokes a token's accounts, but except, whose secret somebody beside the store and the key may know: brought from outside,
// exported, or pushed to a target. Its former holder could make their codes for the next one. It returns how many.
func (t *tx) revokeShared(ctx context.Context, id token.ID, except token.CredentialID) (int, error) {
	list, err := collect(ctx, t, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.token = ? AND c.id <> ? AND c.account <> ''
		AND c.state NOT IN ('pending', 'revoked') AND (c.shared = 1 OR EXISTS (SELECT 1 FROM push p WHERE p.credential = c.id)) ORDER BY c.id`, id, except)
	if err != nil {
		return 0, err
	}
	for _, c := range list {
		next, err := c.State.Next(token.Revoke)
		if err != nil {
			return 0, err
		}
		if err := t.setCredentialState(c.ID, next); err != nil {
			return 0, err
		}
		detail := sharedDetail{Credential: c.ID, OATH: c.Settings.Account, Reason: "its former holder may know the secret"}
		if detail.Pushed, err = t.unwant(id, c.ID); err != nil {
			return 0, err
		}
		if err := t.desk("account.revoke", tokenObject(id), detail); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
