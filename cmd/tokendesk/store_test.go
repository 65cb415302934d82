package main

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNewerStore: a store of a later version is refused in one line, and left as it is.
func TestNewerStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.must("init")
	path := filepath.Join(r.dataDir, "tokendesk.db")
	db, err := sql.Open("sqlite", path) // the driver comes with the store
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `INSERT INTO migration (version, name, checksum, applied) VALUES (99, 'later', 'x', 0)`)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"token list", "provision --slot 1", "serve", "init"} {
		r.err.Reset()
		code, said := r.run(strings.Fields(words)...), r.err.String()
		if words == "init" {
			if code != exitRefused {
				t.Errorf("init: exit code %d", code)
			}
			continue
		}
		if code != exitError || !strings.Contains(said, "newer version") || strings.Count(said, "tokendesk: ") != 1 {
			t.Errorf("%s: exit code %d\n%s", words, code, said)
		}
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the store was changed, %v", err)
	}
}
