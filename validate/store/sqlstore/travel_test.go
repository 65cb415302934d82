package sqlstore

import (
	"bytes"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// traveller is a store in the words of the suite.
type traveller struct {
	harness
	keys     Keys
	now      func() time.Time
	postgres bool
}

func (v traveller) Here() storetest.Full  { return v.s }
func (v traveller) There() storetest.Full { return v.another }

func (v traveller) options() Options {
	o := options()
	o.Now = v.now
	return o
}

// place is an empty one.
func (v traveller) place(t *testing.T) string {
	if v.postgres {
		return pgtest.Shared(t).NewDatabase(t)
	}
	return t.TempDir()
}

// goneTo opens what is at a place.
func (v traveller) goneTo(t *testing.T, where string) traveller {
	t.Helper()
	p := place{where, v.keys}
	v.s, v.another = p.openStore(t), p.openStore(t)
	v.s.now, v.another.now = v.now, v.now
	v.postgres = IsURL(where)
	t.Cleanup(func() { verifyAudit(t, v.s) })
	return v
}

func (v traveller) Backup(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	h, err := v.s.Backup(t.Context(), &out, "nobody", nil)
	if err == nil {
		err = v.s.BackedUp(t.Context(), h, "a file", int64(out.Len()), "")
	}
	if err != nil {
		t.Fatal(err)
	}
	if at, err := v.s.LastBackup(t.Context()); err != nil || at.IsZero() {
		t.Errorf("last backup %v, %v", at, err)
	}
	return out.Bytes()
}

func (v traveller) Restore(t *testing.T, backup []byte) storetest.Traveller {
	t.Helper()
	where := v.place(t)
	if _, err := Restore(t.Context(), where, v.keys, v.options(), bytes.NewReader(backup), RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	return v.goneTo(t, where)
}

// Copy goes to the other kind of database.
func (v traveller) Copy(t *testing.T) storetest.Traveller {
	t.Helper()
	v2 := v
	v2.postgres = !v.postgres
	where := v2.place(t)
	if _, err := v.s.CopyTo(t.Context(), where, "there", v.options(), nil); err != nil {
		t.Fatal(err)
	}
	return v.goneTo(t, where)
}

func (v traveller) Reopen(t *testing.T) {
	t.Helper()
	if done, err := v.s.Reopen(t.Context(), "a test"); err != nil || !done {
		t.Fatal(done, err)
	}
}

func TestTravel(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunTravel(t, func(t *testing.T, now func() time.Time) storetest.Traveller {
			h := open(t)
			h.s.now, h.another.now = now, now
			return traveller{h, h.s.keys, now, h.s.database() == "postgres"}
		})
	})
}
