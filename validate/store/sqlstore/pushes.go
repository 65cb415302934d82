package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// scanFunc is a row of which a part is scanned elsewhere.
type scanFunc func(into ...any) error

func (f scanFunc) Scan(into ...any) error { return f(into...) }

const pushText = `SELECT h.id, h.credential, h.serial, h.account, h.handle, h.wanted, h.done, h.enrolled, h.attempts, h.error, h.changed, h.tried, h.done_at, h.doubt, ` +
	targetColumns + `, ` + tokenColumns + `
	FROM push h JOIN target g ON g.id = h.target JOIN credential c ON c.id = h.credential JOIN token t ON t.id = c.token LEFT JOIN person p ON p.id = t.holder `

func scanPush(row scanner) (desk.Push, error) {
	var p desk.Push
	var changed, tried, done, doubt int64
	own := []any{&p.ID, &p.Credential, &p.Place.Serial, &p.Place.Account, &p.Place.Handle, &p.Wanted, &p.Done, &p.Enrolled, &p.Attempts, &p.Error, &changed, &tried, &done, &doubt}
	target, finish := targetInto(&p.Target)
	var err error
	p.Token, err = scanToken(scanFunc(func(into ...any) error { return row.Scan(slices.Concat(own, target, into)...) }))
	finish()
	p.Changed, p.Tried, p.DoneAt, p.Doubt = fromMicros(changed), fromMicros(tried), fromMicros(done), fromMicros(doubt)
	return p, err
}

func onePush(ctx context.Context, q querier, where string, args ...any) (desk.Push, error) {
	return scanPush(q.QueryRowContext(ctx, pushText+where, args...))
}

// Pushes implements desk.Targets.
func (s *Store) Pushes(ctx context.Context, f desk.PushFilter) ([]desk.Push, error) {
	tokens := f.Tokens
	if len(tokens) == 0 {
		tokens = []token.ID{0} // all
	}
	var out []desk.Push
	for _, id := range tokens {
		list, err := collect(ctx, s.read, scanPush, pushText+`WHERE (?1 = 0 OR c.token = ?1) AND (?2 = 0 OR h.target = ?2) AND (?3 = 0 OR h.done <> h.wanted)
			ORDER BY h.wanted <> 'disabled', h.id`, id, f.Target, f.Pending)
		if err != nil {
			return nil, fmt.Errorf("list pushes: %w", translate(err))
		}
		out = append(out, list...)
	}
	return out, nil
}

// WantPush implements desk.Targets. The states are read in the transaction that makes the row: a block is either seen here, or sees
// the row.
func (s *Store) WantPush(ctx context.Context, target int64, id token.CredentialID, at push.Place) (desk.Push, error) {
	var out desk.Push
	err := s.change(ctx, func(tx *tx) error {
		c, err := oneCredential(ctx, tx, `WHERE c.id = ?`, id)
		if err != nil {
			return err
		}
		k, err := oneToken(ctx, tx, `WHERE t.id = ?`, c.Token)
		if err != nil {
			return err
		}
		if cause := desk.Unpushable(k, c); cause != "" {
			return &desk.NotPushableError{Cause: cause}
		}
		out, err = onePush(ctx, tx, `WHERE h.target = ? AND h.credential = ?`, target, id)
		if err == nil && out.Wanted == desk.WantDisabled {
			return &desk.NotPushableError{Cause: "it is there already, under the account of a former holder"}
		}
		if err == nil {
			return errUnchanged
		}
		if !isNotFound(err) {
			return err
		}
		out, err = tx.addPush(ctx, target, c, at)
		return err
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return desk.Push{}, fmt.Errorf("note push of credential %d: %w", id, translate(err))
	}
	return out, nil
}

// addPush makes the row. A serial that an earlier credential has there gets the credential's number behind it: two credentials
// that came into one slot one after the other stay two tokens.
func (t *tx) addPush(ctx context.Context, target int64, c token.Credential, at push.Place) (desk.Push, error) {
	var taken bool
	if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM push WHERE target = ? AND serial = ?)`, target, at.Serial).Scan(&taken); err != nil {
		return desk.Push{}, err
	}
	if taken {
		at.Serial = fmt.Sprintf("%s-%d", at.Serial, c.ID)
	}
	if err := t.share(ctx, []token.CredentialID{c.ID}); err != nil { // the row may go, with its target
		return desk.Push{}, err
	}
	_, err := t.Exec(`INSERT INTO push (target, credential, serial, account, wanted, changed) VALUES (?, ?, ?, ?, 'enrolled', ?)`,
		target, c.ID, at.Serial, at.Account, micros(t.now))
	if err != nil {
		return desk.Push{}, err
	}
	p, err := onePush(ctx, t, `WHERE h.target = ? AND h.credential = ?`, target, c.ID)
	if err != nil {
		return desk.Push{}, err
	}
	return p, t.desk("push.begin", tokenObject(c.Token), pushDetail{Target: p.Target.Name, Serial: at.Serial, Credential: c.ID})
}

// pushDetail is the detail of an event about a push.
type pushDetail struct {
	Target     string             `json:"target"`
	Serial     string             `json:"serial"`
	Credential token.CredentialID `json:"credential"`
	Wanted     desk.Wanted        `json:"wanted,omitempty"`
	Error      string             `json:"error,omitempty"`
}

// BeginPush implements desk.Targets. What was confirmed before counts no more, unless it is what is wanted.
func (s *Store) BeginPush(ctx context.Context, id desk.PushID) (desk.Push, error) {
	var out desk.Push
	err := s.change(ctx, func(tx *tx) (err error) {
		if out, err = onePush(ctx, tx, `WHERE h.id = ?`, id); err != nil {
			return err
		}
		doubt := out.Doubt
		if out.Wanted != desk.WantDisabled {
			doubt = tx.now.Add(desk.DoubtBegun)
		}
		return tx.one(token.ErrNotFound, `UPDATE push SET attempts = attempts + 1, tried = ?, doubt = ?, done = CASE WHEN done = wanted THEN done ELSE '' END WHERE id = ?`,
			micros(tx.now), micros(doubt), id)
	})
	if err != nil {
		return desk.Push{}, fmt.Errorf("begin push %d: %w", id, translate(err))
	}
	return out, nil
}

// EndPush implements desk.Targets. Where something else is wanted by now, nothing is confirmed. An event tells what is new.
func (s *Store) EndPush(ctx context.Context, e desk.PushEnd) (desk.Push, error) {
	var out desk.Push
	err := s.change(ctx, func(tx *tx) error {
		was, err := onePush(ctx, tx, `WHERE h.id = ?`, e.Push.ID)
		if err != nil {
			return err
		}
		out = ended(was, e, tx.now)
		err = tx.one(token.ErrNotFound, `UPDATE push SET handle = ?, done = ?, enrolled = ?, error = ?, done_at = ?, doubt = ? WHERE id = ?`,
			out.Place.Handle, string(out.Done), out.Enrolled, out.Error, micros(out.DoneAt), micros(out.Doubt), out.ID)
		if err != nil {
			return err
		}
		detail := pushDetail{Target: out.Target.Name, Serial: out.Place.Serial, Credential: out.Credential}
		switch {
		case e.Done && was.Done == e.Push.Wanted, !e.Done && was.Error == e.Error: // told already
			return nil
		case e.Done:
			return tx.desk("push."+string(e.Push.Wanted), tokenObject(out.Token.ID), detail)
		}
		detail.Wanted, detail.Error = e.Push.Wanted, e.Error
		return tx.desk("push.failed", tokenObject(out.Token.ID), detail)
	})
	if err != nil {
		return desk.Push{}, fmt.Errorf("end push %d: %w", e.Push.ID, translate(err))
	}
	return out, nil
}

// ended is p after a try.
func ended(p desk.Push, e desk.PushEnd, now time.Time) desk.Push {
	activates := e.Push.Wanted != desk.WantDisabled
	if activates {
		p.Doubt = time.Time{}
		if e.Doubt > 0 {
			p.Doubt = now.Add(e.Doubt)
		}
	}
	if e.Handle != "" {
		p.Place.Handle = e.Handle
	}
	p.Error, p.Done = e.Error, ""
	if e.Done {
		p.Enrolled = p.Enrolled || activates
		if p.Wanted == e.Push.Wanted {
			p.Done, p.DoneAt = p.Wanted, now
		}
	}
	return p
}

// unwant says that credentials must not be valid at any target any more, and how many there are. only 0: all of the token.
func (t *tx) unwant(id token.ID, only token.CredentialID) (int64, error) {
	r, err := t.Exec(`UPDATE push SET wanted = 'disabled', error = '', changed = ?1
		WHERE wanted <> 'disabled' AND credential IN (SELECT id FROM credential WHERE token = ?2 AND (?3 = 0 OR id = ?3))`, micros(t.now), id, only)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// wantAgain undoes unwant for what was not replaced meanwhile, and is not there under the account of a former holder.
func (t *tx) wantAgain(id token.ID) error {
	_, err := t.Exec(`UPDATE push SET wanted = CASE enrolled WHEN 1 THEN 'enabled' ELSE 'enrolled' END, error = '', changed = ?1
		WHERE wanted = 'disabled' AND credential IN (SELECT id FROM credential WHERE token = ?2 AND state <> 'revoked')
		  AND (account = '' OR account = (SELECT p.account FROM token t JOIN person p ON p.id = t.holder WHERE t.id = ?2))`, micros(t.now), id)
	return err
}
