package console_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
)

var hiddenField = regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`)

// again logs in on the page that a is, as a browser does.
func (b *browser) again(a answer, apiToken string) answer {
	fields := []string{"token", apiToken}
	for _, m := range hiddenField.FindAllStringSubmatch(a.body, -1) {
		fields = append(fields, m[1], strings.ReplaceAll(m[2], "&#34;", `"`))
	}
	return b.post("/console/login", fields...)
}

// TestFormOfAnEndedSession: it does nothing and says so; after the log-in it is there as it was filled in, but for what may be a code.
func TestFormOfAnEndedSession(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	apiToken := s.operator("heidi", desk.RoleHelpdesk)
	const note = `left on the train to "Kiel", says the caller's brother`
	for i, c := range []struct {
		path   string
		fields []string
		want   []string // on the page after the log-in
		never  string
	}{
		{"/console/tokens/1/block", []string{"reason", "stolen", "note", note}, []string{"Block this token?", `value="stolen" checked`, `value="left on the train to &#34;Kiel&#34;`}, ""},
		{"/console/tokens/1/block", []string{"reason", "forgotten", "until", "2026-05-09"}, []string{`value="forgotten" checked`, `value="2026-05-09"`}, ""},
		{"/console/persons/ada/temp", []string{"valid", "72h", "uses", "7", "client", "1", "note", note}, []string{`value="72h" checked`, `value="7"`, `value="1" selected`, "Kiel"}, ""},
		{"/console/search", []string{"q", "love"}, []string{"2 found", `value="love"`}, ""},
		{"/console/search", []string{"q", strings.Repeat("c", 44)}, []string{"Whom can we help?"}, strings.Repeat("c", 44)},
		{"/console/tokens/2/restore", []string{"code", "919191"}, []string{"One-time password or code"}, "919191"},
		{"/console/tokens/2/undo", nil, []string{"Whom can we help?"}, ""},
	} {
		b := s.loggedIn(fmt.Sprint("grace", i), desk.RoleHelpdesk)
		s.clock.add(desk.SessionIdle + time.Second)
		before := s.events()
		asked := b.post(c.path, c.fields...)
		wants(t, c.path, asked, "nothing was done")
		wants(t, c.path, b.again(asked, "td_wrong"), "not an API token")
		if s.events() != before {
			t.Errorf("%s: something was changed", c.path)
		}
		a := b.again(asked, apiToken)
		for _, text := range c.want {
			if a.status != http.StatusOK || !strings.Contains(a.body, text) {
				t.Errorf("%s %q: %d, %q is missing at %s", c.path, c.fields, a.status, text, a.path)
			}
		}
		if all := asked.body + a.body; strings.Contains(all, apiToken) || c.never != "" && strings.Contains(all, c.never) {
			t.Errorf("%s: a secret is in the page", c.path)
		}
		s.clock.add(time.Minute) // log-ins are throttled
	}
}

// TestWayBackAfterLogIn: to the page that was asked for, and never to another server.
func TestWayBackAfterLogIn(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	apiToken := s.operator("grace", desk.RoleHelpdesk)
	b := s.browser()
	if a := b.again(b.get("/console/tokens/1"), apiToken); a.path != "/console/tokens/1" {
		t.Errorf("the page of a token: %s", a.path)
	}
	for _, to := range []string{"https://evil.example/", "//evil.example/console/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "/enroll/x", "/console/\r\nSet-Cookie: x=y", "%2f%2fevil.example", "/console/%zz", "/console/../enroll/x", "/console/%2e%2e/x", "/console//x", "/console"} {
		s.clock.add(time.Minute)
		for _, reason := range []string{"", "lost"} {
			b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			if a := b.post("/console/login", "token", apiToken, "to", to, "reason", reason); a.header.Get("Location") != "/console/" {
				t.Errorf("%q: %d to %q", to, a.status, a.header.Get("Location"))
			}
		}
	}
}
