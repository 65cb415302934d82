package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// link is a row of activation with its person and the token that was drawn last.
type link struct {
	desk.Link
	pin        []byte // the keyed hash
	token      token.ID
	tokenState token.State // "" without one
	opened     time.Time
	wrong      int // codes since then
	done       bool
	cancelled  bool
}

// linkSettings are activation.settings.
type linkSettings struct {
	Kind     token.Kind     `json:"kind"`
	Settings token.Settings `json:"settings"`
}

const linkColumns = `SELECT a.id, a.pin, a.tries_left, a.settings, coalesce(a.token, 0), coalesce(t.state, ''), a.opened, a.wrong, a.expires, a.done, a.cancelled, a.created,
	p.id, p.account, p.name, p.mail FROM activation a JOIN person p ON p.id = a.person LEFT JOIN token t ON t.id = a.token `

// scanLink leaves State to link.at.
func scanLink(row scanner) (link, error) {
	var l link
	var settings string
	var opened, expires, done, cancelled, created int64
	err := row.Scan(&l.ID, &l.pin, &l.TriesLeft, &settings, &l.token, &l.tokenState, &opened, &l.wrong, &expires, &done, &cancelled, &created,
		&l.Person.ID, &l.Person.Account, &l.Person.Name, &l.Person.Mail)
	if err != nil {
		return l, err
	}
	var set linkSettings
	if err := json.Unmarshal([]byte(settings), &set); err != nil {
		return l, fmt.Errorf("%w: link %d", token.ErrIntegrity, l.ID)
	}
	l.Kind, l.Settings = set.Kind, set.Settings
	l.opened, l.Expires, l.Created = fromMicros(opened), fromMicros(expires), fromMicros(created)
	l.done, l.cancelled = done != 0, cancelled != 0
	return l, nil
}

// at is the state of the link. Whoever got a secret may finish although the link is over meanwhile.
func (l link) at(now time.Time) desk.LinkState {
	out := l.token != 0 && l.tokenState == token.Pending
	switch {
	case l.done || l.tokenState.Validates():
		return desk.LinkDone
	case l.cancelled || l.tokenState.Blocked() || l.tokenState == token.Revoked: // the last not by the link: see endSecret
		return desk.LinkCancelled
	case l.TriesLeft == 0:
		return desk.LinkLocked
	case out && l.wrong < desk.MaxLinkCodes && now.Sub(l.opened).Abs() < desk.SecretTime: // also after a clock that was ahead
		return desk.LinkShown
	case !now.Before(l.Expires):
		return desk.LinkExpired
	}
	return desk.LinkOpen
}

func linkObject(id int64) string { return fmt.Sprintf("link %d", id) }

// linkDetail is the detail of the events about links.
type linkDetail struct {
	Account string     `json:"account"`
	Kind    token.Kind `json:"kind,omitempty"`
	Token   token.ID   `json:"token,omitempty"`
	Name    string     `json:"name,omitempty"`
	Moving  int64      `json:"moving,omitempty"`
	Cause   string     `json:"cause,omitempty"`
}

// AddLink implements desk.Links.
func (s *Store) AddLink(ctx context.Context, n desk.NewLink) (desk.Link, error) {
	l := desk.Link{Kind: n.Kind, Settings: n.Settings, State: desk.LinkOpen, TriesLeft: desk.PINTries}
	settings, err := json.Marshal(linkSettings{n.Kind, n.Settings})
	if err != nil {
		return l, err
	}
	err = s.change(ctx, func(tx *tx) error {
		if l.Person, err = personOf(ctx, tx, n.Account); err != nil {
			return err
		}
		l.Created, l.Expires = tx.now, tx.now.Add(n.Valid)
		l.ID, err = tx.insert(`INSERT INTO activation (person, hash, pin, tries_left, settings, expires, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			l.Person.ID, s.handle(n.Value), s.handle(n.Value, n.PIN), l.TriesLeft, string(settings), micros(l.Expires), micros(l.Created))
		if err != nil {
			return err
		}
		if err := tx.notify(l.Person.ID, desk.NoticeLink, desk.Facts{Until: l.Expires.UTC()}); err != nil {
			return err
		}
		return tx.desk("link.make", linkObject(l.ID), linkDetail{Account: n.Account, Kind: n.Kind})
	})
	if err != nil {
		return desk.Link{}, fmt.Errorf("make link: %w", translate(err))
	}
	return l, nil
}

// Links implements desk.Links.
func (s *Store) Links(ctx context.Context, account string) ([]desk.Link, error) {
	list, err := collect(ctx, s.read, scanLink, linkColumns+`WHERE ?1 = '' OR p.account = ?1 ORDER BY a.id`, account)
	if err == nil && account != "" && len(list) == 0 {
		_, err = personOf(ctx, s.read, account)
	}
	if err != nil {
		return nil, fmt.Errorf("list links: %w", translate(err))
	}
	out := make([]desk.Link, len(list))
	for i, l := range list {
		out[i] = l.Link
		out[i].State = l.at(s.now())
	}
	return out, nil
}

// CancelLink implements desk.Links.
func (s *Store) CancelLink(ctx context.Context, id int64) error {
	err := s.change(ctx, func(tx *tx) error {
		l, err := scanLink(tx.QueryRowContext(ctx, linkColumns+`WHERE a.id = ?`, id))
		if err != nil {
			return err
		}
		if st := l.at(tx.now); st != desk.LinkOpen && st != desk.LinkShown {
			return token.ErrConflict
		}
		return tx.cancelLink(l, "")
	})
	if err != nil {
		return fmt.Errorf("cancel link %d: %w", id, translate(err))
	}
	return nil
}

func (t *tx) cancelLink(l link, cause string) error {
	if err := t.one(token.ErrConflict, `UPDATE activation SET cancelled = ? WHERE id = ? AND done = 0 AND cancelled = 0`, micros(t.now), l.ID); err != nil {
		return err
	}
	if err := t.endSecret(l); err != nil {
		return err
	}
	return t.desk("link.cancel", linkObject(l.ID), linkDetail{Account: l.Person.Account, Token: l.token, Cause: cause})
}

// cancelLinks cancels the links of a person that are open, and counts them. cause is for the audit chain. Those that expired are
// cancelled too: the clock may be wrong now.
func (t *tx) cancelLinks(ctx context.Context, person token.PersonID, cause string) (int, error) {
	list, err := collect(ctx, t, scanLink, linkColumns+`WHERE a.person = ? AND a.done = 0 AND a.cancelled = 0 ORDER BY a.id`, person)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, l := range list {
		st := l.at(t.now)
		if st != desk.LinkOpen && st != desk.LinkShown && st != desk.LinkExpired {
			continue
		}
		if err := t.cancelLink(l, cause); err != nil {
			return 0, err
		}
		if st != desk.LinkExpired {
			n++
		}
	}
	return n, nil
}

// expireSecrets revokes what links drew and nobody proved in time, and counts it.
func (t *tx) expireSecrets(ctx context.Context) (int, error) {
	list, err := collect(ctx, t, scanLink, linkColumns+`WHERE a.token IS NOT NULL AND a.done = 0 AND a.cancelled = 0 AND t.state = 'pending' ORDER BY a.id`)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, l := range list {
		if l.at(t.now) == desk.LinkShown {
			continue
		}
		if err := t.endSecret(l); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// endSecret revokes the pending token that a link drew, if there is one, and deletes its secret. The link forgets the token: what it
// remembers as revoked was taken away by somebody, and the link with it.
func (t *tx) endSecret(l link) error {
	if l.token == 0 || l.tokenState != token.Pending {
		return nil
	}
	next, err := l.tokenState.Next(token.Revoke)
	if err != nil {
		return err
	}
	if err := t.setTokenState(l.token, next); err != nil {
		return err
	}
	if _, err := t.Exec(`DELETE FROM secret WHERE credential IN (SELECT id FROM credential WHERE token = ?)`, l.token); err != nil {
		return err
	}
	_, err = t.Exec(`UPDATE credential SET state = ?, revoked_at = ? WHERE token = ? AND state = 'pending'`, string(next), micros(t.now), l.token)
	if err != nil {
		return err
	}
	if err := t.enable(l.token); err != nil {
		return err
	}
	if err := t.one(token.ErrNotFound, `UPDATE activation SET token = NULL WHERE id = ?`, l.ID); err != nil {
		return err
	}
	return t.desk("token.revoke", tokenObject(l.token), linkDetail{Account: l.Person.Account, Cause: linkObject(l.ID)})
}

// LinkState implements desk.Links.
func (s *Store) LinkState(ctx context.Context, value string) (desk.LinkState, error) {
	l, err := s.linkOf(ctx, s.read, value)
	if errors.Is(translate(err), token.ErrNotFound) {
		return desk.LinkUnknown, nil
	}
	if err != nil {
		return "", fmt.Errorf("open link: %w", translate(err))
	}
	return l.at(s.now()), nil
}

func (s *Store) linkOf(ctx context.Context, q querier, value string) (link, error) {
	return scanLink(q.QueryRowContext(ctx, linkColumns+`WHERE a.hash = ?`, s.handle(secret.New([]byte(value)))))
}
