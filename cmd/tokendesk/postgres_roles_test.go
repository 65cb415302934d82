package main

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
)

// TestPostgresRoles takes the statements that README.md gives to the administrator of the database, and lets a server work as a role
// that cannot change the tables.
func TestPostgresRoles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Several servers on PostgreSQL\n")
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of SQL in the section", len(blocks))
	}
	server := pgtest.StartWith(t, pgtest.Options{Fast: true}) // roles are the server's
	run := func(where, statements string) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), where)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(t.Context()) }()
		for _, text := range strings.Split(strings.TrimSpace(statements), ";\n") {
			if _, err := c.Exec(t.Context(), text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	}
	as := func(role string) string {
		u := mustParse(t, server.URL("tokendesk"))
		u.User = url.User(role)
		return u.String()
	}
	run(server.URL("postgres"), blocks[0][1])
	r := newRig(t, 2)
	r.remote(as("tokendesk"))
	r.must("init")
	run(as("tokendesk"), blocks[1][1])
	r.remote(as("tokendesk_server"))
	r.must("person", "add", "ada", "--name", "Ada Lovelace")
	r.must("provision", "--slot", "2", "--to", "ada")
	r.stdin = strings.NewReader(r.typed(2))
	r.must("verify")
	r.must("token", "block", "ada", "--reason", "lost")
	r.must("client", "add", "vpn")
	r.must("audit", "verify")
	r.must("doctor")
	c, err := pgx.Connect(t.Context(), as("tokendesk_server"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	for _, text := range []string{`DROP TABLE audit`, `UPDATE audit SET actor = 'x'`, `DELETE FROM audit`, `CREATE TABLE x (n INT)`, `TRUNCATE counter`, `UPDATE migration SET checksum = ''`} {
		if _, err := c.Exec(t.Context(), text); err == nil {
			t.Errorf("a server may: %s", text)
		}
	}
}
