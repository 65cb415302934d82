package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

var _ diagnose.Store = (*Store)(nil)

// Subject implements diagnose.Store.
func (s *Store) Subject(ctx context.Context, account, serial string) (diagnose.Subject, error) {
	sub, err := s.subjectOf(ctx, account, serial)
	if errors.Is(err, sql.ErrNoRows) {
		return diagnose.Subject{}, nil
	}
	if err != nil {
		return diagnose.Subject{}, fmt.Errorf("find subject: %w", translate(err))
	}
	return sub, nil
}

func (s *Store) subjectOf(ctx context.Context, account, serial string) (diagnose.Subject, error) {
	var sub diagnose.Subject
	if account != "" {
		p, err := scanPerson(s.read.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.account = ?`, account))
		if err != nil {
			return sub, err
		}
		sub.Person = &p
	} else {
		number, err := strconv.ParseUint(serial, 10, 32)
		if err != nil {
			number = 0 // no token has it
		}
		t, err := oneToken(ctx, s.read, `WHERE t.serial = ? OR t.label <> '' AND t.label = ? AND t.model IN ('yubikey', 'hardware', 'app', 'sheet') ORDER BY t.state = 'revoked', t.id LIMIT 1`, number, serial)
		if err != nil {
			return sub, err
		}
		sub.Person, sub.Token = t.Holder, t.ID
	}
	name, where, id := tokenObject(sub.Token), `WHERE t.id = ?`, int64(sub.Token)
	if sub.Person != nil {
		name, where, id = personSubject(sub.Person.ID), `WHERE t.holder = ?`, int64(sub.Person.ID)
	}
	tokens, err := collect(ctx, s.read, scanToken, `SELECT `+tokenColumns+tokenFrom+where+` ORDER BY t.id`, id)
	if err != nil {
		return sub, err
	}
	for _, t := range tokens {
		list, err := collect(ctx, s.read, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.token = ? ORDER BY c.id`, t.ID)
		if err != nil {
			return sub, err
		}
		for _, c := range list {
			sub.Held = append(sub.Held, diagnose.Held{Token: t, Credential: c})
		}
	}
	sub.Failures, sub.FailedAt, err = failures(ctx, s.read, name)
	return sub, err
}

// Holders implements diagnose.Store.
func (s *Store) Holders(ctx context.Context, ids []token.PublicID) ([]diagnose.Held, error) {
	var out []diagnose.Held
	for _, id := range ids {
		list, err := collect(ctx, s.read, scanCredential, `SELECT `+credentialColumns+credentialFrom+
			`WHERE c.public_id = ? AND c.kind = 'yubico-otp' ORDER BY c.state = 'revoked', c.state = 'pending', c.id DESC`, id.String())
		for i := 0; i < len(list) && err == nil; i++ {
			var t token.Token
			t, err = oneToken(ctx, s.read, `WHERE t.id = ?`, list[i].Token)
			out = append(out, diagnose.Held{Token: t, Credential: list[i]})
		}
		if err != nil {
			return nil, fmt.Errorf("find holders: %w", translate(err))
		}
	}
	return out, nil
}

// CredentialSecrets implements diagnose.Store.
func (s *Store) CredentialSecrets(ctx context.Context, id token.CredentialID) (token.Secrets, error) {
	secrets, err := s.secrets(ctx, s.read, id)
	if err != nil {
		return token.Secrets{}, fmt.Errorf("read secrets: %w", translate(err))
	}
	return secrets, nil
}

// Health implements diagnose.Store. Whether it can be written is tried by a transaction that is given up.
func (s *Store) Health(ctx context.Context) (diagnose.Health, error) {
	var newest int64
	if err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(at), 0) FROM audit_head`).Scan(&newest); err != nil {
		return diagnose.Health{}, fmt.Errorf("read health: %w", translate(err))
	}
	err := s.change(ctx, func(*tx) error { return errUnchanged })
	return diagnose.Health{ReadOnly: !errors.Is(err, errUnchanged), Clock: fromMicros(newest).Sub(s.now())}, ctx.Err()
}

// KeepAttempt implements diagnose.Store.
func (s *Store) KeepAttempt(ctx context.Context, a diagnose.Attempt) error {
	return s.keepAttempt(ctx, a, diagnose.MaxAttempts)
}

func (s *Store) keepAttempt(ctx context.Context, a diagnose.Attempt, most int) error {
	text, err := json.Marshal(a.Findings)
	if err != nil {
		return err
	}
	person := sql.NullInt64{}
	if a.Person != nil {
		person = sql.NullInt64{Int64: int64(a.Person.ID), Valid: true}
	}
	err = s.change(ctx, func(tx *tx) error {
		_, err := tx.Exec(`INSERT INTO attempt (code, at, client, source, person, token, finding) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			a.Code, micros(a.At), a.Client, a.Source, person, sql.NullInt64{Int64: int64(a.Token), Valid: a.Token != 0}, string(text))
		if err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM attempt WHERE at < (SELECT at FROM attempt ORDER BY at DESC LIMIT 1 OFFSET ?)`, most-1)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep attempt: %w", translate(err))
	}
	return nil
}

// FindAttempt implements diagnose.Store.
func (s *Store) FindAttempt(ctx context.Context, code string) (diagnose.Attempt, error) {
	a, err := s.findAttempt(ctx, code)
	if err != nil {
		return diagnose.Attempt{}, fmt.Errorf("find attempt: %w", translate(err))
	}
	return a, nil
}

func (s *Store) findAttempt(ctx context.Context, code string) (diagnose.Attempt, error) {
	var a diagnose.Attempt
	var at, person int64
	var text string
	err := s.read.QueryRowContext(ctx, `SELECT code, at, client, source, coalesce(person, 0), coalesce(token, 0), finding FROM attempt WHERE code = ?`, code).
		Scan(&a.Code, &at, &a.Client, &a.Source, &person, &a.Token, &text)
	if err != nil {
		return a, err
	}
	a.At = fromMicros(at)
	if person != 0 {
		p, err := scanPerson(s.read.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.id = ?`, person))
		if err != nil {
			return a, err
		}
		a.Person = &p
	}
	if err := json.Unmarshal([]byte(text), &a.Findings); err != nil {
		return a, fmt.Errorf("%w: attempt: not JSON", token.ErrIntegrity)
	}
	return a, nil
}
