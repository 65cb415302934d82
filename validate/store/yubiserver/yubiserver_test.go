package yubiserver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// schema is that of yubiserver.sqlite.init, yubiserver 0.6.
const schema = `
CREATE TABLE yubikeys(
 nickname varchar(16) unique not null,
 publicname varchar(16) unique not null,
 created varchar(24) not null,
 internalname varchar(12) not null,
 aeskey varchar(32) not null,
 active boolean default true,
 counter integer not null default 1,
 time integer not null default 1
);
CREATE TABLE oathtokens(
 nickname varchar(16) unique not null,
 publicname varchar(12) unique not null,
 created varchar(24) not null,
 secret varchar(40) not null,
 active boolean default true,
 counter integer not null default 1
);
CREATE TABLE apikeys(
 nickname varchar(16),
 secret varchar(28),
 id integer primary key
);`

// content is what yubiserver-admin made of commands of these values, and what was there after an OTP and some codes.
const content = `
INSERT INTO yubikeys VALUES ('carol', 'vvcccccccccb', '2026-11-22T03:59:22.866Z', '587501bcf859', 'd27aa807a7aceec8b61187d5497b509d', 1, 256, 1000);
INSERT INTO yubikeys VALUES ('dave', 'cccccccccccd', '2026-11-22T03:59:22.873Z', '0a0b0c0d0e0f', '00112233445566778899AABBCCDDEEFF', 0, 1, 1);
INSERT INTO oathtokens VALUES ('alice', 'ubhe12345678', '2026-11-22T03:59:22.834Z', '3132333435363738393031323334353637383930', 1, 8);
INSERT INTO apikeys VALUES ('mail', '12345678901234567890', 1);
INSERT INTO apikeys VALUES (NULL, 'abc', 4);`

// file makes a database of statements.
func file(t testing.TB, statements string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "yubi server?.sqlite")
	db, err := sql.Open("sqlite", strings.ReplaceAll(strings.ReplaceAll("file:"+filepath.ToSlash(path), " ", "%20"), "?", "%3f"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func all[T any](rows iter.Seq2[T, error]) (out []T, errs []error) {
	for v, err := range rows {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, v)
	}
	return out, errs
}

func mustOpen(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestRead(t *testing.T) {
	t.Parallel()
	path := file(t, schema+content)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, path)
	keys, errs := all(f.Keys(t.Context()))
	if len(errs) > 0 || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), errs)
	}
	carol, dave := keys[0], keys[1]
	if !carol.Active || carol.Line != 1 || carol.PublicID.String() != "vvcccccccccb" || carol.Use != 1 || carol.Session != 0 || carol.Timestamp != 1000 ||
		carol.Key.Label != "carol" || carol.Key.Owner != "carol" || carol.Key.PublicID != carol.PublicID || carol.Key.Key.Len() != 16 || carol.Key.PrivateID.Len() != 6 ||
		!carol.Key.Created.Equal(time.Date(2026, 11, 22, 3, 59, 22, 0, time.UTC)) {
		t.Errorf("%+v %+v", carol, *carol.Key)
	}
	if dave.Active || dave.Use != 0 || dave.Session != 1 || !dave.Key.Key.Equal(sample.Hex("00112233445566778899aabbccddeeff")) {
		t.Errorf("%+v", dave)
	}
	tokens, errs := all(f.Tokens(t.Context()))
	if len(errs) > 0 || len(tokens) != 1 || tokens[0].Key.Label != "ubhe12345678" || tokens[0].Key.Owner != "alice" || tokens[0].Key.Counter != 9 || tokens[0].Key.Digits != 6 ||
		string(tokens[0].Key.Key.Reveal()) != "12345678901234567890" || !tokens[0].Active {
		t.Errorf("%+v, %v", tokens, errs)
	}
	clients, errs := all(f.Clients(t.Context()))
	if len(errs) > 0 || len(clients) != 2 || clients[0].ID != 1 || clients[0].Name != "yubiserver 1" || clients[0].Note != "mail" ||
		string(clients[0].Keys[0].Reveal()) != "12345678901234567890" || clients[1].ID != 4 || !clients[1].Active {
		t.Errorf("%+v, %v", clients, errs)
	}
	if n, err := f.Rows(t.Context()); err != nil || n != 5 {
		t.Errorf("%d rows, %v", n, err)
	}
	after, err := os.ReadFile(path)
	names, dirErr := os.ReadDir(filepath.Dir(path))
	if err != nil || dirErr != nil || !bytes.Equal(before, after) || len(names) != 1 {
		t.Errorf("reading left %v beside it, changed %v", names, !bytes.Equal(before, after))
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	good := "INSERT INTO yubikeys VALUES ('a', 'vvcccccccccb', 'x', '587501bcf859', 'd27aa807a7aceec8b61187d5497b509d', 1, 256, 1000);"
	oath := "INSERT INTO oathtokens VALUES ('alice', 'ubhe12345678', '', '3132333435363738393031323334353637383930', 1, 8);"
	for _, tc := range []struct {
		name, base, old, new, field string
		column                      int
	}{
		{"public ID", good, "'vvcccccccccb'", "'vvccccccccca'", "publicname", 2},
		{"public ID a blob", good, "'vvcccccccccb'", "x'00ff'", "publicname", 2},
		{"public ID long", good, "'vvcccccccccb'", "hex(zeroblob(1000000))", "publicname", 2},
		{"private ID", good, "'587501bcf859'", "'587501bcf85'", "internalname", 4},
		{"key", good, "d27a", "z27a", "aeskey", 5},
		{"key short", good, "d27a", "d2", "aeskey", 5},
		{"key a number", good, "'d27aa807a7aceec8b61187d5497b509d'", "7.5", "aeskey", 5},
		{"counter", good, "256", "16777216", "counter", 7},
		{"counter negative", good, "256", "-1", "counter", 7},
		{"counter a text", good, "256", "'many'", "counter", 7},
		{"time", good, "1000)", "16777216)", "time", 8},
		{"name", good, "'a'", "char(7)", "nickname", 1},
		{"HOTP secret", oath, "3132", "31323", "secret", 4},
		{"HOTP secret short", oath, "'3132333435363738393031323334353637383930'", "'31'", "secret", 4},
		{"HOTP counter", oath, ", 8)", ", 9223372036854775807)", "counter", 6},
		{"HOTP name", oath, "'ubhe12345678'", "''", "publicname", 2},
		{"client number", "INSERT INTO apikeys VALUES ('m', 'abc', 4);", "4", "2147483648", "id", 3},
		{"client key", "INSERT INTO apikeys VALUES ('m', 'abc', 4);", "'abc'", "NULL", "secret", 2},
		{"client key empty", "INSERT INTO apikeys VALUES ('m', 'abc', 4);", "'abc'", "''", "secret", 2},
	} {
		if !strings.Contains(tc.base, tc.old) {
			t.Fatalf("%s: nothing to replace", tc.name)
		}
		f := mustOpen(t, file(t, schema+strings.Replace(tc.base, tc.old, tc.new, 1)))
		_, keyErrs := all(f.Keys(t.Context()))
		_, tokenErrs := all(f.Tokens(t.Context()))
		_, clientErrs := all(f.Clients(t.Context()))
		errs := slices.Concat(keyErrs, tokenErrs, clientErrs)
		var bad *keyfile.RowError
		if len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Field != tc.field || bad.Column != tc.column || bad.Line != 1 {
			t.Errorf("%s: %v", tc.name, errs)
		}
	}
}

// TestHostile: files that are none, or are made to have more done than to be read.
func TestHostile(t *testing.T) {
	t.Parallel()
	view := strings.Replace(schema, "CREATE TABLE apikeys(", "CREATE TABLE real_apikeys(", 1) +
		"CREATE VIEW apikeys AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT 'x' AS nickname, 'y' AS secret, id FROM n;"
	virtual := strings.Replace(schema, "CREATE TABLE apikeys(", "CREATE TABLE real_apikeys(", 1) + "CREATE VIRTUAL TABLE apikeys USING fts5(nickname, secret, id);"
	for name, tc := range map[string]struct {
		path string
		want error
	}{
		"missing":          {filepath.Join(t.TempDir(), "none"), fs.ErrNotExist},
		"a directory":      {t.TempDir(), ErrFormat},
		"empty":            {written(t, ""), ErrFormat},
		"a text":           {written(t, strings.Repeat("yubikeys", 100)), ErrFormat},
		"only a head":      {written(t, magic+strings.Repeat("\x00", 200)), ErrBroken},
		"without tables":   {file(t, "CREATE TABLE x(y)"), ErrFormat},
		"a column missing": {file(t, strings.Replace(schema, "aeskey", "deskey", 1)), ErrFormat},
		"a view":           {file(t, view), ErrFormat},
		"a virtual table":  {file(t, virtual), ErrFormat},
	} {
		if _, err := Open(t.Context(), tc.path); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	open := file(t, schema)
	if err := os.WriteFile(open+"-journal", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), open); !errors.Is(err, ErrOpen) {
		t.Errorf("a journal beside it: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, file(t, schema)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestLinked: a journal stands beside the file that a link leads to, not beside the link.
func TestLinked(t *testing.T) {
	t.Parallel()
	path, link := file(t, schema+content), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err) // Windows, without the right
	}
	if keys, errs := all(mustOpen(t, link).Keys(t.Context())); len(keys) != 2 || len(errs) > 0 {
		t.Errorf("%d keys, %v", len(keys), errs)
	}
	if err := os.WriteFile(path+"-journal", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), link); !errors.Is(err, ErrOpen) {
		t.Errorf("a journal beside what it leads to: %v", err)
	}
}

// TestGreedy: an expression in the file may not make values of any size.
func TestGreedy(t *testing.T) {
	t.Parallel()
	made := strings.Replace(schema, " secret varchar(28)", " own varchar(28), secret GENERATED ALWAYS AS (CASE WHEN hex(zeroblob(3000000)) > '' THEN own END)", 1)
	f := mustOpen(t, file(t, made+"INSERT INTO apikeys (nickname, own, id) VALUES ('mail', 'abc', 1);"))
	if _, errs := all(f.Clients(t.Context())); len(errs) != 1 || !errors.Is(errs[0], ErrBroken) {
		t.Errorf("%v, want %v", errs, ErrBroken)
	}
}

func written(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// FuzzOpen changes bytes of a file. What is still read is within bounds, and the file stays as it was.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(file(f, "PRAGMA page_size = 512;"+schema+content))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), []byte{})
	f.Add(uint16(100), []byte{0, 0, 0, 0, 0, 0xff, 0xff, 0xff})
	f.Add(uint16(len(whole)-200), []byte("CREATE VIEW"))
	f.Fuzz(func(t *testing.T, at uint16, change []byte) {
		data := bytes.Clone(whole)
		copy(data[min(int(at), len(data)):], change)
		path := written(t, string(data))
		file, err := Open(t.Context(), path)
		if err != nil {
			return
		}
		defer file.Close()
		keys, _ := all(file.Keys(t.Context()))
		for _, k := range keys {
			if k.Use < 0 || k.Use > 0x7fff || k.Session > 255 || k.Key.Key.Len() != 16 || k.Key.PrivateID.Len() != 6 {
				t.Errorf("%+v", k)
			}
		}
		tokens, _ := all(file.Tokens(t.Context()))
		for _, k := range tokens {
			if k.Key.Counter < 1 || k.Key.Key.Len() < keyfile.MinSeedSize {
				t.Errorf("%+v", k)
			}
		}
		clients, _ := all(file.Clients(t.Context()))
		for _, c := range clients {
			if c.ID > desk.MaxForeignClient || c.ID < 0 || c.Keys[0].Len() == 0 {
				t.Errorf("%+v", c)
			}
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, data) {
			t.Errorf("the file was changed, %v", err)
		}
	})
}
