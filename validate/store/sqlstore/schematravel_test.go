package sqlstore

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

// TestNoTableStaysBehind: whoever adds a table says what becomes of it in a backup, and one with sealed columns in a change of the key.
func TestNoTableStaysBehind(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	made := []string{"migration", "sqlite_sequence", "person_word", "token_word", "word_due"} // of the database, or made anew
	var travels []string
	now, _, err := schema()
	must(t, err)
	for _, table := range tablesAt(now) {
		travels = append(travels, table.name)
	}
	tables, err := collect(t.Context(), s.read, func(r scanner) (n string, err error) { return n, r.Scan(&n) }, `SELECT name FROM sqlite_schema WHERE type = 'table'`)
	must(t, err)
	for _, table := range tables {
		if slices.Contains(made, table) == slices.Contains(travels, table) {
			t.Errorf("table %s is in no backup", table)
		}
		columns, err := columnsOf(t.Context(), s.read, table)
		must(t, err)
		if sealed := slices.Contains(columns, "key_version") && table != "meta"; sealed != slices.Contains(sealedTables(), table) {
			t.Errorf("table %s is not sealed anew", table)
		}
		if !slices.Contains(sealedTables(), table) {
			continue
		}
		for _, column := range columns {
			named := slices.ContainsFunc(s.sealedParts(table, rowKey{what: "aes-key"}, 1), func(p sealedPart) bool { return p.column == column })
			if sealed := bytes.Contains([]byte(column), []byte("sealed")); sealed != named {
				t.Errorf("column %s of %s is not sealed anew", column, table)
			}
		}
	}
	if len(tables) != len(travels)+len(made) {
		t.Errorf("%d tables, %d known", len(tables), len(travels)+len(made))
	}
}

// as writes a backup anew with another header.
func as(t *testing.T, text []byte, keys Keys, change func(*backup.Header)) []byte {
	t.Helper()
	r, err := backup.NewReader(bytes.NewReader(text), keys.Signing.Public())
	must(t, err)
	h := r.Header
	change(&h)
	var out bytes.Buffer
	w, err := backup.NewWriter(&out, h)
	must(t, err)
	for {
		table, err := r.Table()
		if err == io.EOF {
			break
		}
		must(t, err)
		must(t, w.Begin(table))
		for {
			row, err := r.Row()
			if err == io.EOF {
				break
			}
			must(t, err)
			must(t, w.Row(row))
		}
		_, err = w.End()
		must(t, err)
	}
	must(t, w.Close(keys.Signing))
	return out.Bytes()
}

// TestRestoreOtherSchemas: a backup of an older schema is brought forward in a directory, and refused by PostgreSQL; one of a newer schema, or
// of tables that no version had, is refused.
func TestRestoreOtherSchemas(t *testing.T) {
	t.Parallel()
	known, err := migrations(sqlite.Migrations())
	must(t, err)
	before := 15 // the last without profiles
	dir := t.TempDir()
	keys := drawKeys(t, dir)
	b, err := sqlite.Create(dir)
	must(t, err)
	s, err := newStore(b, keys, options())
	must(t, err)
	for _, m := range known[:before] {
		must(t, s.apply(t.Context(), m))
	}
	must(t, s.begin(t.Context()))
	var out bytes.Buffer
	_, err = s.dumpAt(t.Context(), &out, nil, before, schemaSum(known[:before]))
	must(t, err)
	must(t, b.Close())
	older := out.Bytes()
	where := t.TempDir()
	if _, err := Restore(t.Context(), where, keys, options(), bytes.NewReader(older), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	back := place{where, keys}.openStore(t)
	if at, err := back.version(t.Context()); err != nil || at != len(known) {
		t.Errorf("schema %d, %v", at, err)
	}
	verifyAudit(t, back)
	var schema *SchemaError
	if _, err := Restore(t.Context(), pgtest.Shared(t).NewDatabase(t), keys, options(), bytes.NewReader(older), RestoreOptions{}); !errors.As(err, &schema) || schema.Has != before {
		t.Errorf("into PostgreSQL: %v", err)
	}
	newer := as(t, out.Bytes(), keys, func(h *backup.Header) { h.Schema = len(known) + 1 })
	if _, err := Restore(t.Context(), t.TempDir(), keys, options(), bytes.NewReader(newer), RestoreOptions{}); !errors.As(err, &schema) || schema.Has != len(known)+1 {
		t.Errorf("newer: %v", err)
	}
	for name, change := range map[string]func(*backup.Header){
		"another sum": func(h *backup.Header) { h.Schema, h.Sum = before, "00" },
		"another store's name": func(h *backup.Header) {
			h.Schema, h.Sum, h.Store = before, schemaSum(known[:before]), "00112233445566778899aabbccddeeff"
		},
		"no store's name": func(h *backup.Header) { h.Schema, h.Sum, h.Store = before, schemaSum(known[:before]), "x" },
		"an unknown table": func(h *backup.Header) {
			h.Schema, h.Sum, h.Last = before, schemaSum(known[:before]), map[string]int64{"audit": 1}
		},
	} {
		if _, err := Restore(t.Context(), t.TempDir(), keys, options(), bytes.NewReader(as(t, out.Bytes(), keys, change)), RestoreOptions{}); !errors.Is(err, backup.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLockCodesMove: a lock code of schema 20, which had a table for them, opens after the migration, also out of a backup of that schema, and its
// number is not used again.
func TestLockCodesMove(t *testing.T) {
	t.Parallel()
	known, err := migrations(sqlite.Migrations())
	must(t, err)
	const before = 20
	dir := t.TempDir()
	keys := drawKeys(t, dir)
	b, err := sqlite.Create(dir)
	must(t, err)
	s, err := newStore(b, keys, options())
	must(t, err)
	for _, m := range known[:before] {
		must(t, s.apply(t.Context(), m))
	}
	must(t, s.begin(t.Context()))
	code := secret.Copy([]byte("sixteen bytes it"))
	must(t, s.change(t.Context(), func(tx *tx) error {
		row, version, err := tx.seal(seal.Place{Store: s.id, Owner: "lockcode", ID: 4, What: "lock-code"}, code)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO lockcode (id, serial, held, key_version, sealed, created) VALUES (9, 7, 0, 1, ?, 0)`, row) // does not open
		if err == nil {
			_, err = tx.Exec(`DELETE FROM lockcode WHERE id = 9`)
		}
		if err == nil {
			_, err = tx.Exec(`INSERT INTO lockcode (id, serial, held, key_version, sealed, created) VALUES (4, 7, 1, ?, ?, 5000000)`, version, row)
		}
		return err
	}))
	var out bytes.Buffer
	_, err = s.dumpAt(t.Context(), &out, nil, before, schemaSum(known[:before]))
	must(t, err)
	must(t, b.Close())
	where := t.TempDir()
	_, err = Restore(t.Context(), where, keys, options(), bytes.NewReader(out.Bytes()), RestoreOptions{})
	must(t, err)
	for name, dir := range map[string]string{"migrated": dir, "restored": where} {
		s := place{dir, keys}.openStore(t)
		list, err := s.Escrows(t.Context(), 7, token.LockCode)
		if err != nil || len(list) != 1 || list[0].ID != 4 || !list[0].Held || list[0].Created.Unix() != 5 || string(list[0].Secret.Reveal()) != "sixteen bytes it" {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
		if id, err := s.KeepEscrow(t.Context(), 7, token.LockCode, code); err != nil || id != 10 {
			t.Errorf("%s: number %d, want 10; %v", name, id, err)
		}
		verifyAudit(t, s)
	}
}
