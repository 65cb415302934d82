package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// logged is a store of two processes with logs, some keys, and a backup; what was spent since is in the logs.
type logged struct {
	traveller
	logs   [2]string
	backup []byte
	ids    []token.CredentialID
}

func (l *logged) press(t *testing.T, s *Store, n, use int) bool {
	t.Helper()
	a := validate.Advance{Credential: l.ids[n], Use: use, At: s.now(), Event: validate.Event{PublicID: storetest.Sample(n, "").PublicID, Result: "OK", Reason: validate.ReasonAccepted}}
	ok, err := s.Accept(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func openLogged(t *testing.T, open func(testing.TB) harness) *logged {
	h := open(t)
	l := &logged{traveller: traveller{h, h.s.keys, h.s.now, h.s.database() == "postgres"}}
	dir := t.TempDir()
	for i, s := range []*Store{h.s, h.another} {
		l.logs[i] = filepath.Join(dir, string(rune('a'+i))+".log")
		if err := s.LogSpent(t.Context(), l.logs[i]); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 4 {
		l.ids = append(l.ids, h.Add(t, storetest.Sample(n, token.Active)))
	}
	l.backup = l.Backup(t)
	for n := range l.ids {
		if !l.press(t, h.s, n, 5) || !l.press(t, h.another, n, 6) {
			t.Fatal("a fresh OTP was refused")
		}
	}
	h.Block(t, l.ids[3])
	if err := h.s.Spend(t.Context(), validate.Advance{Credential: l.ids[3], Use: 9, At: h.s.now(), Event: validate.Event{Reason: validate.ReasonBlocked}}); err != nil {
		t.Fatal(err)
	}
	return l
}

// restore puts the backup back with logs.
func (l *logged) restore(t *testing.T, complete bool, logs ...string) (*Store, Restored) {
	t.Helper()
	where := l.place(t)
	r, err := Restore(t.Context(), where, l.keys, l.options(), bytes.NewReader(l.backup), RestoreOptions{Logs: logs, Complete: complete})
	if err != nil {
		t.Fatal(err)
	}
	return l.goneTo(t, where).s, r
}

// TestLogIsReplayed: with all logs nothing need be cautious, and nothing that was spent is accepted again. Whatever lacks is noticed.
func TestLogIsReplayed(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		l := openLogged(t, open)
		for _, s := range []*Store{l.s, l.another} { // the chains that others began
			if err := s.followOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for name, tc := range map[string]struct {
			logs     []string
			complete bool
			trusted  bool
			missing  string
		}{
			"both, of all servers": {l.logs[:], true, true, ""},
			"both":                 {l.logs[:], false, false, ""},
			"one":                  {l.logs[:1], true, false, "no log is here"},
			"none":                 {nil, true, false, ""},
		} {
			s, r := l.restore(t, tc.complete, tc.logs...)
			if r.Trusted != tc.trusted || (r.Cautious == 0) != tc.trusted || !strings.Contains(strings.Join(r.Missing, ";"), tc.missing) || len(r.Missing) > 0 != (tc.missing != "") {
				t.Errorf("%s: %+v", name, r)
			}
			for n := range l.ids {
				for use := range 7 {
					if l.press(t, s, n, use) {
						t.Errorf("%s: key %d: %d was accepted again", name, n, use)
					}
				}
				if got := l.press(t, s, n, 7); got != (tc.trusted && n < 3) {
					t.Errorf("%s: key %d: the next one: %v", name, n, got) // of the last, more was seen while it was blocked
				}
			}
		}
	})
}

// TestLogBeginsTooLate: a log that was begun after the backup proves nothing.
func TestLogBeginsTooLate(t *testing.T) {
	t.Parallel()
	h := openHarness(t)
	l := &logged{traveller: traveller{h, h.s.keys, h.s.now, false}}
	l.ids = append(l.ids, h.Add(t, storetest.Sample(0, token.Active)))
	l.backup = l.Backup(t)
	path := filepath.Join(t.TempDir(), "late.log")
	if err := h.s.LogSpent(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	l.press(t, h.s, 0, 5)
	if _, r := l.restore(t, true, path); r.Trusted || len(r.Missing) != 1 || !strings.Contains(r.Missing[0], "after the backup") || r.Replayed != 1 {
		t.Errorf("%+v", r)
	}
	other := openHarness(t)
	path = filepath.Join(t.TempDir(), "other.log")
	if err := other.s.LogSpent(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), t.TempDir(), l.keys, l.options(), bytes.NewReader(l.backup), RestoreOptions{Logs: []string{path}}); !errors.Is(err, errOtherStore) {
		t.Errorf("the log of another store: %v", err)
	}
}

// TestLogFails: what cannot be logged is not answered as accepted, and is spent.
func TestLogFails(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		h := open(t)
		id := h.Add(t, storetest.Sample(0, token.Active))
		if err := h.s.LogSpent(t.Context(), filepath.Join(t.TempDir(), "a.log")); err != nil {
			t.Fatal(err)
		}
		good := h.s.spending.log
		press := func(use int) (bool, error) {
			return h.s.Accept(context.Background(), validate.Advance{Credential: id, Use: use, At: h.s.now(), Event: validate.Event{Result: "OK", Reason: validate.ReasonAccepted}})
		}
		if ok, err := press(1); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := good.Close(); err != nil {
			t.Fatal(err)
		}
		if ok, err := press(2); ok || !errors.Is(err, ErrUnlogged) {
			t.Errorf("%v, %v", ok, err)
		}
		if ok, err := press(2); ok || err != nil {
			t.Errorf("it is not spent: %v, %v", ok, err)
		}
		if _, err := h.s.AddPersons(t.Context(), []token.Person{{Account: "ada"}}); err != nil {
			t.Errorf("what spends nothing: %v", err)
		}
	})
}

// TestProofsAreFollowed: what proved a token at a desk of another process is in the log.
func TestProofsAreFollowed(t *testing.T) {
	t.Parallel()
	h := openHarness(t)
	l := &logged{traveller: traveller{h, h.s.keys, h.s.now, false}, ids: []token.CredentialID{h.Add(t, storetest.Sample(0, token.Active))}}
	path := filepath.Join(t.TempDir(), "a.log")
	if err := h.s.LogSpent(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	l.backup = l.Backup(t)
	k := h.token(t, l.ids[0])
	h.Block(t, l.ids[0])
	e := desk.Evidence{Credential: l.ids[0], PublicID: storetest.Sample(0, "").PublicID, Counters: token.Counters{Use: 8, At: h.s.now()}}
	if ok, err := h.another.Restore(t.Context(), k, e); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := h.s.followOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, r := l.restore(t, true, path)
	if !r.Trusted || l.press(t, s, 0, 8) || !l.press(t, s, 0, 9) {
		t.Errorf("%+v", r)
	}
}

// TestLogAfterRestore: a log goes on in a store that was put back, where the desk chain is shorter again. It is told of every other server
// of that history; what it has of the one before is not taken for credentials that got the same numbers, and it alone proves nothing.
func TestLogAfterRestore(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		h := open(t)
		l := &logged{traveller: traveller{h, h.s.keys, h.s.now, h.s.database() == "postgres"}}
		path := filepath.Join(t.TempDir(), "a.log")
		before := l.Backup(t)
		for n := range 10 { // of after the backup
			l.ids = append(l.ids, h.Add(t, storetest.Sample(n, token.Active)))
		}
		must(t, h.s.LogSpent(t.Context(), path))
		if !l.press(t, h.s, 0, 50) {
			t.Fatal("a fresh OTP was refused")
		}
		syscall.ForkLock.RLock() // a process that another test starts has this file too, and its lock, until its program runs
		err := h.s.spending.log.Close()
		syscall.ForkLock.RUnlock()
		must(t, err)
		old := copyOf(t, path)

		where := l.place(t)
		_, err = Restore(t.Context(), where, l.keys, l.options(), bytes.NewReader(before), RestoreOptions{})
		must(t, err)
		back := l.goneTo(t, where)
		s, another := back.s, back.another
		must(t, s.LogSpent(t.Context(), path))
		l = &logged{traveller: back, ids: []token.CredentialID{back.Add(t, storetest.Sample(20, token.Active))}}
		if !l.press(t, another, 0, 5) { // by a server without a log
			t.Fatal("a fresh OTP was refused")
		}
		must(t, s.followOnce(t.Context()))
		l.backup = l.Backup(t)
		if _, r := l.restore(t, true, path); r.Trusted || !strings.Contains(strings.Join(r.Missing, ";"), "no log is here") {
			t.Errorf("with a server that has no log: %+v", r)
		}
		there, r := l.restore(t, true, old)
		if r.Trusted || r.Replayed != 0 || !strings.Contains(strings.Join(r.Missing, ";"), "put back") {
			t.Errorf("with a log of before: %+v", r)
		}
		if c, err := oneCredential(t.Context(), there.read, `WHERE c.id = ?`, l.ids[0]); err != nil || c.Counters.Use != 5 {
			t.Errorf("it stands at %d, %v", c.Counters.Use, err)
		}
	})
}

func copyOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	name := filepath.Join(t.TempDir(), "old.log")
	must(t, os.WriteFile(name, text, 0o600))
	return name
}
