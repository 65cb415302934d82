package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

func isNotFound(err error) bool { return errors.Is(err, sql.ErrNoRows) }

const entryText = `SELECT l.id, l.phase, coalesce(t.serial, 0), l.slot, l.token, l.credential, coalesce(l.former, 0), coalesce(l.holder, 0), l.proof, l.firmware, l.overwrite, l.reason, l.elsewhere, l.created, l.updated, l.id_check, coalesce(l.replaces, 0), l.note
	FROM ledger l JOIN token t ON t.id = l.token `

// entryRow is an entry before its credentials and its holder are read.
type entryRow struct {
	token.Entry
	credential, former token.CredentialID
	holder             token.PersonID
}

func scanEntry(row scanner) (entryRow, error) {
	var e entryRow
	var created, updated int64
	err := row.Scan(&e.ID, &e.Phase, &e.Serial, &e.Slot, &e.Token, &e.credential, &e.former, &e.holder, &e.Proof, &e.Firmware, &e.Overwrite, &e.Reason, &e.Elsewhere, &created, &updated,
		&e.Handover.IDCheck, &e.Handover.Replace, &e.Handover.Note)
	e.Created, e.Updated = fromMicros(created), fromMicros(updated)
	return e, err
}

// fill reads the rest of an entry, without secrets.
func fill(ctx context.Context, q querier, r entryRow) (token.Entry, error) {
	e := r.Entry
	var err error
	if e.Credential, err = oneCredential(ctx, q, `WHERE c.id = ?`, r.credential); err != nil {
		return e, err
	}
	if e.Proof == token.ByTouch && (e.Credential.Kind == token.ChallengeResponse || e.Credential.Settings.Account != "") { // the column knows proof or none
		e.Proof = token.ByHost
	}
	if r.former != 0 {
		c, err := oneCredential(ctx, q, `WHERE c.id = ?`, r.former)
		if err != nil {
			return e, err
		}
		e.Former = &c
	}
	if r.holder != 0 {
		p, err := scanPerson(q.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.id = ?`, r.holder))
		if err != nil {
			return e, err
		}
		e.Holder = &p
	}
	return e, nil
}

func (s *Store) entry(ctx context.Context, q querier, id token.EntryID) (token.Entry, error) {
	r, err := scanEntry(q.QueryRowContext(ctx, entryText+`WHERE l.id = ?`, id))
	if err != nil {
		return token.Entry{}, err
	}
	return fill(ctx, q, r)
}

// openEntry is an entry that is not settled; token.ErrConflict if it is.
func (s *Store) openEntry(ctx context.Context, q querier, id token.EntryID) (token.Entry, error) {
	e, err := s.entry(ctx, q, id)
	if err == nil && !e.Phase.Open() {
		err = fmt.Errorf("%w: it is %s", token.ErrConflict, e.Phase)
	}
	return e, err
}

// Open lists the entries that wait to be settled, oldest first. From Sealed on they carry the secrets of the new credential,
// and of the former one if there is one; the caller destroys them.
func (s *Store) Open(ctx context.Context) ([]token.Entry, error) {
	out, err := s.unsettled(ctx)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", translate(err))
	}
	return out, nil
}

func (s *Store) unsettled(ctx context.Context) (out []token.Entry, err error) {
	err = s.readState(ctx, func(q querier) error {
		out, err = s.unsettledIn(ctx, q)
		return err
	})
	return out, err
}

func (s *Store) unsettledIn(ctx context.Context, t querier) ([]token.Entry, error) {
	return s.entriesIn(ctx, t, entryText+`WHERE l.phase NOT IN ('committed', 'aborted') ORDER BY l.id`)
}

func (s *Store) fillSecrets(ctx context.Context, q querier, e *token.Entry) (err error) {
	if e.Credential.Secrets, err = s.secrets(ctx, q, e.Credential.ID); err != nil {
		return err
	}
	if e.Former != nil {
		e.Former.Secrets, err = s.secrets(ctx, q, e.Former.ID)
	}
	return err
}

func destroyEntries(list []token.Entry) {
	for _, e := range list {
		e.Credential.Secrets.Destroy()
		if e.Former != nil {
			e.Former.Secrets.Destroy()
		}
	}
}

// Slots is what the store knows of a key: its token and the live credentials on it, in the order of their slots, with their
// secrets, which the caller destroys. Pending ones are left to Open. token.ErrNotFound if the serial is unknown.
func (s *Store) Slots(ctx context.Context, serial token.Serial) (token.Token, []token.Credential, error) {
	k, list, err := s.slots(ctx, serial)
	if err != nil {
		return token.Token{}, nil, fmt.Errorf("look up serial %s: %w", serial, translate(err))
	}
	return k, list, nil
}

func (s *Store) slots(ctx context.Context, serial token.Serial) (k token.Token, list []token.Credential, err error) {
	err = s.readState(ctx, func(q querier) error {
		k, list, err = s.slotsIn(ctx, q, serial)
		return err
	})
	return k, list, err
}

func (s *Store) slotsIn(ctx context.Context, t querier, serial token.Serial) (token.Token, []token.Credential, error) {
	k, err := oneToken(ctx, t, `WHERE t.serial = ?`, serial)
	if err != nil {
		return k, nil, err
	}
	list, err := collect(ctx, t, scanCredential,
		`SELECT `+credentialColumns+credentialFrom+`WHERE c.token = ? AND c.state NOT IN ('pending', 'revoked') ORDER BY c.slot, c.id`, k.ID)
	if err != nil {
		return k, nil, err
	}
	for i := range list {
		if list[i].Secrets, err = s.secrets(ctx, t, list[i].ID); err != nil {
			for _, c := range list[:i] {
				c.Secrets.Destroy()
			}
			return k, nil, err
		}
	}
	return k, list, nil
}
