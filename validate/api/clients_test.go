package api

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
)

// TestWhichClient: by a key from where it may ask, or without one by the narrowest network that is one client's alone.
func TestWhichClient(t *testing.T) {
	t.Parallel()
	net := func(list ...string) (out []netip.Prefix) {
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	key := func(s string) []secret.Bytes { return []secret.Bytes{secret.New([]byte(s))} }
	clients := fakeClients{append(newFakeClients().list,
		validate.Client{ID: 4, Active: true, Networks: net("192.0.2.128/25", "2001:db8::/64"), Keys: key("k4")},
		validate.Client{ID: 5, Active: true, Networks: net("198.51.100.0/24"), Keys: key("k5")},
		validate.Client{ID: 6, Active: true, Networks: net("198.51.100.0/24"), Keys: key("k6")},
		validate.Client{ID: 7, Active: true, MustSig: true, Networks: net("192.0.2.200/32"), Keys: key("k7")},
		validate.Client{ID: 8, Active: false, Networks: net("192.0.2.201/32"), Keys: key("k8")},
		validate.Client{ID: 9, Active: true, Keys: key("")}, // no network: never known by one
	)}
	for _, tc := range []struct {
		name, source, header string
		want                 int64 // 0: refused
	}{
		{"newer key", "203.0.113.9", basic(newerKey), 1},
		{"former key", "203.0.113.9", basic(formerKey), 1},
		{"wrong key", "203.0.113.9", basic("1:YmFk"), 0},
		{"no key", "203.0.113.9", basic("1:"), 0},
		{"no base64", "203.0.113.9", basic("1:newer key"), 0},
		{"unknown", "203.0.113.9", basic("99:bmV3ZXIga2V5"), 0},
		{"no number", "203.0.113.9", basic("mail:bmV3ZXIga2V5"), 0},
		{"revoked", "203.0.113.9", basic("3:"), 0},
		{"revoked, right key", "192.0.2.201", basic("8:azg="), 0},
		{"empty key", "203.0.113.9", basic("9:"), 0},
		{"another's key", "203.0.113.9", basic("2:bmV3ZXIga2V5"), 0},
		{"key from elsewhere", "203.0.113.9", basic("2:dnBuIGtleQ=="), 0},
		{"key from its network", "192.0.2.7", basic("2:dnBuIGtleQ=="), 2},
		{"wrong key from its network", "192.0.2.7", basic("2:YmFk"), 0},
		{"other scheme", "192.0.2.7", "Bearer td_admin", 0},
		{"nobody's network", "203.0.113.9", "", 0},
		{"its network", "192.0.2.7", "", 2},
		{"mapped", "::ffff:192.0.2.7", "", 2},
		{"narrower", "192.0.2.130", "", 4},
		{"must sign", "192.0.2.200", "", 4},
		{"revoked one's network", "192.0.2.201", "", 4},
		{"IPv6", "2001:db8::1", "", 4},
		{"two clients' network", "198.51.100.1", "", 0},
		{"no address", "@", "", 0},
	} {
		s := newSite(t)
		s.Clients = clients
		req := httptest.NewRequest(http.MethodPost, "/api/v1/verify", strings.NewReader(`{"person":"ada","factor":"good totp"}`))
		req.Header.Set("Content-Type", "application/json")
		req.RemoteAddr = netaddr(tc.source)
		if tc.header != "" {
			req.Header.Set("Authorization", tc.header)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if got := s.checker.last.Client.ID; got != tc.want || (w.Code == http.StatusOK) != (tc.want != 0) {
			t.Errorf("%s: client %d, want %d, status %d", tc.name, got, tc.want, w.Code)
		}
		if tc.want != 0 && s.checker.last.Signed != (tc.header != "") {
			t.Errorf("%s: signed %v", tc.name, s.checker.last.Signed)
		}
	}
}

func netaddr(source string) string {
	if strings.Contains(source, ":") {
		return "[" + source + "]:1"
	}
	return source + ":1"
}

func basic(pair string) string {
	req := http.Request{Header: http.Header{}}
	id, key, _ := strings.Cut(pair, ":")
	req.SetBasicAuth(id, key)
	return req.Header.Get("Authorization")
}

// TestWrongTokens: after ten wrong tokens in a minute an address is told to wait, unless the token is right: nobody keeps staff out by
// wrong tokens from the address of their proxy.
func TestWrongTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	now := fakeTime
	s.Now = func() time.Time { return now }
	try := func(source, who string) int {
		req := httptest.NewRequest(http.MethodGet, "/api/v1/operators", nil)
		req.RemoteAddr = netaddr(source)
		return do(s, req, who).Code
	}
	for i := range caller.WrongMost {
		if got := try("203.0.113.9", "td_wrong"); got != http.StatusUnauthorized {
			t.Fatalf("%d: %d", i, got)
		}
	}
	if got := try("203.0.113.9", "td_wrong"); got != http.StatusTooManyRequests {
		t.Errorf("one more: %d", got)
	}
	if got := try("203.0.113.9", "td_admin"); got != http.StatusOK {
		t.Errorf("the right one: %d", got)
	}
	for range 3 * caller.WrongMost { // no token is not a wrong one
		try("203.0.113.10", "")
	}
	if got := try("203.0.113.10", "td_wrong"); got != http.StatusUnauthorized {
		t.Errorf("another address, after requests without token: %d", got)
	}
	now = now.Add(caller.WrongEvery)
	if got := try("203.0.113.9", "td_wrong"); got != http.StatusUnauthorized {
		t.Errorf("a minute later: %d", got)
	}
}

// TestLimit: what asks too often is refused before anything is looked up.
func TestLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Limit = func(source string) bool { return source == "203.0.113.9" }
	for _, r := range routes() {
		query, body := sample(r)
		if w := ask(s, r.method, filled(r.path)+query, whoMay(r), body); w.Code != http.StatusTooManyRequests {
			t.Errorf("%s %s: %d", r.method, r.path, w.Code)
		}
	}
	if s.desk.looks+s.desk.verbs+s.checker.checks != 0 {
		t.Error("something was done")
	}
}

// TestClientLimit: a relying server that asks too often is refused when it is known, and before anything is checked; staff never.
func TestClientLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ClientLimit = func(c validate.Client) bool { return c.ID > 0 }
	for _, r := range routes() {
		query, body := sample(r)
		w := ask(s, r.method, filled(r.path)+query, whoMay(r), body)
		if limited := w.Code == http.StatusTooManyRequests; limited != (r.who == relying) {
			t.Errorf("%s %s: %d", r.method, r.path, w.Code)
		}
	}
	if s.checker.checks != 0 {
		t.Error("something was checked")
	}
}

// TestIdempotencyKey is refused: requests are not remembered.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	req := httptest.NewRequest(http.MethodPost, "/api/v1/codes/temp", strings.NewReader(`{"person":"ada"}`))
	req.Header.Set("Idempotency-Key", "1")
	if w := do(s, req, "td_helpdesk"); w.Code != http.StatusBadRequest || s.desk.verbs != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
