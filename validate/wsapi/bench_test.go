package wsapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func BenchmarkHandler(b *testing.B) {
	s := newSite(b)
	s.handler.Observer = nil
	c := worked()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		otp := c.Press(b, yubiotp.Token{UseCounter: uint16(n >> 8), SessionCounter: uint8(n)})
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/wsapi/2.0/verify?id=1&nonce="+nonce+"&otp="+otp, nil))
		if n < 1<<23 && !strings.HasSuffix(w.Body.String(), "status=OK\r\n\r\n") {
			b.Fatal(w.Body.String())
		}
	}
}

// BenchmarkServe and BenchmarkBare are the same requests over loopback, one to the handler, one to nothing.
func BenchmarkServe(b *testing.B) {
	s := newSite(b)
	s.handler.Observer = nil
	benchmarkHTTP(b, s.handler)
}

func BenchmarkBare(b *testing.B) {
	benchmarkHTTP(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "status=OK\r\n\r\n") }))
}

func benchmarkHTTP(b *testing.B, h http.Handler) {
	target := serve(b, h) + "id=1&nonce=" + nonce + "&otp=" + worked().Press(b, yubiotp.Token{UseCounter: 1})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			resp, err := client.Get(target)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
