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

// revokeShared revokes a token's accounts, but except, of which its former holder could have codes for the next one. It returns how many.
// Somebody beside the store and the key may know the secret: brought from outside, exported, or pushed to a target. And of TOTP the key
// makes the code of any time that it is asked for: whoever had it may have written down those of the years to come. Of HOTP the codes
// that were made are over with the first one that comes after them.
func (t *tx) revokeShared(ctx context.Context, id token.ID, except token.CredentialID) (int, error) {
	list, err := collect(ctx, t, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.token = ? AND c.id <> ? AND c.account <> ''
		AND c.state NOT IN ('pending', 'revoked') AND (c.shared = 1 OR c.kind = 'totp') ORDER BY c.id`, id, except)
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
		if !c.Settings.Shared {
			detail.Reason = "its former holder may have codes of times to come"
		}
		if detail.Pushed, err = t.unwant(id, c.ID); err != nil {
			return 0, err
		}
		if err := t.desk("account.revoke", tokenObject(id), detail); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// left is what ends with a token's former holder.
type left struct {
	Revoked  int   `json:"revoked,omitempty"` // accounts that the holder may know
	Pushed   int64 `json:"pushed,omitempty"`  // credentials at targets, under the holder's account, that are to be disabled there
	Browsers int   `json:"browsers,omitempty"`
}

// leave ends what must not outlive that a token goes from its holder to somebody else, whose write except is, and tells the holder.
func (t *tx) leave(ctx context.Context, k token.Token, except token.CredentialID) (l left, err error) {
	if l.Revoked, err = t.revokeShared(ctx, k.ID, except); err != nil {
		return l, err
	}
	if l.Pushed, err = t.unwant(k.ID, 0); err != nil {
		return l, err
	}
	if l.Browsers, err = t.dropBrowsers(k.Holder.ID, 0); err != nil {
		return l, err
	}
	if err := t.tellTaken(k); err != nil {
		return l, err
	}
	return l, t.one(token.ErrNotFound, `UPDATE token SET name = '' WHERE id = ?`, k.ID)
}

// forOne is token.ErrUnsettled while a write of a token is open that is for somebody else than to is, 0: whoever has it. Two of them would
// be settled in any order, and the last one would say whose the key is.
func (t *tx) forOne(id token.ID, to token.PersonID) error {
	var others bool
	err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM ledger l JOIN token t ON t.id = l.token WHERE l.token = ?1 AND l.phase NOT IN ('committed', 'aborted')
		AND COALESCE(l.holder, t.holder, ?2) <> COALESCE(NULLIF(?2, 0), t.holder, l.holder, 0))`, id, to).Scan(&others)
	if err == nil && others {
		err = token.ErrUnsettled
	}
	return err
}
