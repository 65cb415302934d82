package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate/caller"
)

// TestHeaders: every answer, of whatever kind, has the policy and is kept by nobody.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	for path, want := range map[string]struct{ cache, referrer string }{
		"/console/":          {"no-store", "same-origin"},
		"/console":           {"no-store", "same-origin"},
		"/console/login":     {"no-store", "same-origin"},
		"/console/tokens/99": {"no-store", "same-origin"},
		"/console/style.css": {"no-cache", "same-origin"},
		"/console/icon.svg":  {"no-cache", "same-origin"},
		"/enroll/unknown":    {"no-store", "no-referrer"},
		"/enroll/":           {"no-store", "no-referrer"},
		"/enroll/a/b/c":      {"no-store", "no-referrer"},
		"/enroll/style.css":  {"no-cache", "same-origin"},
	} {
		a := b.once(http.MethodGet, path)
		for name, value := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": want.cache, "Referrer-Policy": want.referrer,
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s: %s: %q, want %q", path, name, got, value)
			}
		}
		if strings.Contains(a.body, "<script") || strings.Contains(a.body, "style=") || strings.Contains(a.body, "javascript:") {
			t.Errorf("%s holds a script or a style of its own", path)
		}
	}
}

// TestCookie: scripts cannot read it, no other site sends it, no other path gets it, and over TLS it stays there.
func TestCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	apiToken := s.operator("grace", desk.RoleHelpdesk)
	proxies, err := caller.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	s.server.Config.Handler = proxies.Handler(s.server.Config.Handler)
	for name, forwarded := range map[string]string{"tokendesk": "http", "__Secure-tokendesk": "https"} {
		b := s.browser()
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		r := b.form("/console/login", "token", apiToken)
		r.Header.Set("X-Forwarded-Proto", forwarded)
		cookie := b.do(r).header.Get("Set-Cookie")
		for part, want := range map[string]bool{name + "=": true, "Path=/console": true, "HttpOnly": true, "SameSite=Strict": true, "Secure;": forwarded == "https", "Expires": false} {
			if strings.Contains(cookie+";", part) != want {
				t.Errorf("%s: %q: %v, want %v", forwarded, part, !want, want)
			}
		}
		if strings.Contains(cookie, apiToken) {
			t.Error("the cookie is the API token")
		}
	}
}

// TestForgedFormsAreRefused: what another site, another session or nobody's page sends changes nothing.
func TestForgedFormsAreRefused(t *testing.T) {
	t.Parallel()
	s, replace := crowd(t)
	b, other := s.loggedIn("grace", desk.RoleHelpdesk), s.loggedIn("heidi", desk.RoleHelpdesk)
	path := replace.Replace("/console/tokens/TOKEN/block")
	before := s.events()
	for name, forge := range map[string]func(*http.Request){
		"another site":         func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another sub-domain":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"another origin":       func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		"a sandboxed page":     func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		"the value in the URL": func(r *http.Request) { r.URL.RawQuery = "csrf=" + b.csrf + "&reason=lost" },
	} {
		r := b.form(path, "reason", "lost")
		if name == "the value in the URL" {
			r = b.form(path, "csrf", "")
		}
		forge(r)
		if a := b.do(r); a.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	for name, value := range map[string]string{"no value": "", "a wrong value": strings.Repeat("A", len(b.csrf)), "another session's": other.csrf} {
		if a := b.post(path, "reason", "lost", "csrf", value); a.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	forged := s.browser()
	r := forged.form("/console/login", "token", s.operator("mallory", desk.RoleHelpdesk))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	before++ // the operator
	if a := forged.do(r); a.status != http.StatusForbidden || a.header.Get("Set-Cookie") != "" {
		t.Errorf("log-in from another site: %d", a.status)
	}
	if s.events() != before {
		t.Error("something was changed")
	}
	if a := b.once(http.MethodPost, path); a.status != http.StatusSeeOther {
		t.Errorf("the right form: %d", a.status)
	}
}

// TestSessionEnds: after 15 minutes without a click, after 8 hours, at log-out, and with its operator.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	in := func(b *browser) bool { return b.get("/console/").path == "/console/" }
	idle := s.loggedIn("idle", desk.RoleHelpdesk)
	s.clock.add(desk.SessionIdle - 2*time.Minute)
	if !in(idle) {
		t.Error("ended too early")
	}
	s.clock.add(desk.SessionIdle + time.Second)
	if in(idle) {
		t.Error("lives on after 15 minutes")
	}
	busy := s.loggedIn("busy", desk.RoleHelpdesk)
	for begun := s.clock.now(); s.clock.now().Sub(begun) < desk.SessionMost-15*time.Minute; s.clock.add(10 * time.Minute) {
		if !in(busy) {
			t.Fatalf("ended after %v", s.clock.now().Sub(begun))
		}
	}
	s.clock.add(10 * time.Minute)
	if s.clock.add(6 * time.Minute); in(busy) {
		t.Error("lives on after 8 hours")
	}
	out := s.loggedIn("out", desk.RoleHelpdesk)
	stolen, _ := http.NewRequest(http.MethodGet, s.server.URL+"/console/", nil)
	for _, c := range out.client.Jar.Cookies(stolen.URL) {
		stolen.AddCookie(c)
	}
	gone := s.loggedIn("again", desk.RoleHelpdesk)
	gone.get("/console/")
	if a := gone.once(http.MethodPost, "/console/logout"); !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Error("the browser keeps the cookie")
	}
	if a := out.post("/console/logout"); a.path != "/console/login" || in(out) {
		t.Error("not logged out")
	}
	if a := s.browser().do(stolen); a.path != "/console/login" {
		t.Error("the cookie lives on after log-out")
	}
	gone = s.loggedIn("gone", desk.RoleHelpdesk)
	if err := s.desk.RevokeOperator(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if in(gone) {
		t.Error("lives on without its operator")
	}
}

// TestLogInIsThrottled: ten wrong ones a minute from one address, with the same answer to each; a right one counts nowhere, so that
// nobody keeps staff out from the address of their proxy.
func TestLogInIsThrottled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	apiToken, revoked := s.operator("grace", desk.RoleHelpdesk), s.operator("gone", desk.RoleHelpdesk)
	if err := s.desk.RevokeOperator(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	b := s.browser()
	var first string
	for i, text := range []string{"", "x", "td_", "td_" + strings.Repeat("A", 43), revoked, strings.ToUpper(apiToken), apiToken[3:], apiToken + "A", "\x00", "td_ä"} {
		a := b.post("/console/login", "token", text)
		if i == 0 {
			first = a.body
		}
		if a.status != http.StatusUnauthorized || a.body != first || a.header.Get("Set-Cookie") != "" {
			t.Errorf("wrong token %d: %d", i, a.status)
		}
	}
	if a := b.post("/console/login", "token", "x"); a.status != http.StatusTooManyRequests {
		t.Errorf("the eleventh: %d", a.status)
	}
	for range 20 {
		if a := s.browser().post("/console/login", "token", apiToken); a.status != http.StatusOK || a.path != "/console/" {
			t.Fatalf("the right one: %d", a.status)
		}
	}
	s.clock.add(time.Minute)
	if a := b.post("/console/login", "token", "x"); a.status != http.StatusUnauthorized {
		t.Errorf("a minute later: %d", a.status)
	}
}

// TestLongAndBrokenForms: none of them is read to its end, and none is an error of the server.
func TestLongAndBrokenForms(t *testing.T) {
	t.Parallel()
	s, replace := crowd(t)
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	for name, body := range map[string]string{"long": "q=" + strings.Repeat("a", 100_000), "broken": "q=%zz"} {
		r := b.request(http.MethodPost, "/console/search", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if a := b.do(r); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	for _, path := range []string{"/console/tokens/0", "/console/tokens/-1", "/console/tokens/99999999999999999999", "/console/tokens/x", "/console/nothing",
		"/console/persons/nobody", "/console/persons/..%2F..%2Fetc", "/console/tokens/TOKEN/nothing"} {
		if a := b.get(replace.Replace(path)); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if strings.Contains(s.log.String(), "level=ERROR") {
		t.Error(s.log.String())
	}
}
