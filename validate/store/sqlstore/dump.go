package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

// storedTable is a table that travels with the store.
type storedTable struct {
	name   string
	number bool   // it numbers its rows by itself
	order  string // in which its rows are read; "" for any
}

// storedTables are all that any schema had, but migration, which each database has of its own, and those of words, which are made anew. What a row
// refers to comes before it.
func storedTables() []storedTable {
	return []storedTable{
		{"meta", false, ""}, {"person", true, ""}, {"person_group", false, ""}, {"token", true, ""}, {"client", true, ""}, {"radius", true, ""},
		{"operator", true, ""}, {"profile", true, ""}, {"session", false, ""}, {"credential", true, ""}, {"secret", false, ""}, {"counter", false, ""},
		{"ledger", true, ""}, {"slot_change", true, ""}, {"batch", true, ""}, {"batch_item", false, ""}, {"put_aside", true, ""}, {"receipt", false, ""}, {"shipment", true, ""}, {"station", true, ""}, {"station_grant", false, ""}, {"journal_entry", false, ""}, {"lockcode", true, ""}, {"escrow", true, ""}, {"attestation", false, ""}, {"attestation_rule", false, ""}, {"certificate", true, ""}, {"target", true, ""}, {"push", true, ""}, {"code", true, ""}, {"browser", true, ""}, {"activation", true, ""},
		{"notice", true, ""}, {"throttle", false, ""}, {"attempt", false, ""}, {"audit_head", false, ""},
		{"audit", false, "CASE WHEN chain = '" + audit.Desk + "' THEN 0 ELSE 1 END, chain, seq"}, // as audit.Verify wants them
	}
}

// since are the schemas with which tables came that the first one did not have.
func since() map[string]int {
	return map[string]int{"profile": 16, "batch": 17, "batch_item": 17, "put_aside": 17, "receipt": 18, "shipment": 18, "station": 18, "station_grant": 18, "journal_entry": 18, "slot_change": 19, "lockcode": 20, "escrow": 21, "attestation": 23, "attestation_rule": 23, "certificate": 24}
}

// until are the last schemas that had tables which the newest does not have.
func until() map[string]int { return map[string]int{"lockcode": 20} }

// hasTable reports whether a schema has a table.
func hasTable(schema int, table string) bool {
	last, went := until()[table]
	return since()[table] <= schema && (!went || schema <= last)
}

// tablesAt are those of a schema that is not newer than schema(): a backup of it has no others.
func tablesAt(schema int) []storedTable {
	return slices.DeleteFunc(storedTables(), func(t storedTable) bool { return !hasTable(schema, t.name) })
}

// numberedAt are the tables of a schema that number their rows.
func numberedAt(schema int) []string {
	var out []string
	for _, t := range tablesAt(schema) {
		if t.number {
			out = append(out, t.name)
		}
	}
	return out
}

// sealedTables are the tables with sealed columns; key_version says of all of a row what sealed them.
func sealedTables() []string { return []string{"secret", "client", "radius", "target", "escrow"} }

// schema is the number of the schema that all kinds of database have, and a checksum of what it is: SQLite's migrations.
func schema() (number int, sum string, err error) {
	known, err := migrations(sqlite.Migrations())
	if err != nil {
		return 0, "", err
	}
	return len(known), schemaSum(known), nil
}

func schemaSum(known []migration) string {
	h := sha256.New()
	for _, m := range known {
		_, _ = io.WriteString(h, m.checksum+"\n") // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// columnsOf are a table's columns, sorted.
func columnsOf(ctx context.Context, q querier, table string) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT * FROM `+table+` WHERE 1 = 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	slices.Sort(names)
	return names, err
}

// eachRow calls f with every row of a table. The values are f's to keep.
func eachRow(ctx context.Context, q querier, t storedTable, columns []string, f func([]backup.Value) error) error {
	text := `SELECT ` + strings.Join(columns, ", ") + ` FROM ` + t.name
	if t.order != "" {
		text += ` ORDER BY ` + t.order
	}
	rows, err := q.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	into := make([]any, len(columns))
	for rows.Next() {
		row := make([]backup.Value, len(columns))
		for i := range row {
			into[i] = (*any)(&row[i])
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Progress is told how many of how many rows were moved. It may be called often.
type Progress func(rows, total int64)

func (p Progress) tell(rows, total int64) {
	if p != nil {
		p(rows, total)
	}
}

// dump writes the whole store, as it is in one transaction.
func (s *Store) dump(ctx context.Context, w io.Writer, p Progress) (backup.Header, error) {
	number, sum, err := schema()
	if err != nil {
		return backup.Header{}, err
	}
	return s.dumpAt(ctx, w, p, number, sum)
}

// dumpAt is dump for a database of that schema.
func (s *Store) dumpAt(ctx context.Context, w io.Writer, p Progress, number int, sum string) (h backup.Header, err error) {
	raw, err := s.backend.BeginRead(ctx)
	if err != nil {
		return h, err
	}
	defer func() { _ = raw.Rollback() }() // it only reads
	q := transaction{raw, s.backend}
	if h, err = s.header(ctx, raw, number, sum); err != nil {
		return h, err
	}
	out, err := backup.NewWriter(w, h)
	if err != nil {
		return h, err
	}
	done := int64(0)
	for _, t := range tablesAt(h.Schema) {
		columns, err := columnsOf(ctx, q, t.name)
		if err == nil {
			err = out.Begin(backup.Table{Name: t.name, Columns: columns})
		}
		if err == nil {
			err = eachRow(ctx, q, t, columns, func(row []backup.Value) error {
				if done++; done%1000 == 0 {
					p.tell(done, h.Rows)
				}
				return out.Row(row)
			})
		}
		if err == nil {
			_, err = out.End()
		}
		if err != nil {
			return h, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return h, out.Close(s.keys.Signing)
}

// header is what a backup says of itself, by a transaction on a database of that schema.
func (s *Store) header(ctx context.Context, raw *sql.Tx, number int, sum string) (backup.Header, error) {
	q := transaction{raw, s.backend}
	h := backup.Header{Store: hex.EncodeToString(s.id[:]), At: s.now().UTC(), Database: s.database(), Schema: number, Sum: sum}
	if err := q.QueryRowContext(ctx, `SELECT epoch FROM meta WHERE id = 1`).Scan(&h.Epoch); err != nil {
		return h, err
	}
	var hash []byte
	if err := q.QueryRowContext(ctx, `SELECT seq, hash FROM audit_head WHERE chain = ?`, audit.Desk).Scan(&h.Desk.Seq, &hash); err != nil {
		return h, err
	}
	copy(h.Desk.Hash[:], hash)
	var err error
	if h.Keys, err = keyVersions(ctx, q, h.Schema); err != nil {
		return h, err
	}
	for _, t := range tablesAt(h.Schema) {
		var n int64
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM `+t.name).Scan(&n); err != nil {
			return h, err
		}
		h.Rows += n
	}
	h.Last, err = s.backend.Numbers(ctx, raw, numberedAt(h.Schema))
	return h, err
}

// keyVersions are those of the sealing key that rows are sealed with, in order, in a database of that schema.
func keyVersions(ctx context.Context, q querier, schema int) ([]uint32, error) {
	var parts []string
	for _, t := range append(sealedTables(), "lockcode") {
		if hasTable(schema, t) {
			parts = append(parts, `SELECT key_version FROM `+t)
		}
	}
	return collect(ctx, q, func(row scanner) (v uint32, err error) { return v, row.Scan(&v) },
		`SELECT key_version FROM meta UNION `+strings.Join(parts, ` UNION `)+` ORDER BY 1`)
}
