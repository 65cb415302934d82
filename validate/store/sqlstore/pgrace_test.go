package sqlstore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// together runs f(0) to f(n-1) at once.
func together(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			if err := f(i); err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	close(start)
	wg.Wait()
}

// openServers makes a store with so many credentials and as many servers on it.
func openServers(t *testing.T, server *pgtest.Server, servers, credentials int) (all []*Store, p place, ids []token.CredentialID) {
	t.Helper()
	s, p := makePG(t, server)
	for n := range credentials {
		ids = append(ids, harness{s, s}.Add(t, storetest.Sample(n, token.Active)))
	}
	all = []*Store{s}
	for range servers - 1 {
		all = append(all, p.openStore(t))
	}
	return all, p, ids
}

// TestPGOneOfAllServers: three servers get the same OTPs at once, of several credentials and in any order. Of each one at most is accepted,
// the newest is, and there is an event for each acceptance.
func TestPGOneOfAllServers(t *testing.T) {
	t.Parallel()
	const credentials, callers, presses = 5, 48, 12
	all, _, ids := openServers(t, pgtest.Shared(t), 3, credentials)
	var accepted [credentials][presses]atomic.Int32
	together(t, callers, func(i int) error {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		for n := range presses {
			for _, k := range random.Perm(credentials) {
				ok, err := all[i%len(all)].Accept(t.Context(), presented(ids[k], storetest.Sample(k, ""), n))
				if err != nil {
					return err
				}
				if ok {
					accepted[k][n].Add(1)
				}
			}
		}
		return nil
	})
	total := 0
	for k := range accepted {
		for n := range accepted[k] {
			got := int(accepted[k][n].Load())
			total += got
			if got > 1 || n == presses-1 && got != 1 {
				t.Errorf("OTP %d of credential %d was accepted %d times", n, k, got)
			}
		}
	}
	if got := (harness{all[0], all[0]}).Events(t); got != total {
		t.Errorf("%d events of %d acceptances", got, total)
	}
	verifyAudit(t, all[0])
}

// TestPGNoDeadlock: servers and staff lock the same rows, each in an order of their own. PostgreSQL never has to break a circle, and next to
// nobody waits for a row who holds others.
func TestPGNoDeadlock(t *testing.T) {
	t.Parallel()
	const credentials, callers = 24, 48
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	server := pgtest.StartWith(t, pgtest.Options{Fast: true, Settings: []string{"deadlock_timeout=4s"}})
	all, _, ids := openServers(t, server, 3, credentials)
	var next [credentials]atomic.Int32
	together(t, callers+2, func(i int) error {
		random := rand.New(rand.NewPCG(2, uint64(i)))
		for range rounds {
			if i >= callers {
				if err := touchAll(t, all[i%len(all)], ids, random); err != nil {
					return err
				}
				continue
			}
			for _, k := range random.Perm(credentials)[:credentials/2] {
				if _, err := all[i%len(all)].Accept(t.Context(), presented(ids[k], storetest.Sample(k, ""), int(next[k].Add(1)))); err != nil {
					return err
				}
			}
		}
		return nil
	})
	log := server.Log()
	if waited := strings.Count(log, "due to lock timeout"); waited > credentials || strings.Contains(log, "deadlock detected") {
		t.Errorf("given up %d times; the server's log:\n%s", waited, log)
	}
	verifyAudit(t, all[0])
}

// touchAll is a change of staff that locks all rows in any order.
func touchAll(t *testing.T, s *Store, ids []token.CredentialID, random *rand.Rand) error {
	order := random.Perm(len(ids))
	return s.change(t.Context(), func(tx *tx) error {
		for _, k := range order {
			if _, err := tx.Exec(`UPDATE counter SET drift = drift + 1 WHERE credential = ?`, ids[k]); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestPGOneBadPress: what the database cannot take spoils nothing else of its batch.
func TestPGOneBadPress(t *testing.T) {
	t.Parallel()
	const callers = 64
	all, _, ids := openServers(t, pgtest.Shared(t), 1, callers)
	for n := range 4 {
		together(t, callers, func(i int) error {
			a := presented(ids[i], storetest.Sample(i, ""), n)
			if i%16 == 3 {
				a.Use = 1 << 15 // the column is checked
			}
			ok, err := all[0].Accept(t.Context(), a)
			if (err == nil) != (i%16 != 3) || err == nil && !ok {
				return fmt.Errorf("accepted %v, %v", ok, err)
			}
			return nil
		})
	}
	verifyAudit(t, all[0])
}

// TestPGKept: an OTP is not accepted on what staff changed at another server since, whatever counters it has.
func TestPGKept(t *testing.T) {
	t.Parallel()
	all, _, ids := openServers(t, pgtest.Shared(t), 2, 1)
	c := storetest.Sample(0, "")
	kept := func() validate.Advance {
		t.Helper()
		if _, err := all[0].Find(t.Context(), c.PublicID); err != nil {
			t.Fatal(err)
		}
		_, g := all[0].KeptCredential(c.PublicID)
		if g == 0 {
			t.Fatal("it is not kept")
		}
		a := presented(ids[0], c, 0)
		a.Kept = g
		return a
	}
	a := kept()
	if ok, err := all[0].Accept(t.Context(), a); !ok || err != nil {
		t.Fatalf("accepted %v, %v", ok, err)
	}
	addPerson(t, all[1], "anna")
	a.Session++
	if ok, err := all[0].Accept(t.Context(), a); ok || err != nil {
		t.Errorf("after a change: accepted %v, %v", ok, err)
	}
	a.Kept = kept().Kept
	if ok, err := all[0].Accept(t.Context(), a); !ok || err != nil {
		t.Errorf("read anew: accepted %v, %v", ok, err)
	}
}
