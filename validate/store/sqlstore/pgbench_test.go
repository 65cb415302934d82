package sqlstore

import (
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// BenchmarkPGCommit is what PostgreSQL does here by itself: commits of one row by one statement, on as many connections as
// there are callers. BenchmarkPGAccept is beside it.
func BenchmarkPGCommit(b *testing.B) {
	server := pgtest.Start(b)
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			s, p := makePG(b, server)
			ids := addCallers(b, s, callers)
			var conns []*pgx.Conn
			for range callers {
				c, err := pgx.Connect(b.Context(), p.dir)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close(b.Context())
				conns = append(conns, c)
			}
			share(b, callers, func(i, n int) error {
				r, err := conns[i].Exec(b.Context(), `UPDATE counter SET use_counter = $1, session_counter = $2, timestamp = $3, nonce = $4, at = $5
					WHERE credential = $6 AND enabled = 1 AND (use_counter, session_counter) < ($1, $2)`, n>>8&0x7fff, n&0xff, n, "0123456789abcdef", n, ids[i])
				if err == nil && r.RowsAffected() != 1 {
					err = fmt.Errorf("%d rows", r.RowsAffected())
				}
				return err
			})
		})
	}
}

// BenchmarkPGAccept is guarded durable advances with their audit events: by as many callers, of a credential each, shared
// by one, two and three servers.
func BenchmarkPGAccept(b *testing.B) {
	server := pgtest.Start(b)
	benchmarkPGAccept(b, server, 1, 1)
	benchmarkPGAccept(b, server, 16, 1)
	for stores := range 3 {
		benchmarkPGAccept(b, server, 64, stores+1)
	}
}

// BenchmarkPGSlow is the same on a disk whose every flush takes 5 ms longer.
func BenchmarkPGSlow(b *testing.B) {
	server := pgtest.StartWith(b, pgtest.Options{Under: slowDisk(b)})
	for _, callers := range []int{1, 16, 64, 256} {
		benchmarkPGAccept(b, server, callers, 1)
	}
}

func benchmarkPGAccept(b *testing.B, server *pgtest.Server, callers, stores int) {
	name := fmt.Sprint(callers)
	if stores > 1 {
		name = fmt.Sprintf("%d/%dservers", callers, stores)
	}
	b.Run(name, func(b *testing.B) {
		s, p := makePG(b, server)
		ids := addCallers(b, s, callers)
		all := []*Store{s}
		for range stores - 1 {
			all = append(all, p.openStore(b))
		}
		share(b, callers, func(i, n int) error {
			ok, err := all[i%stores].Accept(b.Context(), validate.Advance{Credential: ids[i], Use: n >> 8 & 0x7fff, Session: n & 0xff, Timestamp: n,
				Nonce: "0123456789abcdef", At: time.Now(), Proven: true,
				Event: validate.Event{Client: 1, Source: "192.0.2.1", Result: "OK", Reason: validate.ReasonAccepted, Signed: true}})
			if err == nil && !ok {
				err = fmt.Errorf("%d was refused", n)
			}
			return err
		})
	})
}

func addCallers(b *testing.B, s *Store, callers int) (ids []token.CredentialID) {
	for n := range callers {
		ids = append(ids, harness{s, s}.Add(b, storetest.Sample(n, token.Active)))
	}
	return ids
}

// share runs b.N calls of f(caller, number) on so many goroutines; the numbers rise.
func share(b *testing.B, callers int, f func(i, n int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= b.N; n = int(next.Add(1)) {
				if err := f(i, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "advances/s")
}

// slowDisk makes every flush of the disk take 5 ms longer. Source: DESIGN.md.
func slowDisk(b *testing.B) []string {
	path, err := exec.LookPath("strace")
	if err != nil {
		b.Skip("strace is not installed")
	}
	return []string{path, "-f", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_exit=5000"}
}
