package main

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
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

// TestExportLeavesNothing: a key file that could not be finished is removed; one that exists is left alone.
func TestExportLeavesNothing(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "keys.csv")
	broken := errors.New("the store went away")
	records := func(yield func(keyfile.Record, error) bool) { yield(keyfile.Record{}, broken) }
	if err := writeKeyFile(yubicocsv.Codec{}, name, records); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	var p *problem
	if err := writeKeyFile(yubicocsv.Codec{}, name, records); !errors.As(err, &p) || p.code != exitRefused {
		t.Errorf("%v, want a refusal", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
}
