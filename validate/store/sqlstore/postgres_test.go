package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// shaky undoes every transaction with an event once: its first COMMIT fails as in a conflict with another one. What a sequence counts is
// not undone.
const shaky = `
	CREATE SEQUENCE shaky;
	CREATE FUNCTION shake() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF coalesce(current_setting('tokendesk.shaken', true), '') = '' THEN
			PERFORM set_config('tokendesk.shaken', 'yes', true);
			IF nextval('shaky') % 2 = 1 THEN
				RAISE EXCEPTION 'shaken' USING ERRCODE = 'serialization_failure';
			END IF;
		END IF;
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER shake AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shake()`

// openShaky is a harness on a database in which each change is run twice: nothing that the first run did to the caller's variables
// may be left.
func openShaky(t testing.TB) harness {
	t.Helper()
	s, p := makePostgres(t)
	execute(t, s, shaky)
	h := harness{s, p.openStore(t)}
	t.Cleanup(func() {
		var n int
		if err := s.read.db.QueryRow(`SELECT last_value FROM shaky`).Scan(&n); err != nil || n == 0 {
			t.Errorf("%d transactions were shaken, %v", n, err)
		}
		verifyAudit(t, s)
	})
	return h
}

// accounts are those of the persons that are there.
func accounts(t *testing.T, s *Store) string {
	t.Helper()
	list, err := s.Persons(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range list {
		out = append(out, p.Account)
	}
	return strings.Join(out, " ")
}

// TestLostConnections: a change of which the connection ends at any point is made once, and its caller is told so. The other changes
// of its transaction are too.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	direct, p := makePostgres(t)
	for name, c := range map[string]cut{"begun": cutBegun, "COMMIT lost": cutUnsent, "answer lost": cutCommitted, "COMMIT late": cutLate} {
		t.Run(name, func(t *testing.T) {
			network := startProxy(t, p.dir)
			network.end = []byte("commit\x00")
			through := place{network.url, p.keys}.openStore(t)
			addPerson(t, through, name+" before")
			happens, release := network.arm(c)
			if c == cutLate {
				go func() {
					<-happens
					close(release)
				}()
			}
			added, err := through.AddPersons(t.Context(), []token.Person{{Account: name}})
			if err != nil || !added[0] {
				t.Errorf("%v, %v", added, err)
			}
			<-happens
			addPerson(t, through, name+" after")
			if got, want := accounts(t, direct), fmt.Sprintf("%[1]s %[1]s after %[1]s before", name); !strings.Contains(got, want) {
				t.Errorf("got %q, want %q in it", got, want)
			}
			verifyAudit(t, direct)
		})
	}
}

// TestKilledConnections: the database ends connections in the middle of transactions of two servers; each change is made once.
func TestKilledConnections(t *testing.T) {
	t.Parallel()
	const once, kills = 200, 25
	s, p := makePostgres(t)
	other := p.openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	var killer, wg sync.WaitGroup
	var killed atomic.Int64
	killer.Go(func() {
		for ctx.Err() == nil && killed.Load() < kills {
			n := int64(0) // a failure is that it met this connection
			_ = s.read.db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' AND random() < 0.2`).Scan(&n)
			killed.Add(n)
		}
	})
	changes := 0
	for killed.Load() == 0 && changes < 100*once { // the changes may all be over before the first is met
		for range once {
			n := changes
			changes++
			wg.Go(func() {
				st := []*Store{s, other}[n%2]
				if added, err := st.AddPersons(t.Context(), []token.Person{{Account: fmt.Sprintf("p%05d", n)}}); err != nil || !added[0] {
					t.Errorf("%d: %v, %v", n, added, err)
				}
			})
		}
		wg.Wait()
	}
	cancel()
	killer.Wait()
	if killed.Load() == 0 {
		t.Error("no connection was ended")
	}
	if n := len(strings.Fields(accounts(t, s))); n != changes {
		t.Errorf("%d persons", n)
	}
	events := 0
	for e, err := range s.AuditEvents(t.Context(), AuditFilter{Chain: audit.Desk}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Action == "person.add" {
			events++
		}
	}
	if events != changes {
		t.Errorf("%d events", events)
	}
	verifyAudit(t, s)
}

// TestCreateAtOnce: of several who make a store in one database one does; the others learn that it is there, and open it.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	where, keys := pgtest.Shared(t).NewDatabase(t), drawKeys(t, t.TempDir())
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			var s *Store
			if s, errs[n] = Create(t.Context(), where, keys, options()); errs[n] == nil {
				closeStore(t, s)
			}
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, fs.ErrExist):
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("%d made it", made)
	}
	verifyAudit(t, place{where, keys}.openStore(t))
}

// TestHostileTexts: what is no UTF-8 or has a NUL, which PostgreSQL cannot hold, is found nowhere and keeps nothing from being written;
// the audit is of what was stored, also where it is verified without the store.
func TestHostileTexts(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		s := open(t).s
		c := storetest.Sample(1, token.Active)
		id := harness{s, s}.Add(t, c)
		for _, text := range []string{"a\x00b", "\xff\xfe", "\x00", "a\xc3"} {
			ctx := token.WithActor(t.Context(), "operator "+text)
			if _, err := s.Person(ctx, text); !errors.Is(err, token.ErrNotFound) {
				t.Errorf("%q, person: %v", text, err)
			}
			if list, err := s.Tokens(ctx, desk.Match{Text: text}); err != nil || len(list) != 0 {
				t.Errorf("%q, tokens: %v, %v", text, list, err)
			}
			known := true
			err := s.Attempt(ctx, validate.AttemptRequest{Account: text, Serial: text, Spoken: text, Browser: text, OATH: true, At: s.now()}, func(h validate.Holding) validate.Ruling {
				known = h.Known
				return validate.Ruling{Event: &validate.Event{Source: text, Result: "BAD_OTP"}}
			})
			if err != nil || known {
				t.Errorf("%q, attempt: %v, %v", text, known, err)
			}
			a := note(id, c)
			a.Event.Source, a.Nonce = text, text
			if err := s.Note(ctx, a); err != nil {
				t.Errorf("%q, note: %v", text, err)
			}
			if err := s.BeginExport(ctx, desk.Export{File: text, Format: text}, nil); err != nil {
				t.Errorf("%q, export: %v", text, err)
			}
			if st, err := s.LinkState(ctx, text); err != nil || st != desk.LinkUnknown {
				t.Errorf("%q, link: %v, %v", text, st, err)
			}
		}
		var out bytes.Buffer
		err := s.Audit(t.Context(), func(events iter.Seq2[audit.Event, error], heads []audit.Head) error {
			return audit.Write(&out, events, heads)
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := audit.VerifyLines(s.keys.Signing.Public(), &out); err != nil || !r.OK() {
			t.Errorf("%v, %v", r.Findings, err)
		}
	})
}

// TestSettingsOfPostgres: also where the database was set up carelessly, as that of these tests is.
func TestSettingsOfPostgres(t *testing.T) {
	t.Parallel()
	s, p := makePostgres(t)
	own := place{p.dir + "&idle_in_transaction_session_timeout=7s&application_name=mine", p.keys}.openStore(t)
	for st, settings := range map[*Store]map[string]string{
		s:   {"synchronous_commit": "on", "idle_in_transaction_session_timeout": "30s", "application_name": "tokendesk", "client_encoding": "UTF8"},
		own: {"synchronous_commit": "on", "idle_in_transaction_session_timeout": "7s", "application_name": "mine"},
	} {
		for name, want := range settings {
			var got string
			if err := st.write.db.QueryRow(`SHOW ` + name).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, want %q (%v)", name, got, want, err)
			}
		}
	}
	err := s.readState(t.Context(), func(q querier) error {
		var level, only string
		err := q.QueryRowContext(t.Context(), `SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')`).Scan(&level, &only)
		if level != "repeatable read" || only != "on" {
			t.Errorf("one state is read %s, read-only %s", level, only)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
