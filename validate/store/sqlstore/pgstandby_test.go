package sqlstore

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// standby makes COMMIT wait for a standby of this name, from when it returns; "" for none. COMMITs wait once the checkpointer knows the name,
// not once a connection shows it: a commit of its own tells, on a connection that is ended in its wait.
func standby(t *testing.T, s *Store, name string) {
	t.Helper()
	execute(t, s, `ALTER SYSTEM SET synchronous_standby_names = '`+name+`'`)
	execute(t, s, `SELECT pg_reload_conf()`)
	for got := "none yet"; got != name; { // each connection hears of it by itself
		if err := s.read.db.QueryRow(`SELECT setting FROM pg_settings WHERE name = 'synchronous_standby_names'`).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
	for waiting := 0; name != "" && waiting == 0; {
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.write.db.ExecContext(t.Context(), `SELECT pg_logical_emit_message(true, 'probe', '')`) // an error: it waited, and was ended
		}()
		for over := false; waiting == 0 && !over; {
			select {
			case <-done:
				over = true
			default:
			}
			if err := s.read.db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&waiting); err != nil {
				t.Fatal(err)
			}
		}
		<-done
	}
}

// TestPGMissingStandby: while the standby that COMMIT waits for is not there, nobody is told that anything was accepted or changed, although
// the database shows it once the waiting was broken off: the standby that takes over would not have it.
func TestPGMissingStandby(t *testing.T) {
	t.Parallel()
	s, p := makePG(t, pgtest.Start(t))
	c := storetest.Sample(1, token.Active)
	id := harness{s, s}.Add(t, c)
	if ok, err := s.Accept(t.Context(), presented(id, c, 0)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	admin := p.openStore(t)
	standby(t, admin, "missing")

	if ok, err := s.Accept(t.Context(), presented(id, c, 1)); ok || err == nil {
		t.Errorf("accepted %v, %v", ok, err)
	}

	done := make(chan error, 1)
	go func() {
		_, err := s.AddPersons(t.Context(), []token.Person{{Account: "ada"}})
		done <- err
	}()
	broken := 0
	for end := time.Now().Add(patience - 5*time.Second); broken < 3 && len(done) == 0 && time.Now().Before(end); {
		var n int // connections that wait for the standby are ended, as by an administrator
		if err := admin.read.db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		broken += n
	}
	if len(done) != 0 || broken < 3 {
		t.Errorf("a change was made known after %d attempts", broken)
	}
	standby(t, admin, "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if ok, err := s.Accept(t.Context(), presented(id, c, 1)); ok || err != nil {
		t.Errorf("what was in doubt: accepted %v, %v", ok, err)
	}
	if ok, err := s.Accept(t.Context(), presented(id, c, 2)); !ok || err != nil {
		t.Errorf("afterwards: accepted %v, %v", ok, err)
	}
	if got := accounts(t, admin); got != "ada" {
		t.Errorf("persons %q", got)
	}
	verifyAudit(t, s)
}
