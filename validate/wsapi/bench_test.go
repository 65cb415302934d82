package wsapi_test

import (
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
