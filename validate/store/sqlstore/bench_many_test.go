package sqlstore

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// pressed is how many of many credentials are used: each has its own key, the rest have random bytes instead.
const pressed = 1000

// BenchmarkMany measures a store with 1,000 credentials and one with many: 100,000, or as many as TOKENDESK_CREDENTIALS says. Opening it,
// reading a credential that was not read before, and accepting, with as many credentials in use in both.
func BenchmarkMany(b *testing.B) {
	many := 100_000
	if n, err := strconv.Atoi(os.Getenv("TOKENDESK_CREDENTIALS")); err == nil {
		many = max(n, pressed)
	}
	for _, rows := range []int{pressed, many} {
		name := map[bool]string{true: "few", false: "many"}[rows == pressed]
		s, p := makeStore(b)
		fillMany(b, s, rows)
		b.Run("open/"+name, func(b *testing.B) {
			for b.Loop() {
				again, err := Open(b.Context(), p.dir, p.keys, options())
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				closeStore(b, again)
				b.StartTimer()
			}
		})
		b.Run("find/"+name, func(b *testing.B) {
			again := p.openStore(b)
			for n := 0; b.Loop(); n++ {
				if n%pressed == 0 { // nothing is known of any
					again.ciphers.destroy()
				}
				if _, err := again.Find(b.Context(), nth(n%pressed, rows)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(heap(), "heap-MB")
		})
		b.Run("accept/"+name, func(b *testing.B) { acceptAll(b, s, rows) })
	}
}

// nth is the public ID of the n-th credential that is in use, of all.
func nth(n, rows int) token.PublicID { return token.SerialPublicID(token.Serial(1 + n*(rows/pressed))) }

// fillMany makes tokens with serials from 1 on, each with an active credential.
func fillMany(b *testing.B, s *Store, rows int) {
	b.Helper()
	var id strings.Builder
	for shift := 28; shift >= 0; shift -= 4 { // the serial's digits in ModHex
		fmt.Fprintf(&id, ` || substr('cbdefghijklnrtuv', (i >> %d & 15) + 1, 1)`, shift)
	}
	numbers := `WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ` + strconv.Itoa(rows) + `) `
	execute(b, s, `DROP TRIGGER token_added`)
	execute(b, s, numbers+`INSERT INTO token (id, model, serial, state, created) SELECT i, 'yubikey', i, 'active', 1 FROM n`)
	execute(b, s, numbers+`INSERT INTO token_word (word, token) SELECT 'w' || i, i FROM n`)
	execute(b, s, numbers+`INSERT INTO credential (id, token, kind, slot, public_id, state, created, mark)
		SELECT i, i, 'yubico-otp', 1, 'vvcc'`+id.String()+`, 'active', 1, randomblob(32) FROM n`)
	execute(b, s, numbers+`INSERT INTO counter (credential, enabled) SELECT i, 1 FROM n`)
	for _, what := range []string{"aes-key", "private-id"} {
		execute(b, s, numbers+`INSERT INTO secret (credential, what, key_version, sealed) SELECT i, '`+what+`', 1, randomblob(44) FROM n`)
	}
	err := s.change(b.Context(), func(tx *tx) error {
		for n := range pressed {
			c := token.CredentialID(1 + n*(rows/pressed))
			if _, err := tx.Exec(`DELETE FROM secret WHERE credential = ?`, c); err != nil {
				return err
			}
			if err := tx.putSecrets(c, token.Secrets{Key: secret.New(make([]byte, 16)), PrivateID: secret.New(make([]byte, 6))}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	execute(b, s, `PRAGMA wal_checkpoint(TRUNCATE)`)
}

// acceptAll lets 64 callers accept, each with a credential of its own at a time.
func acceptAll(b *testing.B, s *Store, rows int) {
	free := make(chan validate.Advance, pressed)
	for n := range pressed {
		c, err := s.Find(b.Context(), nth(n, rows))
		if err != nil {
			b.Fatal(err)
		}
		free <- validate.Advance{Credential: c.ID, Use: c.Row.Counters.Use + 1, Event: validate.Event{PublicID: c.PublicID, Result: "OK", Reason: validate.ReasonAccepted}}
	}
	b.ResetTimer()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			a := <-free
			if a.Session++; a.Session > 255 {
				a.Use, a.Session = a.Use+1, 0
			}
			a.At = time.Now()
			if ok, err := s.Accept(context.WithoutCancel(b.Context()), a); err != nil || !ok {
				b.Errorf("%v, %v", ok, err)
				return
			}
			free <- a
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "advances/s")
}

// heap is what is in use, in megabytes.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}
