package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// notify adds a notice to the transaction of what it tells. Who does it is added to the facts.
func (t *tx) notify(person token.PersonID, kind desk.NoticeKind, f desk.Facts) error {
	f.By = t.actor
	facts, err := json.Marshal(f)
	if err != nil {
		return err
	}
	_, err = t.Exec(`INSERT INTO notice (person, kind, facts, created) VALUES (?, ?, ?, ?)`, person, string(kind), string(facts), micros(t.now))
	return err
}

// tellErased tells the holder of an active token which of its credentials ended for good, by a work on the key. One that is blocked ended
// before, which its holder was told.
func (t *tx) tellErased(ctx context.Context, id token.ID, gone ...token.Credential) error {
	k, err := oneToken(ctx, t, `WHERE t.id = ?`, id)
	if err != nil || len(gone) == 0 || !told(k) {
		return err
	}
	f := desk.Facts{Token: desk.Name(k)}
	for _, c := range gone {
		if c.Settings.Account != "" {
			f.Accounts = append(f.Accounts, c.Settings.Account)
		} else {
			f.Slots = append(f.Slots, c.Slot)
		}
	}
	return t.notify(k.Holder.ID, desk.NoticeErased, f)
}

// tellTaken tells the holder of an active token that it is the holder's no more.
func (t *tx) tellTaken(k token.Token) error {
	if !told(k) {
		return nil
	}
	return t.notify(k.Holder.ID, desk.NoticeTaken, desk.Facts{Token: desk.Name(k)})
}

// told reports whether a token is of use to a person, who is told when that changes.
func told(k token.Token) bool { return k.State == token.Active && k.Holder != nil }

const noticeColumns = `SELECT n.id, n.kind, n.facts, n.created, n.sent, n.attempts, n.error, p.id, p.account, p.name, p.mail
	FROM notice n JOIN person p ON p.id = n.person `

func scanNotice(row scanner) (desk.Notice, error) {
	var n desk.Notice
	var facts string
	var created, sent int64
	if err := row.Scan(&n.ID, &n.Kind, &facts, &created, &sent, &n.Attempts, &n.Error, &n.To.ID, &n.To.Account, &n.To.Name, &n.To.Mail); err != nil {
		return n, err
	}
	n.Created, n.Sent = fromMicros(created), fromMicros(sent)
	if err := json.Unmarshal([]byte(facts), &n.Facts); err != nil {
		return n, fmt.Errorf("%w: notice %d", token.ErrIntegrity, n.ID)
	}
	return n, nil
}

// Notices implements desk.Notices.
func (s *Store) Notices(ctx context.Context, waiting bool) ([]desk.Notice, error) {
	where := ``
	if waiting {
		where = `WHERE n.sent = 0 `
	}
	list, err := collect(ctx, s.read, scanNotice, noticeColumns+where+`ORDER BY n.id`)
	if err != nil {
		return nil, fmt.Errorf("list notices: %w", translate(err))
	}
	return list, nil
}

// mostHeld is longer than a notice is ever held: what is held until later was so by a clock that was wrong.
const mostHeld = 24 * time.Hour

// HoldNotice implements desk.Notices. The guarded statement decides who has it.
func (s *Store) HoldNotice(ctx context.Context, after int64, since, until time.Time) (desk.Notice, error) {
	for {
		var n desk.Notice
		err := s.change(ctx, func(tx *tx) (err error) {
			const free = `sent = 0 AND (held <= ? OR held > ?)`
			now, wrong := micros(tx.now), micros(tx.now.Add(mostHeld))
			n, err = scanNotice(tx.QueryRowContext(ctx, noticeColumns+`WHERE `+free+` AND n.id > ? AND n.created >= ? AND p.mail <> '' ORDER BY n.id LIMIT 1`,
				now, wrong, after, micros(since)))
			if err != nil {
				return err
			}
			n.Attempts++
			return tx.one(errUnchanged, `UPDATE notice SET held = ?, attempts = ? WHERE id = ? AND `+free, micros(until), n.Attempts, n.ID, now, wrong)
		})
		if errors.Is(err, errUnchanged) { // somebody else was faster
			continue
		}
		if err != nil {
			return desk.Notice{}, fmt.Errorf("next notice: %w", translate(err))
		}
		return n, nil
	}
}

// EndNotice implements desk.Notices.
func (s *Store) EndNotice(ctx context.Context, id int64, failure string, until time.Time) error {
	err := s.change(ctx, func(tx *tx) error {
		if failure == "" {
			return tx.one(token.ErrNotFound, `UPDATE notice SET sent = ?, error = '' WHERE id = ?`, micros(tx.now), id)
		}
		return tx.one(token.ErrNotFound, `UPDATE notice SET held = ?, error = ? WHERE id = ? AND sent = 0`, micros(until), failure, id)
	})
	if err != nil {
		return fmt.Errorf("end notice %d: %w", id, translate(err))
	}
	return nil
}
