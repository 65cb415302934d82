package sqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// errDry undoes a change that was only tried.
var errDry = errors.New("dry run")

// TakeOver implements desk.KeyFiles: all of list in one transaction.
func (s *Store) TakeOver(ctx context.Context, source string, list []desk.Foreign, dry bool) ([]desk.Imported, error) {
	return takeAll(ctx, s, "key.takeover", source, list, dry, func(tx *tx, f desk.Foreign) (desk.Imported, error) {
		return tx.takeKey(ctx, source, f)
	})
}

// ImportClients implements desk.Clients: all of list in one transaction.
func (s *Store) ImportClients(ctx context.Context, source string, list []desk.ForeignClient, dry bool) ([]desk.Imported, error) {
	return takeAll(ctx, s, "client.takeover", source, list, dry, func(tx *tx, c desk.ForeignClient) (desk.Imported, error) {
		return tx.takeClient(ctx, source, c)
	})
}

// takeAll takes over each in one transaction, with an event that sums up. Where nothing is changed there is none.
func takeAll[T any](ctx context.Context, s *Store, action, source string, list []T, dry bool, take func(*tx, T) (desk.Imported, error)) ([]desk.Imported, error) {
	var out []desk.Imported
	if len(list) == 0 {
		return out, nil
	}
	err := s.change(ctx, func(tx *tx) error {
		out = make([]desk.Imported, len(list))
		count := map[desk.Outcome]int{}
		if err := tx.makeMarks(ctx); err != nil {
			return err
		}
		for i, f := range list {
			var err error
			if out[i], err = take(tx, f); err != nil {
				return err
			}
			count[out[i].Outcome]++
		}
		switch {
		case dry:
			return errDry
		case len(tx.heads) == 0:
			return errUnchanged
		}
		return tx.desk(action, "store", map[string]any{"file": source, "outcomes": count})
	})
	if err != nil && !errors.Is(err, errDry) && !errors.Is(err, errUnchanged) {
		return nil, fmt.Errorf("take over: %w", translate(err))
	}
	return out, nil
}

// takeKey adds a key if it comes along and is new, raises its counters and blocks it if it is inactive.
func (t *tx) takeKey(ctx context.Context, source string, f desk.Foreign) (desk.Imported, error) {
	done := desk.Imported{Line: f.Line, Outcome: desk.Known}
	if f.Key != nil {
		var err error
		if done, err = t.importRecord(ctx, *f.Key); err != nil || done.Outcome == desk.Different {
			done.Line = f.Line
			return done, err
		}
		done.Line = f.Line
		if f.Key.Kind != token.YubicoOTP {
			if done.Outcome == desk.Known {
				if done.Outcome, err = t.raiseForeign(ctx, source, f); err != nil {
					return done, err
				}
			}
			return t.blockForeign(ctx, source, f, done)
		}
	}
	c, raised, err := t.raiseTo(ctx, f.Raise)
	switch {
	case isNotFound(err):
		done.Outcome, done.Note = desk.Missing, "the key "+f.PublicID.String()+" is not here"
		return done, nil
	case err != nil:
		return done, err
	}
	if raised {
		if done.Outcome == desk.Known {
			done.Outcome = desk.Raised
		}
		err := t.desk("counter.raise", tokenObject(c.token), tokenDetail{
			Credential: c.id, PublicID: f.PublicID.String(), Use: f.Use, Session: f.Session, Note: "in " + source,
		})
		if err != nil {
			return done, err
		}
	}
	return t.blockToken(ctx, source, c.token, f.Active, done)
}

// raiseForeign raises the counter of a HOTP key that is here already to what was spent of it elsewhere.
func (t *tx) raiseForeign(ctx context.Context, source string, f desk.Foreign) (desk.Outcome, error) {
	list, err := t.s.marked(ctx, t, *f.Key)
	done, spent := desk.Known, f.Key.Counter-1
	for _, c := range list {
		if err != nil || c.Kind != token.HOTP || c.State == token.Revoked || c.Counters.Moving >= spent {
			continue
		}
		if err = t.raise(c, token.Counters{Moving: spent}); err == nil {
			done = desk.Raised
			err = t.desk("counter.raise", tokenObject(c.Token), tokenDetail{Credential: c.ID, Moving: spent, Note: "in " + source})
		}
	}
	return done, err
}

// blockForeign blocks the token of a HOTP key that came along.
func (t *tx) blockForeign(ctx context.Context, source string, f desk.Foreign, done desk.Imported) (desk.Imported, error) {
	if f.Active {
		return done, nil
	}
	k, err := importToken(ctx, t, *f.Key)
	if err != nil || k.ID == 0 {
		return done, err
	}
	return t.blockToken(ctx, source, k.ID, false, done)
}

// blockToken blocks what is inactive and not blocked yet.
func (t *tx) blockToken(ctx context.Context, source string, id token.ID, active bool, done desk.Imported) (desk.Imported, error) {
	if active {
		return done, nil
	}
	k, err := oneToken(ctx, t, `WHERE t.id = ?`, id)
	if err != nil || k.State.Blocked() {
		return done, err
	}
	_, err = t.block(ctx, k, desk.ForeignBlock(source))
	var refused *token.TransitionError
	switch {
	case errors.As(err, &refused):
		done.Note = joinNotes(done.Note, "inactive there, and not blocked here: it is "+string(k.State))
		return done, nil
	case err != nil && !errors.Is(err, errUnchanged):
		return done, err
	}
	if done.Outcome == desk.Known {
		done.Outcome = desk.Raised
	}
	done.Note = joinNotes(done.Note, "inactive there, so it is blocked here")
	return done, nil
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// takeClient adds a client with its number and key, or says why not.
func (t *tx) takeClient(ctx context.Context, source string, c desk.ForeignClient) (desk.Imported, error) {
	done := func(o desk.Outcome, note string) (desk.Imported, error) {
		return desk.Imported{Line: c.Line, Outcome: o, Note: note}, nil
	}
	there, found, err := t.clientThere(ctx, c.ID)
	switch {
	case err != nil:
		return desk.Imported{}, err
	case found && !there.Active && c.Active:
		return done(desk.Different, fmt.Sprintf("client %d is revoked here", c.ID))
	case found && there.Active && !c.Active:
		return done(desk.Different, fmt.Sprintf("client %d is inactive there and active here: if it should be, revoke it", c.ID))
	case found && !there.Active:
		return done(desk.Known, "")
	case found && there.has(c.Keys[0]):
		return done(desk.Known, "")
	case found:
		return done(desk.Different, fmt.Sprintf("another client, %s, has the number %d here", there.Name, c.ID))
	}
	var taken bool
	if err := t.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM client WHERE name = ?)`, c.Name).Scan(&taken); err != nil {
		return desk.Imported{}, err
	}
	if taken {
		return done(desk.Different, "another client has the name "+c.Name+" here")
	}
	if err := t.addForeignClient(c); err != nil {
		return desk.Imported{}, err
	}
	if !c.Active {
		return done(desk.New, "inactive there, so it is revoked here, and its key is not kept")
	}
	return done(desk.New, "")
}

func (t *tx) addForeignClient(c desk.ForeignClient) error {
	row, version, created := []byte{}, uint32(0), c.Created
	sealer, err := t.sealing()
	if err != nil {
		return err
	}
	if version = sealer.Version(); c.Active {
		if row, version, err = t.seal(t.s.clientPlace(c.ID, 1), c.Keys[0]); err != nil {
			return err
		}
	}
	if created.IsZero() {
		created = t.now
	}
	_, err = t.Exec(`INSERT INTO client (id, name, active, must_sign, key_version, sealed, created, note) VALUES (?, ?, ?, 0, ?, ?, ?, ?)`,
		c.ID, c.Name, c.Active, version, row, micros(created), c.Note)
	if err != nil {
		return err
	}
	return t.client("client.import", c.ID, clientDetail{Name: c.Name, Active: &c.Active})
}

// thereClient is a client of this store, with its keys if it is active.
type thereClient struct {
	Name   string
	Active bool
	keys   []secret.Bytes
}

func (c thereClient) has(key secret.Bytes) bool {
	for _, k := range c.keys {
		if k.Equal(key) {
			return true
		}
	}
	return false
}

func (t *tx) clientThere(ctx context.Context, id int64) (c thereClient, found bool, err error) {
	var k clientColumns
	err = t.QueryRowContext(ctx, `SELECT name, active, key_version, key_number, sealed, former_sealed, former_until FROM client WHERE id = ?`, id).
		Scan(&c.Name, &c.Active, &k.version, &k.number, &k.sealed, &k.former, &k.until)
	if isNotFound(err) {
		return c, false, nil
	}
	if err != nil || !c.Active {
		return c, true, err
	}
	for n, sealed := range map[int64][]byte{k.number: k.sealed, k.number - 1: k.former} {
		if len(sealed) == 0 {
			continue
		}
		key, err := t.s.clientKey(clientKey{id, n, string(sealed)}, k.version)
		if err != nil {
			return c, true, err
		}
		c.keys = append(c.keys, key)
	}
	return c, true, nil
}
