package wsapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest: no query and no body makes the handler panic or answer with anything but a well-formed text, signed with
// the key of an active client or with the empty one.
func FuzzRequest(f *testing.F) {
	n := 0
	for _, r := range rows(f) {
		n++
		f.Add(fill(f, r.query), fill(f, r.post), strings.HasPrefix(r.path, "/wsapi/verify"))
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, query, body string, old bool) {
		s := newSite(t)
		s.handler.Allow1x = true
		req := httptest.NewRequest(http.MethodPost, "/wsapi/2.0/verify", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.URL.RawQuery = query
		if old {
			req.URL.Path = "/wsapi/verify"
		}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, req)
		r := readReply(t, w.Code, w.Body.String())
		if r.code != http.StatusOK || !r.signedWith("") && !r.signedWith(clientKey) {
			t.Errorf("HTTP %d, %v", r.code, r.value)
		}
		if r.value["status"] == yes && !r.signedWith(clientKey) {
			t.Error("OK without the client's key")
		}
	})
}
