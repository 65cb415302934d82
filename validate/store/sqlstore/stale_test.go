package sqlstore

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// TestLogOfAnotherStore: where a database was taken away and its log was left, as after a kill, nothing is made: SQLite would write
// what that log has into the new file, and take its caution away.
func TestLogOfAnotherStore(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	h := harness{s, s}
	id := h.Add(t, storetest.Sample(0, token.Active))
	v := traveller{h, h.s.keys, h.s.now, false}
	text := v.Backup(t)
	if ok, err := h.s.Accept(t.Context(), validate.Advance{Credential: id, Use: 5, At: h.s.now()}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	where := t.TempDir()
	left := filepath.Join(where, FileName+"-wal")
	log, err := os.ReadFile(filepath.Join(p.dir, FileName+"-wal"))
	must(t, err)
	must(t, os.WriteFile(left, log, 0o600))
	if _, err := Restore(t.Context(), where, v.keys, v.options(), bytes.NewReader(text), RestoreOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("restore: %v", err)
	}
	if _, err := Create(t.Context(), where, v.keys, v.options()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create: %v", err)
	}
	if after, err := os.ReadFile(left); err != nil || !bytes.Equal(after, log) {
		t.Errorf("what was left there changed: %v", err)
	}
}
