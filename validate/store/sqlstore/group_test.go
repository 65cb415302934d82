package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
)

// hold takes the writer until release is called, so that changes queue up meanwhile.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = s.change(context.Background(), func(*tx) error {
			close(held)
			<-free
			return errUnchanged
		})
	})
	<-held
	return func() {
		close(free)
		wg.Wait()
	}
}

// waitFor is until n changes wait.
func waitFor(t *testing.T, s *Store, n int) {
	t.Helper()
	for {
		s.group.mu.Lock()
		waiting := len(s.group.waiting)
		s.group.mu.Unlock()
		if waiting == n {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("they never wait")
		}
	}
}

// TestChangesOfOneTransaction: what failed, panicked or changed nothing is undone alone, each caller learns its own, and the
// chain has the events of the others only.
func TestChangesOfOneTransaction(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	execute(t, s, `CREATE TABLE probe (n INTEGER PRIMARY KEY)`)
	release := hold(t, s)
	errs, panics := make([]error, 60), make([]any, 60)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			defer func() { panics[n] = recover() }()
			errs[n] = s.change(t.Context(), func(tx *tx) error {
				if _, err := tx.Exec(`INSERT INTO probe (n) VALUES (?)`, n); err != nil {
					return err
				}
				if err := tx.desk("probe", fmt.Sprintf("probe %d", n), nil); err != nil {
					return err
				}
				switch n % 4 {
				case 1:
					return errUnchanged
				case 2:
					panic("at the disco")
				case 3: // an error of SQLite
					_, err := tx.Exec(`INSERT INTO probe (n) VALUES (?)`, n)
					return err
				}
				return nil
			})
		})
	}
	waitFor(t, s, len(errs))
	release()
	wg.Wait()
	for n := range errs {
		switch n % 4 {
		case 0:
			if errs[n] != nil {
				t.Errorf("%d: %v", n, errs[n])
			}
		case 1:
			if !errors.Is(errs[n], errUnchanged) {
				t.Errorf("%d: %v", n, errs[n])
			}
		case 2:
			if !strings.HasPrefix(fmt.Sprint(panics[n]), "at the disco\n") {
				t.Errorf("%d: %v", n, panics[n])
			}
		case 3:
			if errs[n] == nil {
				t.Errorf("%d: no error", n)
			}
		}
	}
	again := p.openStore(t)
	var rows int
	if err := again.read.db.QueryRow(`SELECT count(*) FROM probe WHERE n % 4 = 0`).Scan(&rows); err != nil || rows != 15 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if err := again.read.db.QueryRow(`SELECT count(*) FROM probe`).Scan(&rows); err != nil || rows != 15 {
		t.Errorf("%d rows in all, %v", rows, err)
	}
	events := 0
	for e, err := range again.AuditEvents(t.Context(), AuditFilter{Chain: audit.Desk}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Action == "probe" {
			events++
		}
	}
	if r, err := again.AuditVerify(t.Context(), p.keys.Signing.Public()); err != nil || !r.OK() || events != 15 {
		t.Errorf("%d events, %+v, %v", events, r, err)
	}
}

// TestWaitingEndsWithContext: who waits may leave, who was taken is finished.
func TestWaitingEndsWithContext(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- s.change(ctx, func(*tx) error { t.Error("ran"); return nil }) }()
	waitFor(t, s, 1)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	release()
	if err := s.change(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	if err := s.change(ctx, func(*tx) error { cancel(); return nil }); err != nil {
		t.Errorf("begun, not finished: %v", err)
	}
}

// TestBrokenTransaction: when SQLite gives the whole transaction up in the middle, nobody is told that something was done.
func TestBrokenTransaction(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	execute(t, s, `CREATE TABLE probe (n INTEGER PRIMARY KEY)`)
	release := hold(t, s)
	errs := make([]error, 9)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			errs[n] = s.change(t.Context(), func(tx *tx) error {
				if n == 4 {
					_, err := tx.Exec(`ROLLBACK`)
					return errors.Join(err, errUnchanged)
				}
				_, err := tx.Exec(`INSERT INTO probe (n) VALUES (?)`, n)
				return err
			})
		})
		waitFor(t, s, n+1)
	}
	release()
	wg.Wait()
	for n, err := range errs {
		if err == nil {
			t.Errorf("%d: done", n)
		}
	}
	var rows int
	if err := s.read.db.QueryRow(`SELECT count(*) FROM probe`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if err := s.change(t.Context(), func(tx *tx) error { _, err := tx.Exec(`INSERT INTO probe (n) VALUES (1)`); return err }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
