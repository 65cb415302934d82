package sqlstore

import (
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// otp is one OTP of one credential.
type otp struct{ credential, n int }

// answers are what callers were told.
type answers struct {
	mu       sync.Mutex
	accepted map[otp]int
	errors   int
}

func (a *answers) put(o otp, ok bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok {
		a.accepted[o]++
	}
	if err != nil {
		a.errors++
	}
}

// TestPGKilledUnderLoad kills PostgreSQL at once while two servers are busy, and starts it again. Nothing that was said to be accepted is
// lost or accepted once more, and the audit says the same as the answers. TOKENDESK_KILLS sets how often, a tenth of it; 5 unless told.
func TestPGKilledUnderLoad(t *testing.T) {
	t.Parallel()
	kills := 5
	if v, err := strconv.Atoi(os.Getenv("TOKENDESK_KILLS")); err == nil {
		kills = v / 10
	} else if testing.Short() {
		kills = 2
	}
	const credentials, callers = 16, 32 // two callers for each, of different servers
	server := pgtest.Start(t)
	all, _, ids := openServers(t, server, 2, credentials)
	told := &answers{accepted: map[otp]int{}}
	var next [credentials]atomic.Int32
	var count atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			k := i % credentials
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := int(next[k].Add(1) / 2) // both get most of them
				ok, err := all[i/credentials].Accept(t.Context(), presented(ids[k], storetest.Sample(k, ""), n))
				told.put(otp{k, n}, ok, err)
				count.Add(1)
			}
		})
	}
	for range kills {
		for from := count.Load(); count.Load() < from+500 && !t.Failed(); {
			if t.Context().Err() != nil {
				return
			}
		}
		server.Kill(t)
		server.Start(t)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d OTPs, %d accepted, %d errors over %d kills", count.Load(), len(told.accepted), told.errors, kills)
	for o, times := range told.accepted {
		if times != 1 {
			t.Errorf("%v was accepted %d times", o, times)
		}
		if ok, err := all[0].Accept(t.Context(), presented(ids[o.credential], storetest.Sample(o.credential, ""), o.n)); ok || err != nil {
			t.Errorf("%v is accepted again: %v", o, err)
		}
	}
	compareAudit(t, all[0], ids, told)
}

// compareAudit holds the answers against the events. What is in the audit and was not said to be accepted was answered by an error.
func compareAudit(t *testing.T, s *Store, ids []token.CredentialID, told *answers) {
	t.Helper()
	verifyAudit(t, s)
	index := map[token.CredentialID]int{}
	for k, id := range ids {
		index[id] = k
	}
	written := map[otp]int{}
	for e, err := range s.AuditEvents(t.Context(), AuditFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		var d validationDetail
		if e.Action != "validate" {
			continue
		}
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			t.Fatal(err)
		}
		if d.Reason == validate.ReasonAccepted {
			written[otp{index[d.Credential], d.Use<<8 | d.Session}]++
		}
	}
	unsaid := 0
	for o, times := range written {
		if times != 1 {
			t.Errorf("%v is in the audit %d times", o, times)
		}
		if told.accepted[o] == 0 {
			unsaid++
		}
	}
	for o := range told.accepted {
		if written[o] == 0 {
			t.Errorf("%v is not in the audit", o)
		}
	}
	if unsaid > told.errors {
		t.Errorf("%d events of acceptances that nobody was told of, %d errors", unsaid, told.errors)
	}
}
