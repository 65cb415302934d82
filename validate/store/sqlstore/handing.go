package sqlstore

import (
	"context"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Issue implements desk.Life.
func (s *Store) Issue(ctx context.Context, id token.ID, h desk.Handing, e desk.Evidence) (bool, error) {
	return s.live(ctx, id, func(tx *tx, k token.Token) error {
		next, err := k.State.Next(token.Issue)
		if err != nil {
			return err
		}
		if err := tx.settled(id); err != nil {
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
		err = tx.one(desk.ErrHeld, `UPDATE token SET holder = ?1, issued_at = ?2 WHERE id = ?3 AND (holder IS NULL OR holder = ?1)`, h.To, micros(tx.now), id)
		if err != nil {
			return err
		}
		if err := tx.opened(id); err != nil {
			return err
		}
		if err := tx.replace(ctx, h, k.ID); err != nil {
			return err
		}
		now, err := oneToken(ctx, tx, `WHERE t.id = ?`, id)
		if err != nil {
			return err
		}
		if err := tx.notify(h.To, desk.NoticeIssued, desk.Facts{Token: desk.Name(now)}); err != nil {
			return err
		}
		detail := detailOf(now).proved(e)
		detail.From, detail.To, detail.IDCheck, detail.Replaces, detail.Note = k.State, next, h.IDCheck, h.Replace, h.Note
		r := handed{kind: token.Issued, token: id, credential: e.Credential, person: h.To, check: h.IDCheck, operator: tx.actor, at: micros(tx.now), replaces: h.Replace}
		if r.number, err = tx.nextReceipt(""); err != nil {
			return err
		}
		detail.Receipt = token.Receipt{Number: r.number}.Ref()
		if err := tx.desk("token.issue", tokenObject(id), detail); err != nil {
			return err
		}
		return tx.putReceipt(r)
	})
}

// revoke ends a token and all on it, and the open writes of its slots: whatever they left on the key is dead.
func (t *tx) revoke(ctx context.Context, k token.Token, action string, detail tokenDetail) error {
	next, err := k.State.Next(token.Revoke)
	if err != nil {
		return err
	}
	open, err := collect(ctx, t, scanEntry, entryText+`WHERE l.token = ? AND l.phase NOT IN ('committed', 'aborted')`, k.ID)
	if err != nil {
		return err
	}
	for _, r := range open {
		e, err := fill(ctx, t, r)
		if err != nil {
			return err
		}
		if err := t.advance(e, token.Aborted, "ledger.abort", &ledgerDetail{Reason: "its token was given up"}); err != nil {
			return err
		}
	}
	if err := t.dropChanges(ctx, k.ID); err != nil {
		return err
	}
	if err := t.unblock(k, next); err != nil {
		return err
	}
	if err := t.revokeCredentials(k.ID); err != nil {
		return err
	}
	detail.To = next
	if k.Holder != nil && k.State != token.Pending { // which proved nothing yet
		if detail.Browsers, err = t.dropBrowsers(k.Holder.ID, 0); err != nil {
			return err
		}
	}
	if detail.Pushed, err = t.unwant(k.ID, 0); err != nil {
		return err
	}
	return t.desk(action, tokenObject(k.ID), detail)
}

// revokeCredentials ends all that is live on a token.
func (t *tx) revokeCredentials(id token.ID) error {
	_, err := t.Exec(`UPDATE credential SET state = 'revoked', revoked_at = ? WHERE token = ? AND state <> 'revoked'`, micros(t.now), id)
	if err != nil {
		return err
	}
	return t.enable(id)
}

// Retire implements desk.Life.
func (s *Store) Retire(ctx context.Context, id token.ID, note string) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		detail := detailOf(k)
		detail.Note = note
		if err := tx.tellTaken(k); err != nil {
			return err
		}
		return tx.revoke(ctx, k, "token.retire", detail)
	})
	return err
}

// Return implements desk.Life.
func (s *Store) Return(ctx context.Context, id token.ID, note string, e desk.Evidence) (bool, error) {
	return s.live(ctx, id, func(tx *tx, k token.Token) error {
		next, err := k.State.Next(token.Return)
		if err != nil {
			return err
		}
		if err := tx.settled(id); err != nil {
			return err
		}
		if err := tx.spendProof(ctx, k, e); err != nil {
			return err
		}
		detail := detailOf(k).proved(e)
		detail.Note = note
		if k.Model == token.App {
			return tx.revoke(ctx, k, "token.return", detail)
		}
		if err := tx.firstProof(e.Credential); err != nil {
			return err
		}
		if detail.Pushed, err = tx.unwant(id, 0); err != nil { // it must not stay valid for its former holder anywhere
			return err
		}
		gone, err := tx.revokeShared(ctx, id, 0)
		if err != nil {
			return err
		}
		if gone > 0 {
			if next, err = tx.leftover(k, next); err != nil {
				return err
			}
		}
		detail.To = next
		return tx.takeBack(k, next, "token.return", detail)
	})
}

// leftover is the state of a token that is taken back: next, or that of an empty one if nothing is live on it.
func (t *tx) leftover(k token.Token, next token.State) (token.State, error) {
	full, err := t.full(k.ID)
	if err != nil || full {
		return next, err
	}
	return k.State.Next(token.Empty)
}

// full reports whether a token has a credential that is not revoked.
func (t *tx) full(id token.ID) (full bool, err error) {
	err = t.QueryRow(`SELECT EXISTS (SELECT 1 FROM credential WHERE token = ? AND state <> 'revoked')`, id).Scan(&full)
	return full, err
}

// Empty implements desk.Life.
func (s *Store) Empty(ctx context.Context, id token.ID, note string) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		next, err := k.State.Next(token.Empty)
		if err != nil {
			return err
		}
		full, err := tx.full(id)
		if err != nil {
			return err
		}
		if full {
			return token.ErrConflict
		}
		if err := tx.tellTaken(k); err != nil { // no code shows that its holder gave it back
			return err
		}
		detail := detailOf(k)
		detail.To, detail.Note = next, note
		return tx.takeBack(k, next, "token.return", detail)
	})
	return err
}

// takeBack moves a token that nobody holds from now on.
func (t *tx) takeBack(k token.Token, to token.State, action string, detail tokenDetail) error {
	if err := t.unblock(k, to); err != nil {
		return err
	}
	if k.Holder != nil {
		var err error
		if detail.Browsers, err = t.dropBrowsers(k.Holder.ID, 0); err != nil {
			return err
		}
	}
	if err := t.one(token.ErrNotFound, `UPDATE token SET holder = NULL, issued_at = 0, name = '' WHERE id = ?`, k.ID); err != nil {
		return err
	}
	if err := t.enable(k.ID); err != nil {
		return err
	}
	return t.desk(action, tokenObject(k.ID), detail)
}
