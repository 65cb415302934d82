package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// rekeyBatch is how many rows one transaction seals anew: servers wait for it.
const rekeyBatch = 100

// Rekeyed is what a change of the sealing key did.
type Rekeyed struct {
	Version uint32 `json:"version"` // that seals now
	Sealed  int    `json:"sealed"`  // rows that were sealed anew
	Broken  int    `json:"broken"`  // rows that do not open, and were left as they are
}

// Rekey seals everything with the newest version of k, the sealing key with its versions of before, while servers run. They must be able to
// read that version. It may be broken off at any time and called again: what is left has the version that it had.
func (s *Store) Rekey(ctx context.Context, k seal.Key, p Progress) (Rekeyed, error) {
	if !k.Marks(s.ring()) {
		return Rekeyed{}, fmt.Errorf("change the sealing key: %w", token.ErrWrongKey)
	}
	s.sealing.Store(&k)
	out := Rekeyed{Version: k.Version()}
	if err := s.rekey(ctx, &out, p); err != nil {
		return out, fmt.Errorf("change the sealing key: %w", translate(err))
	}
	return out, nil
}

func (s *Store) rekey(ctx context.Context, out *Rekeyed, p Progress) error {
	err := s.change(ctx, func(tx *tx) error { return tx.beginRekey(out.Version) })
	if err != nil && !errors.Is(err, errUnchanged) {
		return err
	}
	total, err := s.oldRows(ctx, out.Version)
	if err != nil {
		return err
	}
	for _, table := range sealedTables() {
		for after := (rowKey{}); ; {
			var last rowKey
			var sealed, broken int
			err := s.change(ctx, func(tx *tx) (err error) {
				last, sealed, broken, err = tx.rekeyBatch(ctx, table, after)
				if err == nil && sealed == 0 {
					err = errUnchanged
				}
				return err
			})
			if err != nil && !errors.Is(err, errUnchanged) {
				return err
			}
			out.Sealed, out.Broken = out.Sealed+sealed, out.Broken+broken
			p.tell(int64(out.Sealed+out.Broken), total)
			if after = last; last == (rowKey{}) {
				break
			}
		}
	}
	if out.Sealed == 0 {
		return nil
	}
	return s.change(ctx, func(tx *tx) error {
		return tx.desk("store.rekey", "store", map[string]any{"version": out.Version, "sealed": out.Sealed, "broken": out.Broken})
	})
}

// beginRekey makes a version the one that seals, in all processes from now on.
func (t *tx) beginRekey(version uint32) error {
	var now uint32
	if err := t.QueryRow(`SELECT key_version FROM meta WHERE id = 1`).Scan(&now); err != nil {
		return err
	}
	switch {
	case now == version:
		if _, err := t.sealing(); err != nil { // and it is the same one
			return err
		}
		return errUnchanged
	case now > version:
		return fmt.Errorf("the store's sealing key has version %d already: %w", now, token.ErrWrongKey)
	}
	k, ok := t.s.ring().At(version)
	if !ok {
		return seal.ErrOpen
	}
	check, err := k.Check(t.s.random, t.s.id)
	if err != nil {
		return err
	}
	if _, err := t.Exec(`UPDATE meta SET key_version = ?, key_check = ? WHERE id = 1`, version, check); err != nil {
		return err
	}
	return t.desk("store.rekey-begin", "store", map[string]any{"from": now, "version": version})
}

// oldRows counts what is not sealed with a version.
func (s *Store) oldRows(ctx context.Context, version uint32) (n int64, err error) {
	var parts []string
	for _, t := range sealedTables() {
		parts = append(parts, `SELECT count(*) AS n FROM `+t+` WHERE key_version <> ?1`)
	}
	err = s.read.QueryRowContext(ctx, `SELECT sum(n) FROM (`+strings.Join(parts, ` UNION ALL `)+`) AS old`, version).Scan(&n)
	return n, err
}

// OldSealed is how many rows need another version of the sealing key than the one that seals, and which that is.
func (s *Store) OldSealed(ctx context.Context) (rows int64, version uint32, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT key_version FROM meta WHERE id = 1`).Scan(&version)
	if err == nil {
		rows, err = s.oldRows(ctx, version)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count old rows: %w", translate(err))
	}
	return rows, version, nil
}

// rowKey is the primary key of a row of a sealed table; what is "" but for secrets and escrow.
type rowKey struct {
	id   int64
	what string
}

// rekeyBatch seals rows behind after anew, and says which was the last; the zero key if there are no more.
func (t *tx) rekeyBatch(ctx context.Context, table string, after rowKey) (last rowKey, sealed, broken int, err error) {
	k, err := t.sealing()
	if err != nil {
		return last, 0, 0, err
	}
	text, args := `SELECT id, '' FROM `+table+` WHERE key_version <> ? AND id > ? ORDER BY id LIMIT ?`, []any{k.Version(), after.id, rekeyBatch}
	switch table {
	case "escrow":
		text = `SELECT id, what FROM escrow WHERE key_version <> ? AND id > ? ORDER BY id LIMIT ?`
	case "secret":
		text = `SELECT credential, what FROM secret WHERE key_version <> ? AND (credential, what) > (?, ?) ORDER BY credential, what LIMIT ?`
		args = []any{k.Version(), after.id, after.what, rekeyBatch}
	}
	list, err := collect(ctx, t, func(row scanner) (r rowKey, err error) { return r, row.Scan(&r.id, &r.what) }, text, args...)
	if err != nil {
		return last, 0, 0, err
	}
	for _, r := range list {
		err := t.rekeyRow(ctx, table, r)
		switch {
		case errors.Is(err, seal.ErrOpen):
			broken++
		case err != nil:
			return last, 0, 0, err
		default:
			sealed++
		}
		last = r
	}
	return last, sealed, broken, nil
}

// freshen seals one row with the version that seals now, unless it is.
func (t *tx) freshen(ctx context.Context, table string, id int64) error {
	k, err := t.sealing()
	if err != nil {
		return err
	}
	var version uint32
	err = t.QueryRowContext(ctx, `SELECT key_version FROM `+table+` WHERE id = ?`, id).Scan(&version)
	if isNotFound(err) {
		return nil // who reads it says so
	}
	if err != nil || version == k.Version() {
		return err
	}
	return t.rekeyRow(ctx, table, rowKey{id: id})
}

// sealedPart is a column with a sealed secret, and its place.
type sealedPart struct {
	column string
	place  seal.Place
}

// rekeyRow seals all secrets of a row anew. seal.ErrOpen: one of them does not open, and nothing was changed.
func (t *tx) rekeyRow(ctx context.Context, table string, r rowKey) error {
	where, key, number := `id = ?`, []any{r.id}, `0`
	switch table {
	case "secret":
		where, key = `credential = ? AND what = ?`, []any{r.id, r.what}
	case "client", "radius":
		number = `key_number`
	}
	var version uint32
	var n int64
	if err := t.QueryRowContext(ctx, `SELECT key_version, `+number+` FROM `+table+` WHERE `+where, key...).Scan(&version, &n); err != nil {
		return err
	}
	var set []string
	var values []any
	for _, part := range t.s.sealedParts(table, r, n) {
		var row []byte
		if err := t.QueryRowContext(ctx, `SELECT `+part.column+` FROM `+table+` WHERE `+where, key...).Scan(&row); err != nil {
			return err
		}
		if len(row) == 0 {
			continue
		}
		plain, err := t.s.unseal(part.place, version, row)
		if err != nil {
			return err
		}
		again, _, err := t.seal(part.place, plain)
		plain.Destroy()
		if err != nil {
			return err
		}
		set, values = append(set, part.column+" = ?"), append(values, again)
	}
	k, err := t.sealing()
	if err != nil {
		return err
	}
	set, values = append(set, "key_version = ?"), append(values, k.Version())
	return t.one(token.ErrConflict, `UPDATE `+table+` SET `+strings.Join(set, ", ")+` WHERE `+where, append(values, key...)...)
}

// sealedParts are the sealed columns of a row; n is the number of its newer key.
func (s *Store) sealedParts(table string, r rowKey, n int64) []sealedPart {
	switch table {
	case "secret":
		return []sealedPart{{"sealed", s.credentialPlace(token.CredentialID(r.id), seal.What(r.what))}}
	case "client":
		return []sealedPart{{"sealed", s.clientPlace(r.id, n)}, {"former_sealed", s.clientPlace(r.id, n-1)}}
	case "radius":
		return []sealedPart{{"sealed", s.devicePlace(r.id, n)}, {"former_sealed", s.devicePlace(r.id, n-1)}, {"upstream_sealed", s.devicePlace(r.id, upstreamNumber)}}
	}
	if table == "escrow" {
		return []sealedPart{{"sealed", s.escrowPlace(r.id, token.EscrowKind(r.what))}}
	}
	return []sealedPart{{"sealed", s.targetPlace(r.id)}}
}
