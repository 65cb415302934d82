package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// A file of a schema that was released is never changed: the store keeps its checksum. There is no way back: an older program
// refuses a newer store.

type migration struct {
	version  int
	name     string
	text     string
	checksum string // SHA-256 in hexadecimal
}

func migrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var out []migration
	for i, n := range names {
		text, err := fs.ReadFile(files, n)
		if err != nil {
			return nil, err
		}
		number, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(n, "migrations/"), ".sql"), "_")
		if v, err := strconv.Atoi(number); err != nil || v != i+1 {
			return nil, fmt.Errorf("migration %s is out of sequence", n)
		}
		sum := sha256.Sum256(text)
		out = append(out, migration{i + 1, name, string(text), hex.EncodeToString(sum[:])})
	}
	return out, nil
}

// version checks what was applied against what is known: token.ErrNewer when there is more, token.ErrIntegrity when it differs.
// A database without the table is at version 0 if it is empty, otherwise it is none of ours.
func (s *Store) version(ctx context.Context) (int, error) {
	known, err := migrations(s.backend.Migrations())
	if err != nil {
		return 0, err
	}
	ours, some, err := s.backend.Schema(ctx)
	if err != nil {
		return 0, err
	}
	if !ours {
		if some {
			return 0, fmt.Errorf("%w: not a tokendesk database", token.ErrIntegrity)
		}
		return 0, nil
	}
	rows, err := s.write.QueryContext(ctx, `SELECT version, checksum FROM migration ORDER BY version`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	at := 0
	for rows.Next() {
		var v int
		var sum string
		if err := rows.Scan(&v, &sum); err != nil {
			return 0, err
		}
		at++
		switch {
		case v > len(known):
			return 0, fmt.Errorf("%w: schema %d, this program knows %d", token.ErrNewer, v, len(known))
		case v != at || sum != known[v-1].checksum:
			return 0, fmt.Errorf("%w: migration %d is not the known one", token.ErrIntegrity, v)
		}
	}
	return at, rows.Err()
}

// migrate applies what is missing, each step in a transaction of its own, also when several processes try at once.
func (s *Store) migrate(ctx context.Context) error {
	known, err := migrations(s.backend.Migrations())
	if err != nil {
		return err
	}
	at, err := s.version(ctx)
	if err != nil {
		return err
	}
	for _, m := range known[at:] {
		if err := s.apply(ctx, m); err != nil {
			return fmt.Errorf("migration %d: %w", m.version, err)
		}
	}
	return nil
}

func (s *Store) apply(ctx context.Context, m migration) error {
	raw, err := s.backend.BeginSchema(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Rollback() }() // after the commit there is nothing to roll back
	t := transaction{raw, s.backend}
	done, err := t.Exec(`INSERT INTO migration (version, name, checksum, applied) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		m.version, m.name, m.checksum, micros(s.now()))
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 { // another process was faster
		return err
	}
	if err := t.script(m.text); err != nil {
		return err
	}
	return raw.Commit()
}
