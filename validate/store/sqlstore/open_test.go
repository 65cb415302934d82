package sqlstore

import (
	"bytes"
	"database/sql"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

var update = flag.Bool("update", false, "write golden files")

// TestSchemaIsGolden shows what a migration changes.
func TestSchemaIsGolden(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	list, err := collect(t.Context(), s.read, func(row scanner) (text string, err error) { return text, row.Scan(&text) },
		`SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name`)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(list, ";\n") + ";\n"
	golden := filepath.Join("testdata", "schema.sql")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("the schema is not testdata/schema.sql: run with -update and review\n%s", got)
	}
}

func TestSettingsOfConnections(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	for db, wait := range map[*sql.DB]string{s.write.db: "10", s.read.db: "30000"} {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": wait} {
			var got string
			if err := db.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
			}
		}
	}
	if _, err := s.read.db.Exec(`DELETE FROM counter`); err == nil {
		t.Error("a reading connection writes")
	}
}

func TestFilesAreForTheirOwner(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("rights are not in the mode")
	}
	dir := filepath.Join(t.TempDir(), "a b?c%d", "store") // what a URI would take apart
	s, err := Create(t.Context(), dir, drawKeys(t, t.TempDir()), options())
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	for name, want := range map[string]fs.FileMode{"": 0o700, FileName: 0o600, FileName + "-wal": 0o600, FileName + "-shm": 0o600} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %o", name, st, err, want)
		}
	}
}

func TestCreateRefusesToOverwrite(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	harness{s, s}.Add(t, storetest.Sample(1, token.Active))
	before, err := os.ReadFile(filepath.Join(p.dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), p.dir, p.keys, options()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(p.dir, FileName)); err != nil || !bytes.Equal(before, after) {
		t.Error("the file was touched")
	}
	p.openStore(t)
}

func TestCreateLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := options()
	keys := drawKeys(t, t.TempDir())
	for n := range 64 { // randomness ends after n bytes
		o.Rand = bytes.NewReader(make([]byte, n))
		s, err := Create(t.Context(), dir, keys, o)
		if err == nil {
			closeStore(t, s)
			if n < 36 {
				t.Errorf("made with %d random bytes", n)
			}
			return
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Fatalf("after %d random bytes: %v", n, left)
		}
	}
	t.Error("never made")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, s *Store, p *place)
		want  error
	}{
		"missing":           {func(t *testing.T, _ *Store, p *place) { p.dir = t.TempDir() }, fs.ErrNotExist},
		"wrong sealing key": {func(t *testing.T, _ *Store, p *place) { p.keys.Sealing = drawKeys(t, t.TempDir()).Sealing }, token.ErrWrongKey},
		"wrong signing key": {func(t *testing.T, _ *Store, p *place) { p.keys.Signing = drawKeys(t, t.TempDir()).Signing }, token.ErrWrongKey},
		"newer": {func(t *testing.T, s *Store, _ *place) {
			execute(t, s, `INSERT INTO migration (version, name, checksum, applied) VALUES (999, 'future', '', 0)`)
		}, token.ErrNewer},
		"newer and wrong key": {func(t *testing.T, s *Store, p *place) {
			execute(t, s, `INSERT INTO migration (version, name, checksum, applied) VALUES (999, 'future', '', 0)`)
			p.keys = drawKeys(t, t.TempDir())
		}, token.ErrNewer},
		"changed migration": {func(t *testing.T, s *Store, _ *place) { execute(t, s, `UPDATE migration SET checksum = 'x'`) }, token.ErrIntegrity},
		"no identity":       {func(t *testing.T, s *Store, _ *place) { execute(t, s, `DELETE FROM meta`) }, token.ErrIntegrity},
		"identity of another": {func(t *testing.T, s *Store, _ *place) {
			execute(t, s, `UPDATE meta SET store_id = x'000102030405060708090a0b0c0d0e0f'`)
		}, token.ErrWrongKey},
		"empty file":   {func(t *testing.T, _ *Store, p *place) { p.fill(t, "") }, token.ErrIntegrity},
		"not SQLite":   {func(t *testing.T, _ *Store, p *place) { p.fill(t, strings.Repeat("x", 5000)) }, token.ErrIntegrity},
		"other SQLite": {func(t *testing.T, s *Store, _ *place) { execute(t, s, `DROP TABLE migration`) }, token.ErrIntegrity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := makeStore(t)
			tc.spoil(t, s, &p)
			got, err := Open(t.Context(), p.dir, p.keys, options())
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if err == nil {
				closeStore(t, got)
			}
		})
	}
}

// fill puts another file in another directory.
func (p *place) fill(t *testing.T, text string) {
	t.Helper()
	p.dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(p.dir, FileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// execute changes the database behind the store's back.
func execute(t testing.TB, s *Store, text string, args ...any) {
	t.Helper()
	if _, err := s.write.db.Exec(text, args...); err != nil {
		t.Fatal(err)
	}
}

func TestOpenNeedsKeys(t *testing.T) {
	t.Parallel()
	_, p := makeStore(t)
	if _, err := Open(t.Context(), p.dir, Keys{}, options()); err == nil {
		t.Error("opened without keys")
	}
}

// TestReopenKeepsAll: what was written is there for the next process, under its keys from their files.
func TestReopenKeepsAll(t *testing.T) {
	t.Parallel()
	p := place{t.TempDir(), Keys{}}
	p.keys = drawKeys(t, p.dir)
	s, err := Create(t.Context(), p.dir, p.keys, options())
	if err != nil {
		t.Fatal(err)
	}
	c := storetest.Sample(1, token.Active)
	id := harness{s, s}.Add(t, c)
	if err := s.Note(t.Context(), note(id, c)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	closeStore(t, s) // again: nothing
	again := p.openStore(t)
	if got, err := again.Find(t.Context(), c.PublicID); err != nil || got.ID != id {
		t.Errorf("%+v, %v", got, err)
	}
	if r := verifyAudit(t, again); len(r.Chains) != 2 {
		t.Errorf("%d chains", len(r.Chains))
	}
}
