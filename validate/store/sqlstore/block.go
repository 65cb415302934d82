package sqlstore

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Block implements desk.Life.
func (s *Store) Block(ctx context.Context, id token.ID, b desk.Block) (desk.Effects, error) {
	var out desk.Effects
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) (err error) {
		out, err = tx.block(ctx, k, b)
		return err
	})
	return out, err
}

// block is a step of a transaction; errUnchanged if all was so.
func (t *tx) block(ctx context.Context, k token.Token, b desk.Block) (out desk.Effects, err error) {
	event, ok := b.Reason.Event()
	if !ok {
		return out, desk.ErrReason
	}
	next, refused := k.State.Next(event)
	if refused != nil && !k.State.Blocked() {
		return out, refused
	}
	if k.State.Blocked() {
		if out, err = t.dropAccess(ctx, k, b.Reason); err != nil {
			return out, err
		}
		return out, t.blockAgain(k, event, b, out)
	}
	err = t.one(token.ErrConflict, `UPDATE token SET state = ?, reason = ?, blocked_at = ?, blocked_from = ?, blocked_by = ?, until = ? WHERE id = ? AND state = ?`,
		string(next), string(b.Reason), micros(t.now), string(k.State), t.actor, micros(b.Until), k.ID, string(k.State))
	if err != nil {
		return out, err
	}
	if err := t.enable(k.ID); err != nil {
		return out, err
	}
	if out, err = t.dropAccess(ctx, k, b.Reason); err != nil { // after the block: a link must not revoke this token
		return out, err
	}
	detail := blockDetail(k, b, out)
	if detail.Pushed, err = t.unwant(k.ID, 0); err != nil {
		return out, err
	}
	if k.Holder != nil {
		err := t.notify(k.Holder.ID, desk.NoticeBlocked, desk.Facts{Token: desk.Name(k), Reason: b.Reason, Until: b.Until, Browsers: out.Browsers, Links: out.Links})
		if err != nil {
			return out, err
		}
	}
	detail.To = next
	return out, t.desk("token.block", tokenObject(k.ID), detail)
}

func blockDetail(k token.Token, b desk.Block, out desk.Effects) tokenDetail {
	detail := detailOf(k)
	detail.Reason, detail.Note, detail.Browsers, detail.Links, detail.Codes = b.Reason, b.Note, out.Browsers, out.Links, out.Codes
	if !b.Until.IsZero() {
		detail.Until = b.Until.UTC().Format(time.RFC3339)
	}
	return detail
}

// blockAgain is another block of a token that is blocked already: it gets harder or longer, or stays as it is. Whoever else made
// the first one cannot undo it any more, also if both said the same: the second one may be no slip.
func (t *tx) blockAgain(k token.Token, event token.Event, b desk.Block, out desk.Effects) error {
	was, _ := k.Reason.Event()
	now := k
	switch {
	case was == token.Suspend && event == token.Lose:
		now.State, now.Reason, now.Until = token.Lost, b.Reason, time.Time{}
	case was == event:
		now.Reason = b.Reason
		if b.Until.IsZero() || !k.Until.IsZero() && b.Until.After(k.Until) {
			now.Until = b.Until
		}
	}
	if k.BlockedBy != t.actor {
		now.BlockedBy = ""
	}
	if now == k && k.Reason == b.Reason && b.Note == "" && out == (desk.Effects{}) {
		return errUnchanged
	}
	err := t.one(token.ErrConflict, `UPDATE token SET state = ?, reason = ?, until = ?, blocked_by = ? WHERE id = ? AND state = ?`,
		string(now.State), string(now.Reason), micros(now.Until), now.BlockedBy, k.ID, string(k.State))
	if err != nil {
		return err
	}
	detail := blockDetail(k, b, out)
	detail.To = now.State
	return t.desk("token.block", tokenObject(k.ID), detail)
}

// dropAccess ends what lets somebody in for the holder of a blocked token: trusted browsers, and links by which an app gets a secret;
// for one who left also the codes that stand in for a token.
func (t *tx) dropAccess(ctx context.Context, k token.Token, why token.Reason) (out desk.Effects, err error) {
	if k.Holder == nil {
		return out, nil
	}
	if out.Browsers, err = t.dropBrowsers(k.Holder.ID, 0); err != nil {
		return out, err
	}
	if out.Links, err = t.cancelLinks(ctx, k.Holder.ID, "block of "+tokenObject(k.ID)); err != nil || why != token.ReasonLeft {
		return out, err
	}
	for _, kind := range []desk.CodeKind{desk.TempCodes, desk.RecoveryCodes} {
		n, err := t.revokeCodes(k.Holder.ID, kind)
		if err != nil {
			return out, err
		}
		out.Codes += n
	}
	return out, nil
}
