package sqlstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// files are all bytes of the store and what SQLite puts beside it.
func (p place) files(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(p.dir, FileName+"*"))
	if err != nil || len(names) < 2 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, n := range names {
		if out[n], err = os.ReadFile(n); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestFullDisk lets the file grow by n pages, for n = 0, 1, 2 …, and takes the walk of a written key and a validation. Until
// there is room for all of it, the first failure is token.ErrFull, what was acknowledged is there, what failed left
// nothing, and with room again the walk goes on from where it stopped.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		s, _ := makeStore(t)
		pages := pragma(t, s, "page_count")
		execute(t, s, `PRAGMA max_page_count = `+strconv.Itoa(pages+n))
		w := fullWalk{s: s, t: t}
		err := w.run(3) // enough for several pages
		if err == nil {
			if n == 0 {
				t.Error("nothing was written")
			}
			execute(t, s, `PRAGMA max_page_count = 1000000`) // for the checkpoint at the end
			return
		}
		if !errors.Is(err, token.ErrFull) {
			t.Fatalf("%d pages: %v", n, err)
		}
		verifyAudit(t, s)
		w.compare(n)
		execute(t, s, `PRAGMA max_page_count = 1000000`)
		if err := w.run(3); err != nil {
			t.Fatalf("%d pages, after there was room: %v", n, err)
		}
		verifyAudit(t, s)
		w.compare(n)
	}
	t.Error("40 pages were not enough")
}

func pragma(t *testing.T, s *Store, name string) (n int) {
	t.Helper()
	if err := s.write.db.QueryRow(`PRAGMA ` + name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// fullWalk takes keys from reservation to an accepted OTP and remembers what was acknowledged.
type fullWalk struct {
	s     *Store
	t     *testing.T
	keys  int // done
	entry token.EntryID
	phase token.Phase
	use   int // accepted of the last key
}

func (w *fullWalk) run(keys int) error {
	ctx := w.t.Context()
	for w.keys < keys {
		serial := token.Serial(w.keys + 1)
		switch w.phase {
		case "":
			e, err := w.s.Reserve(ctx, token.Reservation{Serial: serial, Slot: 1, Kind: token.YubicoOTP, PublicID: token.SerialPublicID(serial), Proof: token.ByTouch, Reason: strings.Repeat("long ", 300)})
			if err != nil {
				return err
			}
			w.entry, w.phase = e.ID, token.Reserved
		case token.Reserved:
			c := storetest.Sample(w.keys, "")
			r := sampleRecord(c)
			if err := w.s.Seal(ctx, w.entry, token.Secrets{Key: r.Key, PrivateID: r.PrivateID}); err != nil {
				return err
			}
			w.phase = token.Sealed
		case token.Sealed:
			if err := w.s.Mark(ctx, w.entry, token.Writing); err != nil {
				return err
			}
			w.phase = token.Writing
		case token.Writing:
			if err := w.s.Commit(ctx, w.entry, &token.Counters{Use: 1}); err != nil {
				return err
			}
			w.phase, w.use = token.Committed, 1
		case token.Committed:
			c, err := w.s.Find(ctx, token.SerialPublicID(serial))
			if err != nil {
				return err
			}
			ok, err := w.s.Accept(ctx, validate.Advance{Credential: c.ID, Use: w.use + 1, Event: validate.Event{Source: strings.Repeat("x", 500)}})
			if err != nil {
				return err
			}
			if !ok {
				w.t.Error("a newer OTP was refused")
			}
			if w.use++; w.use == 6 {
				w.keys, w.phase, w.use = w.keys+1, "", 0
			}
		}
	}
	return nil
}

// compare looks at what the store holds of the key that the walk stopped at.
func (w *fullWalk) compare(n int) {
	w.t.Helper()
	open, err := w.s.Open(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var phase token.Phase
	if len(open) > 0 {
		phase = open[0].Phase
	}
	if want := w.phase; want != phase && !(want == token.Committed && phase == "") {
		w.t.Errorf("%d pages: the walk is at %q, the ledger at %q", n, want, phase)
	}
	if w.phase != token.Committed {
		return
	}
	c, err := w.s.Find(w.t.Context(), token.SerialPublicID(token.Serial(w.keys+1)))
	if err != nil || c.Row.Counters.Use != w.use || !c.Row.Enabled {
		w.t.Errorf("%d pages: stored %+v, accepted %d (%v)", n, c.Row, w.use, err)
	}
}

// TestImportIsAllOrNothing: a batch that does not fit leaves nothing.
func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	execute(t, s, `PRAGMA max_page_count = `+strconv.Itoa(pragma(t, s, "page_count")+4))
	var list []keyfile.Record
	for n := range 200 {
		list = append(list, sampleRecord(storetest.Sample(n, "")))
	}
	if _, err := s.Import(t.Context(), "f", list); !errors.Is(err, token.ErrFull) {
		t.Fatalf("got %v", err)
	}
	if n := 0; s.read.db.QueryRow(`SELECT count(*) FROM credential`).Scan(&n) != nil || n != 0 {
		t.Errorf("%d credentials are left", n)
	}
	verifyAudit(t, s)
}

// TestFailedCommitLeavesNothing: only COMMIT itself notices a reference that was checked last.
func TestFailedCommitLeavesNothing(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	err := s.change(t.Context(), func(tx *tx) error {
		if _, err := tx.Exec(`PRAGMA defer_foreign_keys = 1`); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO token (model, state, holder, created) VALUES ('app', 'active', 4711, 1)`); err != nil {
			return err
		}
		return tx.desk("test", "token", nil)
	})
	if !errors.Is(translate(err), token.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	events := verifyAudit(t, s).Events
	harness{s, s}.Add(t, storetest.Sample(1, token.Active)) // the connection is fit for the next transaction
	if verifyAudit(t, s).Events <= events {
		t.Error("the next transaction left no event")
	}
}

// TestCancelEndsTheQueueOnly: a caller that gave up while waiting changed nothing.
func TestCancelEndsTheQueueOnly(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	c := storetest.Sample(1, token.Active)
	id := harness{s, s}.Add(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.change(ctx, func(tx *tx) error {
		cancel() // the writer is busy, and its own context ends too
		if _, err := s.Accept(ctx, validate.Advance{Credential: id, Use: 1}); !errors.Is(err, context.Canceled) {
			t.Errorf("in the queue: %v", err)
		}
		_, err := oneCredential(ctx, tx, `WHERE c.id = ?`, id)
		return errors.Join(err, tx.desk("test", "finished", nil))
	})
	if err != nil {
		t.Errorf("what had begun was not finished: %v", err)
	}
	if got, err := s.Find(t.Context(), c.PublicID); err != nil || got.Row.Counters.Use != -1 {
		t.Errorf("%+v, %v", got.Row.Counters, err)
	}
}
