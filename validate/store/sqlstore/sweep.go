package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// How long things are kept.
const (
	keepUnproven = 24 * time.Hour      // secrets of credentials that were given up before they were ever proven
	keepRevoked  = 30 * 24 * time.Hour // secrets of others, and browsers and codes that are over
	keepAttempts = 24 * time.Hour      // what the helpdesk finds under a support code
)

// dueText are the credentials whose secrets are to go: never proven and revoked until ?1, or revoked until ?2.
const dueText = `SELECT id FROM credential WHERE revoked_at > 0 AND state = 'revoked' AND (revoked_at <= ?2 OR proven_at = 0 AND revoked_at <= ?1)`

// markDue gives those their marks which a program without marks wrote: the last chance. A secret that does not open gets none, and
// stays.
func (t *tx) markDue(ctx context.Context, unproven, revoked int64) error {
	list, err := collect(ctx, t, func(row scanner) (id token.CredentialID, err error) { return id, row.Scan(&id) },
		`SELECT DISTINCT credential FROM secret WHERE credential IN (`+dueText+` AND mark = ?3)`, unproven, revoked, []byte{})
	if err != nil {
		return err
	}
	for _, id := range list {
		secrets, err := t.s.secrets(ctx, t, id)
		if err != nil {
			continue
		}
		err = t.putMark(id, secrets)
		secrets.Destroy()
		if err != nil {
			return err
		}
	}
	return nil
}

// Sweep implements desk.Life.
func (s *Store) Sweep(ctx context.Context) (desk.Swept, error) {
	var out desk.Swept
	err := s.change(ctx, func(tx *tx) (err error) {
		if out.Suspensions, err = tx.endSuspensions(ctx); err != nil {
			return err
		}
		if out.Drawn, err = tx.expireSecrets(ctx); err != nil {
			return err
		}
		before := func(keep time.Duration) int64 { return micros(tx.now.Add(-keep)) }
		if err := tx.markDue(ctx, before(keepUnproven), before(keepRevoked)); err != nil {
			return err
		}
		for _, d := range []struct {
			count *int
			text  string
			args  []any
		}{
			{&out.Secrets, `DELETE FROM secret WHERE credential IN (` + dueText + ` AND mark <> ?3)`, []any{before(keepUnproven), before(keepRevoked), []byte{}}},
			{&out.ClientKeys, `UPDATE client SET former_sealed = ?2, former_until = 0 WHERE former_until > 0 AND former_until <= ?1`, []any{before(0), []byte{}}},
			{&out.Shared, `UPDATE radius SET former_sealed = ?2, former_until = 0 WHERE former_until > 0 AND former_until <= ?1`, []any{before(0), []byte{}}},
			{&out.Attempts, `DELETE FROM attempt WHERE at <= ?`, []any{before(keepAttempts)}},
			{&out.Sessions, `DELETE FROM session WHERE seen <= ? OR created <= ?`, []any{before(desk.SessionIdle), before(desk.SessionMost)}},
			{&out.Codes, `DELETE FROM code WHERE revoked > 0 AND revoked <= ?1 OR expires > 0 AND expires <= ?1`, []any{before(keepRevoked)}},
			{&out.Browsers, `DELETE FROM browser WHERE revoked > 0 AND revoked <= ?1 OR expires <= ?1`, []any{before(keepRevoked)}},
		} {
			if *d.count, err = tx.count(d.text, d.args...); err != nil {
				return err
			}
		}
		if out == (desk.Swept{}) {
			return errUnchanged // and no write to the disk
		}
		if out.Secrets+out.ClientKeys+out.Shared > 0 {
			return tx.desk("secret.sweep", "store", map[string]int{"secrets": out.Secrets, "client_keys": out.ClientKeys, "radius": out.Shared})
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return desk.Swept{}, nil
	}
	if err != nil {
		return desk.Swept{}, fmt.Errorf("sweep: %w", translate(err))
	}
	return out, nil
}

// endSuspensions brings back the tokens that were suspended until now, to what they were before.
func (t *tx) endSuspensions(ctx context.Context) (int, error) {
	list, err := collect(ctx, t, scanToken, `SELECT `+tokenColumns+tokenFrom+`WHERE t.until > 0 AND t.until <= ? AND t.state = 'suspended' ORDER BY t.id`, micros(t.now))
	if err != nil {
		return 0, err
	}
	for _, k := range list {
		if _, err := k.State.Next(token.Undo); err != nil {
			return 0, err
		}
		if err := t.unblock(k, k.BlockedFrom); err != nil {
			return 0, err
		}
		if err := t.opened(k.ID); err != nil {
			return 0, err
		}
		detail := detailOf(k)
		detail.To, detail.Until = k.BlockedFrom, k.Until.UTC().Format(time.RFC3339)
		if err := t.desk("token.until", tokenObject(k.ID), detail); err != nil {
			return 0, err
		}
		if k.Holder != nil {
			if err := t.notify(k.Holder.ID, desk.NoticeRestored, desk.Facts{Token: desk.Name(k), Reason: k.Reason}); err != nil {
				return 0, err
			}
		}
	}
	return len(list), nil
}

// History implements desk.Life.
func (s *Store) History(ctx context.Context, id token.ID, most int) ([]desk.Happened, error) {
	k, err := oneToken(ctx, s.read, `WHERE t.id = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("find token: %w", translate(err))
	}
	objects := []any{tokenObject(id), "", most}
	if k.Serial != 0 {
		objects[1] = serialObject(k.Serial)
	}
	list, err := collect(ctx, s.read, func(row scanner) (h desk.Happened, err error) {
		var at int64
		err = row.Scan(&at, &h.Actor, &h.Action, &h.Detail)
		h.At = fromMicros(at)
		return h, err
	}, `SELECT at, actor, action, detail FROM audit WHERE chain = 'desk' AND object IN (?1, ?2) ORDER BY seq DESC LIMIT ?3`, objects...)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", translate(err))
	}
	return list, nil
}
