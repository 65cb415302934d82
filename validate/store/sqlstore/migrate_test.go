package sqlstore

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// TestMigrateFromFirst: a store of the first version gets the new tables and keeps what it has.
func TestMigrateFromFirst(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	id := harness{s, s}.Add(t, storetest.Sample(1, token.Active))
	first := place{firstVersion(t, s, p.dir), p.keys}
	again := first.openStore(t)
	if _, err := again.AddTarget(t.Context(), push.Server{Name: "a"}, secret.Copy([]byte("x"))); err != nil {
		t.Error(err)
	}
	if c, err := again.Find(t.Context(), storetest.Sample(1, "").PublicID); err != nil || c.ID != id {
		t.Errorf("%+v, %v", c, err)
	}
	r := sampleRecord(storetest.Sample(1, "")) // is known again by the mark that it gets now
	r.PublicID = storetest.Sample(2, "").PublicID
	if got, err := again.Preview(t.Context(), []keyfile.Record{r}); err != nil || got[0].Outcome != desk.Different {
		t.Errorf("%+v, %v", got, err)
	}
}

// firstVersion writes the rows of a store, as far as version 1 has columns for them, into a database of that version, and returns
// its directory.
func firstVersion(t *testing.T, s *Store, dir string) string {
	t.Helper()
	known, err := migrations(sqlite.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(to, FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // ATTACH belongs to one connection
	run := func(text string, args ...any) {
		t.Helper()
		if _, err := db.Exec(text, args...); err != nil {
			t.Fatal(err)
		}
	}
	run(known[0].text)
	run(`CREATE TABLE migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied INTEGER NOT NULL) STRICT`)
	run(`INSERT INTO migration (version, name, checksum, applied) VALUES (1, ?, ?, 0)`, known[0].name, known[0].checksum)
	run(`ATTACH ? AS full`, filepath.Join(dir, FileName))
	tables, err := collect(t.Context(), db, func(r scanner) (row [2]string, err error) { return row, r.Scan(&row[0], &row[1]) },
		`SELECT t.name, group_concat(c.name, ', ') FROM main.sqlite_schema t, pragma_table_info(t.name) c
		 WHERE t.type = 'table' AND t.name NOT IN ('migration', 'sqlite_sequence') GROUP BY t.name`)
	if err != nil || len(tables) < 9 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	run(`PRAGMA foreign_keys = OFF`)
	for _, row := range tables {
		columns := strings.TrimSpace(row[1])
		run(fmt.Sprintf(`INSERT INTO main.%s (%s) SELECT %s FROM full.%s`, row[0], columns, columns, row[0]))
	}
	return to
}
