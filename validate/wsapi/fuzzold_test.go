package wsapi_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// FuzzSync: no query makes the handler panic, lower a counter, make a key, or answer with anything but a well-formed text of a known status.
func FuzzSync(f *testing.F) {
	n := 0
	for _, r := range syncRows() {
		if _, query, found := strings.Cut(r.target, "?"); found {
			f.Add(query)
			n++
		}
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, query string) {
		s, h, _ := pool(t)
		syncAsk(t, h, syncQuery(5, 3))
		r := httptest.NewRequest(http.MethodGet, "/wsapi/2.0/sync", nil)
		r.URL.RawQuery, r.RemoteAddr = query, "192.0.2.7:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := readReply(t, w.Code, w.Body.String())
		if w.Code != http.StatusOK || !got.signedWith("") || !slices.Contains([]string{yes, missing, backend}, got.value["status"]) {
			t.Errorf("HTTP %d, %v", w.Code, got.value)
		}
		c, err := s.store.Find(t.Context(), worked().PublicID)
		if n := c.Row.Counters; err != nil || n.Use < 5 || n.Use == 5 && n.Session < 3 || n.Use > 0x7fff || n.Session > 255 || n.Timestamp > 0xffffff {
			t.Errorf("stored %+v, %v", n, err)
		}
	})
}

// FuzzLines: no query makes the doors that answer in one line panic, or answer in more than one, or in what is not plain text.
func FuzzLines(f *testing.F) {
	for _, query := range []string{"otp=" + workedOTP, "otp=%0A", "otp=" + workedOTP + "&otp=x", "yk=vvcccccccccb&do=disable", "yk=%ff%0d%0a&do=enable", "yk=vvcccccccccb&do=%00", "id=1&h=x&otp="} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		_, ksm, _ := newKSM(t)
		ksm.Loopback = true
		_, revoke, _, _ := revoker(t)
		revoke.From = prefixes("127.0.0.0/8")
		for _, h := range []http.Handler{ksm, revoke} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL.RawQuery, r.RemoteAddr = query, "127.0.0.1:1"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			body, ended := strings.CutSuffix(w.Body.String(), "\n")
			bad := strings.ContainsFunc(body, func(c rune) bool { return c > unicode.MaxASCII || unicode.IsControl(c) })
			if !ended || bad || len(body) > 120 || !strings.HasPrefix(body, "OK ") && !strings.HasPrefix(body, "ERR") {
				t.Errorf("%T: HTTP %d, %q", h, w.Code, body)
			}
		}
	})
}
