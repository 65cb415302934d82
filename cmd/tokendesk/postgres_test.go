package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
)

// ofFiles are the scripts about the files of a store.
var ofFiles = []string{"init", "store", "store-bad", "doctor"}

// TestScriptOnPostgres runs the scripts once more, each with a store in a database of its own.
func TestScriptOnPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	p := scriptParams(func(e *testscript.Env) error {
		e.Setenv(storeVariable, server.NewDatabase(t))
		return nil
	})
	files, err := filepath.Glob(filepath.Join(p.Dir, "*.txtar"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, f := range files {
		if !slices.Contains(ofFiles, strings.TrimSuffix(filepath.Base(f), ".txtar")) {
			p.Files = append(p.Files, f)
		}
	}
	p.Dir = ""
	testscript.Run(t, p)
}

// remote gives a rig a store in PostgreSQL.
func (r *rig) remote(where string) {
	r.environ = func(name string) string { return map[string]string{storeVariable: where}[name] }
}

// TestPostgresProblems: one line says what is wrong with a store in PostgreSQL, and how to go on; no password is in it.
func TestPostgresProblems(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	r := newRig(t, 2)
	good := server.NewDatabase(t)
	r.remote(good)
	r.must("init")
	r.must("doctor")
	change := func(database string, statements ...string) string {
		c, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(t.Context()) }()
		for _, text := range statements {
			if _, err := c.Exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		return database
	}
	made := func(statements ...string) string { // a store of the same keys
		where := server.NewDatabase(t)
		name := strings.TrimPrefix(mustParse(t, where).Path, "/")
		change(server.URL("postgres"), `DROP DATABASE `+name, `CREATE DATABASE `+name+` TEMPLATE `+strings.TrimPrefix(mustParse(t, good).Path, "/"))
		return change(where, statements...)
	}
	with := func(where string, f func(u *url.URL)) string {
		u := mustParse(t, where)
		f(u)
		return u.String()
	}
	for name, tc := range map[string]struct {
		where string
		code  exitCode
		want  []string
	}{
		"nobody listens": {with(good, func(u *url.URL) { u.Host = "127.0.0.1:1" }), exitError, []string{"does not answer", "cause: "}},
		"no host":        {"postgres://a@nowhere.invalid/x", exitError, []string{"does not answer"}},
		"no database":    {server.URL("nothing"), exitNotFound, []string{"there is no database postgres://postgres@127.0.0.1", "createdb"}},
		"no user":        {with(good, func(u *url.URL) { u.User = url.UserPassword("nobody", "hunter2") }), exitError, []string{"refuses this user", "PGPASSFILE"}},
		"no URL":         {"postgres://a:hunter2@[/x", exitUsage, []string{"is not a URL"}},
		"empty":          {server.NewDatabase(t), exitNotFound, []string{"there is no store in postgres://", "tokendesk init"}},
		"of others":      {change(server.NewDatabase(t), `CREATE TABLE fruit (name TEXT)`), exitIntegrity, []string{"no store of tokendesk", "search_path"}},
		"alike":          {change(server.NewDatabase(t), `CREATE TABLE migration (n TEXT)`), exitIntegrity, []string{"no store of tokendesk"}},
		"newer":          {made(`INSERT INTO migration VALUES (99, 'later', '', 0)`), exitError, []string{"use the newer tokendesk"}},
		"other keys":     {made(`UPDATE meta SET store_id = decode('000102030405060708090a0b0c0d0e0f', 'hex')`), exitIntegrity, []string{"do not belong", "--key FILE"}},
		"read-only":      {with(made(), func(u *url.URL) { u.RawQuery += "&default_transaction_read_only=on" }), exitError, []string{"is read-only", "target_session_attrs"}},
		"no rights":      {with(made(`CREATE ROLE guest LOGIN`), func(u *url.URL) { u.User = url.User("guest") }), exitError, []string{"may not use the tables", "grant"}},
	} {
		t.Run(name, func(t *testing.T) {
			r.err.Reset()
			r.remote(tc.where)
			code := r.run("person", "add", "ada")
			got := r.err.String()
			if code != tc.code {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, got)
			}
			for _, w := range tc.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q is not in: %s", w, got)
				}
			}
			if strings.Contains(got, "hunter2") || strings.Count(got, "\ntokendesk:") > 0 {
				t.Errorf("said: %s", got)
			}
		})
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestPasswordsInFlags: a password in --store is refused before it is used, and not repeated; in the environment it is taken.
func TestPasswordsInFlags(t *testing.T) {
	t.Parallel()
	where := pgtest.Shared(t).NewDatabase(t)
	for _, text := range []string{
		strings.Replace(where, "postgres@", "postgres:hunter2@", 1), where + "&password=hunter2", where + "&sslpassword=hunter2",
	} {
		r := newRig(t, 2)
		if code := r.run("init", "--store", text); code != exitUsage || strings.Contains(r.err.String(), "hunter2") || !strings.Contains(r.err.String(), "PGPASSFILE") {
			t.Errorf("%d: %s", code, r.err.String())
		}
		if _, err := os.Stat(r.dataDir); err == nil {
			t.Error("something was made")
		}
	}
	r := newRig(t, 2)
	r.remote(strings.Replace(where, "postgres@", "postgres:hunter2@", 1)) // this server asks for none
	r.must("init")
	r.must("doctor")
	if code := r.run("init"); code != exitRefused {
		t.Errorf("again: %d", code)
	}
	if strings.Contains(r.err.String()+r.out.String(), "hunter2") {
		t.Errorf("said: %s%s", r.out.String(), r.err.String())
	}
	r.must("person", "add", "ada", "--store", where)
}
