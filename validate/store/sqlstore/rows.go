package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// scanner is a row.
type scanner interface{ Scan(into ...any) error }

// personColumns are followed by the groups, which one index holds: no query for each person.
const (
	personColumns  = `p.id, p.account, p.name, p.mail, p.created, ` + groupsOfPerson
	groupsOfPerson = `coalesce((SELECT string_agg(g.name, ';') FROM person_group g WHERE g.person = p.id), '')`
)

func scanPerson(row scanner) (token.Person, error) {
	var p token.Person
	var created int64
	var groups string
	err := row.Scan(&p.ID, &p.Account, &p.Name, &p.Mail, &created, &groups)
	p.Created, p.Groups = fromMicros(created), splitGroups(groups)
	return p, err
}

const (
	tokenColumns = `t.id, t.model, coalesce(t.serial, 0), t.label, t.stock_number, t.firmware, t.state, t.reason, t.blocked_at, t.created,
		t.blocked_from, t.blocked_by, t.until, t.name, t.issued_at, t.owed,
		coalesce(p.id, 0), coalesce(p.account, ''), coalesce(p.name, ''), coalesce(p.mail, ''), coalesce(p.created, 0), ` + groupsOfPerson
	tokenFrom = ` FROM token t LEFT JOIN person p ON p.id = t.holder `
)

func scanToken(row scanner) (token.Token, error) {
	var t token.Token
	var p token.Person
	var blocked, created, until, issued, owed, personCreated int64
	var groups string
	err := row.Scan(&t.ID, &t.Model, &t.Serial, &t.Label, &t.StockNumber, &t.Firmware, &t.State, &t.Reason, &blocked, &created,
		&t.BlockedFrom, &t.BlockedBy, &until, &t.Name, &issued, &owed,
		&p.ID, &p.Account, &p.Name, &p.Mail, &personCreated, &groups)
	t.BlockedAt, t.Created, t.Until, t.IssuedAt, t.Owed = fromMicros(blocked), fromMicros(created), fromMicros(until), fromMicros(issued), fromMicros(owed)
	if p.ID != 0 {
		p.Created, p.Groups = fromMicros(personCreated), splitGroups(groups)
		t.Holder = &p
	}
	return t, err
}

func oneToken(ctx context.Context, q querier, where string, args ...any) (token.Token, error) {
	return scanToken(q.QueryRowContext(ctx, `SELECT `+tokenColumns+tokenFrom+where, args...))
}

const (
	credentialColumns = `c.id, c.token, c.kind, c.slot, c.public_id, c.state, c.digits, c.period, c.hash, c.ext_flags, c.ticket_flags, c.config_flags,
		c.has_access_code, c.first_moving, c.issuer, c.account, c.touch, c.shared, c.created, c.proven_at, n.enabled, n.caution, n.use_counter, n.session_counter, n.timestamp, n.moving, n.nonce, n.at, n.drift, n.rate, n.drift_at`
	credentialFrom = ` FROM credential c JOIN counter n ON n.credential = c.id `
)

func scanCredential(row scanner) (token.Credential, error) {
	var c token.Credential
	var public string
	var period, created, proven, at, rate, driftAt int64
	set, n := &c.Settings, &c.Counters
	err := row.Scan(&c.ID, &c.Token, &c.Kind, &c.Slot, &public, &c.State, &set.Digits, &period, &set.Hash, &set.ExtFlags, &set.TicketFlags, &set.ConfigFlags,
		&set.HasAccessCode, &set.FirstMoving, &set.Issuer, &set.Account, &set.Touch, &set.Shared, &created, &proven, &c.Enabled, &c.Caution, &n.Use, &n.Session, &n.Timestamp, &n.Moving, &n.Nonce, &at,
		&n.Clock.Drift, &rate, &driftAt)
	if err != nil {
		return c, err
	}
	set.Period = time.Duration(period)
	n.Clock.Rate, n.Clock.At = time.Duration(rate)*time.Millisecond, fromMicros(driftAt)
	c.Created, c.ProvenAt, n.At = fromMicros(created), fromMicros(proven), fromMicros(at)
	if c.PublicID, err = token.ParsePublicID(public); err != nil {
		err = fmt.Errorf("%w: credential %d: %w", token.ErrIntegrity, c.ID, err)
	}
	return c, err
}

func oneCredential(ctx context.Context, q querier, where string, args ...any) (token.Credential, error) {
	return scanCredential(q.QueryRowContext(ctx, `SELECT `+credentialColumns+credentialFrom+where, args...))
}

// collect reads all rows, so that the connection is free for the next statement.
func collect[T any](ctx context.Context, q querier, scan func(scanner) (T, error), text string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// addCredential inserts a credential of which nothing was seen, not enabled, and returns its number.
func (t *tx) addCredential(c token.Credential) (token.CredentialID, error) {
	set := c.Settings
	n, err := t.insert(`INSERT INTO credential (token, kind, slot, public_id, state, digits, period, hash, ext_flags, ticket_flags, config_flags, has_access_code, first_moving, issuer, account, touch, shared, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, c.Token, string(c.Kind), c.Slot, c.PublicID.String(), string(c.State),
		set.Digits, int64(set.Period), set.Hash, set.ExtFlags, set.TicketFlags, set.ConfigFlags, set.HasAccessCode, set.FirstMoving, set.Issuer, set.Account, set.Touch, set.Shared, micros(t.now))
	if err != nil {
		return 0, err
	}
	_, err = t.Exec(`INSERT INTO counter (credential, enabled, moving) VALUES (?, 0, ?)`, n, set.FirstMoving-1)
	return token.CredentialID(n), err
}

// orNull is a reference in a column: NULL for 0.
func orNull[T ~int64 | ~uint32](id T) any {
	if id == 0 {
		return nil
	}
	return int64(id)
}

// addToken inserts a token and returns its number.
func (t *tx) addToken(k token.Token) (token.ID, error) {
	n, err := t.insert(`INSERT INTO token (model, serial, label, firmware, state, created) VALUES (?, ?, ?, ?, ?, ?)`,
		string(k.Model), orNull(k.Serial), k.Label, k.Firmware, string(k.State), micros(t.now))
	return token.ID(n), err
}

// setTokenState writes a state that the table of transitions gave.
func (t *tx) setTokenState(id token.ID, s token.State) error {
	return t.one(token.ErrNotFound, `UPDATE token SET state = ? WHERE id = ?`, string(s), id)
}

func (t *tx) setCredentialState(id token.CredentialID, s token.State) error {
	var revoked time.Time
	if s == token.Revoked {
		revoked = t.now
	}
	return t.one(token.ErrNotFound, `UPDATE credential SET state = ?, revoked_at = ? WHERE id = ?`, string(s), micros(revoked), id)
}
