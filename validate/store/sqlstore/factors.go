package sqlstore

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

var _ validate.Factors = (*Store)(nil)

// Attempt implements validate.Factors.
func (s *Store) Attempt(ctx context.Context, req validate.AttemptRequest, decide func(validate.Holding) validate.Ruling) error {
	err := s.change(ctx, func(tx *tx) error {
		h, err := s.holding(ctx, tx, req)
		if err != nil {
			return err
		}
		r := decide(h)
		if r.Event == nil {
			return errUnchanged
		}
		return tx.rule(h, req, r)
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("attempt: %w", translate(err))
	}
	return nil
}

// Look implements validate.Factors.
func (s *Store) Look(ctx context.Context, req validate.AttemptRequest) (validate.Holding, error) {
	h, err := s.holding(ctx, s.read, req)
	if err != nil {
		return h, fmt.Errorf("look: %w", translate(err))
	}
	return h, nil
}

// rule applies a Ruling. Each statement finds what holding read.
func (t *tx) rule(h validate.Holding, req validate.AttemptRequest, r validate.Ruling) error {
	note := validate.Advance{Use: -1, Session: -1, Moving: -1, At: req.At}
	for _, a := range r.Spend {
		if err := t.spendMoving(a); err != nil {
			return err
		}
		t.spentMoving(a.Credential, a.Moving, a.At)
		note.Credential, note.Moving = a.Credential, a.Moving
	}
	for _, a := range r.Accept {
		if err := t.acceptMoving(a); err != nil {
			return err
		}
		t.spentMoving(a.Credential, a.Moving, a.At)
		note.Credential, note.Moving = a.Credential, a.Moving
	}
	if r.Code != 0 {
		if err := t.one(token.ErrConflict, `UPDATE code SET uses_left = uses_left - 1 WHERE id = ?1 AND person = ?2 AND uses_left > 0
			AND revoked = 0 AND (expires = 0 OR expires > ?3)`, r.Code, h.Person, micros(req.At)); err != nil {
			return err
		}
		for _, c := range h.Codes {
			if c.ID == r.Code {
				t.spentCode(c.ID, int64(c.UsesLeft)-1, req.At)
			}
		}
	}
	if r.Browser != 0 {
		if err := t.one(token.ErrConflict, `UPDATE browser SET used = ?1 WHERE id = ?2 AND person = ?3 AND revoked = 0 AND expires > ?1`,
			micros(req.At), r.Browser, h.Person); err != nil {
			return err
		}
	}
	if err := t.putThrottle(h.Subject, r.Throttle); err != nil {
		return err
	}
	if err := t.putFailures(budgetSubject(h, req), r.Budget.Used, r.Budget.At); err != nil {
		return err
	}
	note.Event = *r.Event
	object := ""
	switch {
	case r.Event.Token != 0:
		object = tokenObject(r.Event.Token)
	case h.Known:
		object = personObject(token.Person{Account: req.Account})
	}
	return t.validationOf(object, note)
}

// acceptMoving is the statement that decides about a HOTP or TOTP code. What was programmed becomes active by it.
func (t *tx) acceptMoving(a validate.Advance) error {
	c := a.Clock
	err := t.one(token.ErrConflict, `UPDATE counter SET moving = ?1, at = ?2, drift = ?3, rate = ?4, drift_at = ?5
		WHERE credential = ?6 AND enabled = 1 AND moving < ?1`, a.Moving, micros(a.At), c.Drift, c.Rate.Milliseconds(), micros(c.At), a.Credential)
	if err != nil {
		return err
	}
	return t.prove(a)
}

// spendMoving raises the moving factor of what is not enabled. The time of the last use and the clock stay: nothing was accepted.
func (t *tx) spendMoving(a validate.Advance) error {
	if relaxed, err := t.relax(relaxMovingText(), a.Credential, a.Moving, micros(a.At), a.Credential); err != nil || relaxed {
		return err
	}
	return t.one(token.ErrConflict, `UPDATE counter SET moving = ?1 WHERE credential = ?2 AND enabled = 0 AND moving < ?1`, a.Moving, a.Credential)
}

// holding reads what an Attempt asks for. For an unknown subject it asks the same of the person and the token 0, which are not there.
func (s *Store) holding(ctx context.Context, q querier, req validate.AttemptRequest) (validate.Holding, error) {
	h, err := subject(ctx, q, req)
	if err != nil {
		return h, err
	}
	if h.Groups, err = personGroups(ctx, q, h.Person); err != nil {
		return h, err
	}
	if h.Throttle.Failures, h.Throttle.At, err = failures(ctx, q, h.Subject); err != nil {
		return h, err
	}
	if h.Budget.Used, h.Budget.At, err = failures(ctx, q, budgetSubject(h, req)); err != nil {
		return h, err
	}
	if req.OATH {
		if h.Credentials, err = s.candidates(ctx, q, h); err != nil {
			return h, err
		}
	}
	if req.Spoken != "" {
		person := h.Person
		if h.Token != 0 { // a token was asked for, not the person
			person = 0
		}
		if h.Codes, err = s.codesOf(ctx, q, person, req.Spoken); err != nil {
			return h, err
		}
	}
	if req.Browser != "" && h.Token == 0 {
		h.Browser, err = s.browserOf(ctx, q, h.Person, req)
	}
	return h, err
}

// subject finds whom the request is about. A revoked token is unknown.
func subject(ctx context.Context, q querier, req validate.AttemptRequest) (validate.Holding, error) {
	h := validate.Holding{Subject: unknownSubject}
	if req.Account != "" {
		err := q.QueryRowContext(ctx, `SELECT id FROM person WHERE account = ?`, req.Account).Scan(&h.Person)
		if errors.Is(err, sql.ErrNoRows) {
			return h, nil
		}
		h.Known, h.Subject = err == nil, personSubject(h.Person)
		return h, err
	}
	serial, err := strconv.ParseUint(req.Serial, 10, 32)
	if err != nil {
		serial = 0 // no token has it
	}
	scan := func(row scanner) (h validate.Holding, err error) { return h, row.Scan(&h.Token, &h.Person) }
	all, err := collect(ctx, q, scan, `SELECT id, coalesce(holder, 0) FROM token WHERE serial = ?1 AND state <> 'revoked'
		UNION SELECT id, coalesce(holder, 0) FROM token WHERE label = ?2 AND label <> '' AND state <> 'revoked'
		  AND model IN ('yubikey', 'hardware', 'app', 'sheet') LIMIT 2`, serial, req.Serial)
	if err != nil || len(all) != 1 {
		return h, err
	}
	h = all[0]
	h.Known, h.Subject = true, tokenObject(h.Token)
	if h.Person != 0 {
		h.Subject = personSubject(h.Person)
	}
	return h, nil
}

// candidates are the HOTP and TOTP credentials of the token, or of all tokens of the person. What is pending belongs to who
// enrols it.
func (s *Store) candidates(ctx context.Context, q querier, h validate.Holding) ([]validate.Candidate, error) {
	type sealed struct {
		validate.Candidate
		version int64
		hash    oath.Hash
		digits  int
	}
	scan := func(row scanner) (c sealed, err error) {
		n := &c.Row.Counters
		var at, driftAt, rate int64
		var public string
		var config uint8
		err = row.Scan(&c.ID, &c.Token, &c.Kind, &c.Model, &public, &config, &c.Label, &c.version, &c.Period, &c.hash, &c.digits, &c.Row.State, &c.Row.Token, &c.Row.Enabled, &c.Row.Caution,
			&n.Moving, &at, &n.Clock.Drift, &rate, &driftAt)
		n.Use, n.Session, n.At = -1, -1, fromMicros(at)
		n.Clock.Rate, n.Clock.At = time.Duration(rate)*time.Millisecond, fromMicros(driftAt)
		if err == nil && c.Kind == token.HOTP && public != "" {
			named := token.Credential{Kind: c.Kind, Settings: token.Settings{ConfigFlags: config}}
			named.PublicID, err = token.ParsePublicID(public)
			c.TypedID = named.TypedID()
		}
		return c, err
	}
	where, id := `t.holder = ?`, int64(h.Person)
	if h.Token != 0 {
		where, id = `t.id = ?`, int64(h.Token)
	}
	rows, err := collect(ctx, q, scan, `SELECT c.id, c.token, c.kind, t.model, c.public_id, c.config_flags, t.label, c.version, c.period, c.hash, c.digits, c.state, t.state, n.enabled, n.caution,
			n.moving, n.at, n.drift, n.rate, n.drift_at
		FROM token t JOIN credential c ON c.token = t.id JOIN counter n ON n.credential = c.id
		WHERE `+where+` AND c.kind IN ('hotp', 'totp') AND c.state NOT IN ('pending', 'revoked') AND t.state NOT IN ('pending', 'revoked') ORDER BY c.id`, id)
	if err != nil {
		return nil, err
	}
	var out []validate.Candidate
	for _, c := range rows {
		seed, err := s.seed(ctx, q, secretKey{c.ID, c.version})
		if err != nil {
			return nil, err
		}
		c.Generator, err = oath.New(seed, c.hash, c.digits)
		if err == nil && c.Kind == token.TOTP && c.Period < time.Second {
			err = errors.New("a period of less than a second")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: credential %d: %w", token.ErrIntegrity, c.ID, err)
		}
		out = append(out, c.Candidate)
	}
	return out, nil
}

// seed is the secret of a HOTP or TOTP credential, which the store keeps.
func (s *Store) seed(ctx context.Context, q querier, k secretKey) (secret.Bytes, error) {
	if v, ok := s.seeds.get(k); ok {
		return v, nil
	}
	secrets, err := s.secrets(ctx, q, k.id)
	if err != nil {
		return secret.Bytes{}, err
	}
	secrets.PrivateID.Destroy()
	secrets.AccessCode.Destroy()
	return s.seeds.put(k, secrets.Key), nil
}

// codesOf are all codes of a person; the one whose hash is that of the presented one is Right. All are compared, in constant time.
func (s *Store) codesOf(ctx context.Context, q querier, person token.PersonID, presented string) ([]validate.Code, error) {
	want := s.ring().Mark(secret.New([]byte(presented)))
	scan := func(row scanner) (c validate.Code, err error) {
		var hash []byte
		var expires, revoked int64
		err = row.Scan(&c.ID, &c.Kind, &hash, &c.UsesLeft, &expires, &c.Client, &revoked)
		c.Right, c.Expires, c.Revoked = hmac.Equal(hash, want[:]), fromMicros(expires), revoked != 0
		return c, err
	}
	return collect(ctx, q, scan, `SELECT id, kind, hash, uses_left, expires, coalesce(client, 0), revoked FROM code WHERE person = ? ORDER BY id`, person)
}

// browserOf is the trusted browser with the presented value: of this person, at this client, now. 0: there is none.
func (s *Store) browserOf(ctx context.Context, q querier, person token.PersonID, req validate.AttemptRequest) (int64, error) {
	want := s.ring().Mark(secret.New([]byte(req.Browser)))
	found := int64(0)
	scan := func(row scanner) (id int64, err error) {
		var hash []byte
		if err = row.Scan(&id, &hash); err == nil && hmac.Equal(hash, want[:]) {
			found = id
		}
		return id, err
	}
	_, err := collect(ctx, q, scan, `SELECT id, hash FROM browser WHERE person = ? AND client = ? AND revoked = 0 AND expires > ?`, person, req.Client, micros(req.At))
	return found, err
}
