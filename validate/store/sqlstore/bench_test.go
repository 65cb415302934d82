package sqlstore

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// BenchmarkAccept measures guarded durable advances, each with its audit event: by one caller, and by 64 with a credential each.
func BenchmarkAccept(b *testing.B) {
	b.Run("1", func(b *testing.B) { benchmarkAccept(b, 1) })
	b.Run("64", func(b *testing.B) { benchmarkAccept(b, 64) })
}

func benchmarkAccept(b *testing.B, callers int) {
	s, _ := makeStore(b)
	h := harness{s, s}
	ids := make(chan token.CredentialID, callers)
	for n := range callers {
		ids <- h.Add(b, storetest.Sample(n, token.Active))
	}
	var next atomic.Int64
	b.ResetTimer()
	done := make(chan struct{})
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			id := <-ids
			for {
				n := int(next.Add(1))
				if n > b.N {
					return
				}
				ok, err := s.Accept(b.Context(), validate.Advance{Credential: id, Use: n >> 8 & 0x7fff, Session: n & 0xff, Nonce: "0123456789abcdef", At: time.Now(),
					Event: validate.Event{Client: 1, Source: "192.0.2.1", Result: "OK", Reason: validate.ReasonAccepted}})
				if err != nil || !ok {
					b.Error(ok, err)
					return
				}
			}
		}()
	}
	for range callers {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "advances/s")
}

// BenchmarkFind measures reading the row with the cipher kept, and opening an OTP with it.
func BenchmarkFind(b *testing.B) {
	s, _ := makeStore(b)
	c := storetest.Sample(1, token.Active)
	harness{s, s}.Add(b, c)
	_, block, err := yubiotp.Split(c.Press(b, yubiotp.Token{UseCounter: 1}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got, err := s.Find(b.Context(), c.PublicID)
		if err != nil {
			b.Fatal(err)
		}
		if _, verdict := got.Cipher.Open(block); verdict != yubiotp.OK {
			b.Fatal(verdict)
		}
	}
}
