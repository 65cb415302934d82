package sqlstore

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func (s *Store) targetPlace(id int64) seal.Place {
	return seal.Place{Store: s.id, Owner: "target", ID: id, What: "target-credential"}
}

func targetObject(id int64) string { return fmt.Sprintf("target %d", id) }

// AddTarget implements desk.Targets.
func (s *Store) AddTarget(ctx context.Context, t push.Server, credential secret.Bytes) (int64, error) {
	var id int64
	err := s.change(ctx, func(tx *tx) error {
		var err error
		id, err = tx.insert(`INSERT INTO target (name, kind, url, account, realm, resolver, key_version, sealed, created) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)`,
			t.Name, string(t.Kind), t.URL, t.Account, t.Realm, t.Resolver, []byte{}, micros(tx.now))
		if err != nil {
			return err
		}
		if err := tx.sealTarget(id, credential); err != nil { // bound to the number that it just got
			return err
		}
		return tx.desk("target.add", targetObject(id), map[string]any{"name": t.Name, "kind": t.Kind, "url": t.URL})
	})
	if err != nil {
		return 0, fmt.Errorf("add target: %w", translate(err))
	}
	return id, nil
}

func (t *tx) sealTarget(id int64, credential secret.Bytes) error {
	row, version, err := t.seal(t.s.targetPlace(id), credential)
	if err != nil {
		return err
	}
	return t.one(token.ErrNotFound, `UPDATE target SET sealed = ?, key_version = ? WHERE id = ?`, row, version, id)
}

// SetTargetCredential implements desk.Targets.
func (s *Store) SetTargetCredential(ctx context.Context, id int64, credential secret.Bytes) error {
	err := s.change(ctx, func(tx *tx) error {
		if err := tx.sealTarget(id, credential); err != nil {
			return err
		}
		return tx.desk("target.credential", targetObject(id), nil)
	})
	if err != nil {
		return fmt.Errorf("set credential of target %d: %w", id, translate(err))
	}
	return nil
}

const targetColumns = `g.id, g.name, g.kind, g.url, g.account, g.realm, g.resolver, g.created`

// targetInto are where targetColumns go; finish is called after the scan.
func targetInto(t *desk.Target) (into []any, finish func()) {
	var created int64
	return []any{&t.ID, &t.Name, &t.Kind, &t.URL, &t.Account, &t.Realm, &t.Resolver, &created}, func() { t.Created = fromMicros(created) }
}

// ListTargets implements desk.Targets.
func (s *Store) ListTargets(ctx context.Context) ([]desk.Target, error) {
	list, err := collect(ctx, s.read, func(row scanner) (t desk.Target, err error) {
		into, finish := targetInto(&t)
		err = row.Scan(into...)
		finish()
		return t, err
	}, `SELECT `+targetColumns+` FROM target g ORDER BY g.name`)
	if err != nil {
		return nil, fmt.Errorf("list targets: %w", translate(err))
	}
	return list, nil
}

// TargetCredential implements desk.Targets.
func (s *Store) TargetCredential(ctx context.Context, id int64) (secret.Bytes, error) {
	var version uint32
	var sealed []byte
	err := s.read.QueryRowContext(ctx, `SELECT key_version, sealed FROM target WHERE id = ?`, id).Scan(&version, &sealed)
	var out secret.Bytes
	if err == nil {
		out, err = s.unseal(s.targetPlace(id), version, sealed)
	}
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("credential of target %d: %w", id, translate(err))
	}
	return out, nil
}

// RemoveTarget implements desk.Targets. A token may be valid there unless the target never confirmed it and nothing is on its way,
// or it confirmed that it is disabled.
func (s *Store) RemoveTarget(ctx context.Context, id int64, force bool) error {
	err := s.change(ctx, func(tx *tx) error {
		var name string
		if err := tx.QueryRow(`SELECT name FROM target WHERE id = ?`, id).Scan(&name); err != nil {
			return err
		}
		live := 0
		err := tx.QueryRow(`SELECT count(*) FROM push WHERE target = ? AND done <> 'disabled' AND (enrolled = 1 OR doubt > ?)`, id, micros(tx.now)).Scan(&live)
		if err != nil {
			return err
		}
		if live > 0 && !force {
			return &desk.LiveError{Target: name, Tokens: live}
		}
		if _, err := tx.Exec(`DELETE FROM push WHERE target = ?`, id); err != nil {
			return err
		}
		if err := tx.one(token.ErrNotFound, `DELETE FROM target WHERE id = ?`, id); err != nil {
			return err
		}
		return tx.desk("target.remove", targetObject(id), map[string]any{"name": name, "live": live, "forced": force})
	})
	if err != nil {
		return fmt.Errorf("remove target %d: %w", id, translate(err))
	}
	return nil
}
