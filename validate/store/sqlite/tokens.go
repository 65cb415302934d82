package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Tokens implements desk.Tokens.
func (s *Store) Tokens(ctx context.Context, m desk.Match) ([]token.Token, error) {
	list, err := s.tokens(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("find tokens: %w", translate(err))
	}
	return list, nil
}

func (s *Store) tokens(ctx context.Context, m desk.Match) ([]token.Token, error) {
	const selectTokens = `SELECT ` + tokenColumns + tokenFrom
	if m.ID == 0 && m.Serial == 0 && len(m.PublicIDs) == 0 && m.Text == "" {
		return collect(ctx, s.read, scanToken, selectTokens+`ORDER BY t.id`)
	}
	ids, err := s.publicIDTokens(ctx, m.PublicIDs)
	if err != nil {
		return nil, err
	}
	where, args := []string{`t.id = ?`, `t.serial = ?`}, []any{m.ID, m.Serial}
	for _, id := range ids {
		where, args = append(where, `t.id = ?`), append(args, id)
	}
	if m.Text != "" {
		where = append(where, `t.stock_number = ?`, `t.label = ?`, `p.account = ?`, `p.name = ? COLLATE NOCASE`)
		args = append(args, m.Text, m.Text, m.Text, m.Text)
	}
	return collect(ctx, s.read, scanToken, selectTokens+`WHERE `+strings.Join(where, ` OR `)+` ORDER BY t.id`, args...)
}

// publicIDTokens are the tokens with a live credential of one of these public IDs; if there is none, with a revoked one.
func (s *Store) publicIDTokens(ctx context.Context, list []token.PublicID) ([]token.ID, error) {
	for _, live := range []string{`state <> 'revoked'`, `state = 'revoked'`} {
		var out []token.ID
		for _, p := range list {
			found, err := collect(ctx, s.read, func(row scanner) (id token.ID, err error) { return id, row.Scan(&id) },
				`SELECT DISTINCT token FROM credential WHERE public_id = ? AND (kind = 'yubico-otp' OR public_id <> '') AND `+live, p.String())
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, nil
}

// Credentials implements desk.Tokens.
func (s *Store) Credentials(ctx context.Context, id token.ID) ([]token.Credential, error) {
	list, err := collect(ctx, s.read, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.token = ? ORDER BY c.slot, c.id`, id)
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", translate(err))
	}
	return list, nil
}

// Block implements desk.Tokens.
func (s *Store) Block(ctx context.Context, id token.ID, r token.Reason, note string) error {
	event, ok := r.Event()
	if !ok {
		return desk.ErrReason
	}
	err := s.change(ctx, func(tx *tx) error {
		k, err := oneToken(ctx, tx, `WHERE t.id = ?`, id)
		if err != nil {
			return err
		}
		detail := tokenDetail{Serial: k.Serial, Label: k.Label, From: k.State, Reason: r, Note: note}
		next, err := k.State.Next(event)
		switch {
		case k.State.Blocked() && k.Reason == r && note == "":
			return errUnchanged
		case k.State.Blocked() && err != nil: // as hard, or softer
			return tx.blockAgain(k, event, detail)
		case err != nil:
			return err
		}
		err = tx.one(token.ErrNotFound, `UPDATE token SET state = ?, reason = ?, blocked_at = ? WHERE id = ?`, string(next), string(r), micros(tx.now), id)
		if err != nil {
			return err
		}
		if err := tx.enable(id); err != nil {
			return err
		}
		if detail.Pushed, err = tx.unwant(id, 0); err != nil {
			return err
		}
		detail.To = next
		return tx.desk("token.block", tokenObject(id), detail)
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return translate(err)
	}
	return nil
}

// blockAgain is another reason for a token that is blocked already: it stays in its state, with the new reason if that is as
// hard as the former.
func (t *tx) blockAgain(k token.Token, event token.Event, detail tokenDetail) error {
	if was, _ := k.Reason.Event(); was == event {
		if err := t.one(token.ErrNotFound, `UPDATE token SET reason = ? WHERE id = ?`, string(detail.Reason), k.ID); err != nil {
			return err
		}
	}
	detail.To = k.State
	return t.desk("token.block", tokenObject(k.ID), detail)
}

// Restore implements desk.Tokens. Its first statement decides.
func (s *Store) Restore(ctx context.Context, id token.ID, a validate.Advance) (bool, error) {
	err := s.change(ctx, func(tx *tx) error {
		k, err := oneToken(ctx, tx, `WHERE t.id = ?`, id)
		if err != nil {
			return err
		}
		next, err := k.State.Next(token.Restore)
		if err != nil {
			return err
		}
		err = tx.one(errUnchanged, `UPDATE counter SET enabled = 1, use_counter = ?1, session_counter = ?2, timestamp = ?3, nonce = '', at = ?4
			WHERE credential = ?5 AND enabled = 0 AND (use_counter, session_counter) < (?1, ?2)
			  AND credential IN (SELECT id FROM credential WHERE token = ?6 AND state IN ('active', 'programmed'))`,
			a.Use, a.Session, a.Timestamp, micros(a.At), a.Credential, id)
		if err != nil {
			return err
		}
		if _, err := tx.hot(s.hot.prove).Exec(micros(a.At), a.Credential); err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `UPDATE token SET state = ?, reason = '', blocked_at = 0 WHERE id = ?`, string(next), id); err != nil {
			return err
		}
		if err := tx.enable(id); err != nil { // the other credentials; and this one stays off while a write of its slot is uncertain
			return err
		}
		if err := tx.wantAgain(id); err != nil {
			return err
		}
		return tx.desk("token.restore", tokenObject(id), tokenDetail{Serial: k.Serial, Label: k.Label, From: k.State, To: next, Reason: k.Reason,
			PublicID: a.Event.PublicID.String(), Use: a.Use, Session: a.Session})
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	return err == nil, translate(err)
}

// tokenDetail is the detail of an event about a token.
type tokenDetail struct {
	Serial   token.Serial `json:"serial,omitempty"`
	Label    string       `json:"label,omitempty"`
	From     token.State  `json:"from,omitempty"`
	To       token.State  `json:"to,omitempty"`
	Reason   token.Reason `json:"reason,omitempty"`
	Note     string       `json:"note,omitempty"`
	PublicID string       `json:"public_id,omitempty"`
	Use      int          `json:"use,omitempty"`
	Session  int          `json:"session,omitempty"`
	Pushed   int64        `json:"pushed,omitempty"` // credentials at targets that are to be disabled there
}
