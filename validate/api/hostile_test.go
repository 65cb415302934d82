package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/validate/eventlog"
)

// TestDeviceIsRefusedFirst: a name that no browser can have costs no code.
func TestDeviceIsRefusedFirst(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	h.issued()
	ask := func(device string) (int, string) {
		w := ask(h.servers[0], "POST", "/api/v1/verify", h.client, `{"person":"ada","factor":"`+h.code("C200-1")+`","remember":true,"device":"`+device+`"}`)
		return w.Code, w.Body.String()
	}
	for _, device := range []string{`a\tb`, `a\u0000`, strings.Repeat("x", 2000)} {
		if code, body := ask(device); code != http.StatusBadRequest || !strings.Contains(body, `"message":"device: `) {
			t.Errorf("%d %s", code, body)
		}
	}
	if code, body := ask("laptop"); code != http.StatusOK || !strings.Contains(body, `"browser":`) {
		t.Errorf("%d %s", code, body)
	}
}

// TestDeadStore: without its store no address says yes, no, or that somebody is unknown, and the log holds nothing that was typed.
func TestDeadStore(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	h.issued()
	var log strings.Builder
	s := h.servers[0]
	s.Observer = eventlog.New(slog.New(slog.NewTextHandler(&log, nil)))
	h.check(h.close())
	for _, r := range routes() {
		query, body := sample(r)
		who := h.staff[strings.TrimPrefix(whoMay(r), "td_")]
		if r.who == relying {
			who = h.client
		}
		if w := ask(s, r.method, filled(r.path)+query, who, body); w.Code != http.StatusServiceUnavailable || !strings.Contains(strings.ToLower(w.Body.String()), "support") {
			t.Errorf("%s %s: %d %s", r.method, r.path, w.Code, w.Body)
		}
	}
	s.Wait()
	for _, typed := range []string{"ada", "good", "123456", "R2D2"} {
		if strings.Contains(log.String(), typed) {
			t.Errorf("the log holds %q\n%s", typed, log.String())
		}
	}
}

// TestBrowserIsNoClient: a page of any site can have a browser send a form; the network that the browser is in proves nothing then.
func TestBrowserIsNoClient(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int{"": 200, "Origin: https://evil.example": 401, "Origin: null": 401, "Sec-Fetch-Site: cross-site": 401} {
		s := newSite(t)
		req := httptest.NewRequest("POST", "/validate/check", strings.NewReader("user=ada&pass=000000"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.RemoteAddr = "192.0.2.7:1"
		if name, value, ok := strings.Cut(header, ": "); ok {
			req.Header.Set(name, value)
		}
		if got := do(s, req, "").Code; got != want {
			t.Errorf("%s: %d, want %d", header, got, want)
		}
	}
}

// TestFieldNames: what is wrong is called as it was sent.
func TestFieldNames(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	id := h.issued()
	for body, path := range map[string]string{
		`{"to":"ada","id_check":"x","codes":["1"]}`:                         fmt.Sprintf("/api/v1/tokens/%d/issue", id+1),
		`{"to":"bob","id_check":"known","codes":["1"],"replace":1}`:         fmt.Sprintf("/api/v1/tokens/%d/issue", id+1),
		`{"person":"ada","uses":1,"valid_seconds":-1}`:                      "/api/v1/codes/temp",
		`{"person":"ada","uses":1000,"valid_seconds":60}`:                   "/api/v1/codes/temp",
		`{"person":"ada","count":1000}`:                                     "/api/v1/codes/recovery",
		`{"person":"ada","period_seconds":-1}`:                              "/api/v1/activations",
		`{"person":"ada","valid_seconds":1}`:                                "/api/v1/activations",
		`{"person":"ada","type":"x"}`:                                       "/api/v1/activations",
		`{"q":"` + strings.Repeat("x", 2000) + `"}`:                         "/api/v1/search",
		`{"reason":"forgotten","until":"1999-01-01T00:00:00Z"}`:             fmt.Sprintf("/api/v1/tokens/%d/block", id),
		`{"reason":"forgotten","note":"` + strings.Repeat("x", 2000) + `"}`: fmt.Sprintf("/api/v1/tokens/%d/block", id),
	} {
		w := ask(h.servers[0], "POST", path, h.staff["issuer"], body)
		if path == "/api/v1/codes/temp" {
			w = ask(h.servers[0], "POST", path, h.staff["helpdesk"], body)
		}
		_, message, _ := strings.Cut(w.Body.String(), `"message":"`)
		field, _, _ := strings.Cut(message, ":")
		if w.Code != http.StatusBadRequest || !strings.Contains(body, `"`+field+`":`) {
			t.Errorf("%.60s: %d %s", body, w.Code, w.Body)
		}
	}
}
