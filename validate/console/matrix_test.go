package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// The table of rights as a person would write it on paper: who may do what on the pages.
var mayDo = []struct {
	method, path string // TOKEN, BLOCKED and BROWSER stand for numbers
	roles        string
	want         int // of somebody who may, before redirects
}{
	{"GET", "/console/", "provisioner issuer helpdesk auditor admin", 200},
	{"GET", "/console/search?q=love", "issuer helpdesk auditor", 200},
	{"POST", "/console/search", "issuer helpdesk auditor", 303},
	{"POST", "/console/support", "issuer helpdesk auditor", 200},
	{"GET", "/console/diagnosis", "issuer helpdesk auditor", 200},
	{"GET", "/console/diagnosis?for=ada", "issuer helpdesk auditor", 200},
	{"POST", "/console/diagnosis", "issuer helpdesk", 200}, // the auditor: without a person
	{"GET", "/console/tokens/TOKEN", "issuer helpdesk auditor", 200},
	{"GET", "/console/tokens/TOKEN/block", "issuer helpdesk", 200},
	{"POST", "/console/tokens/TOKEN/block", "issuer helpdesk", 303},
	{"GET", "/console/tokens/BLOCKED/blocked", "issuer helpdesk", 200},
	{"POST", "/console/tokens/BLOCKED/undo", "issuer helpdesk", 409}, // somebody else blocked it
	{"POST", "/console/tokens/BLOCKED/settle", "issuer helpdesk", 303},
	{"GET", "/console/tokens/BLOCKED/restore", "issuer helpdesk", 200},
	{"POST", "/console/tokens/BLOCKED/restore", "issuer helpdesk", 422},
	{"GET", "/console/persons/ada", "issuer helpdesk auditor", 200},
	{"POST", "/console/persons/ada/browsers/BROWSER/revoke", "issuer helpdesk", 303},
	{"GET", "/console/persons/ada/temp", "helpdesk", 200},
	{"POST", "/console/persons/ada/temp", "helpdesk", 200},
	{"POST", "/console/persons/ada/temp/end", "helpdesk", 303},
	{"POST", "/console/logout", "provisioner issuer helpdesk auditor admin", 303},
}

// crowd is a site with a person who has an active key, a blocked app and a trusted browser.
func crowd(t *testing.T) (s *site, replace *strings.Replacer) {
	s = newSite(t)
	ada := s.person("ada", "Ada Lovelace")
	key, phone := s.key(ada, 12345678), s.app("ada", "my phone")
	if _, _, _, err := s.desk.Block(t.Context(), desk.ByID(phone.token.ID), desk.Block{Reason: token.ReasonForgotten}); err != nil {
		t.Fatal(err)
	}
	c, err := s.desk.AddClient(t.Context(), "vpn", desk.ClientRights{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.Trust(t.Context(), ada.ID, key.ID, c.ID, "Firefox"); err != nil {
		t.Fatal(err)
	}
	s.doctor["7KM4Q2X9"] = diagnose.Attempt{Code: "7KM4Q2X9", At: s.clock.now(), Person: &ada, Token: key.ID, Client: c.ID}
	list, err := s.desk.Browsers(t.Context(), "ada")
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	s.clock.add(time.Minute)
	return s, strings.NewReplacer("TOKEN", fmt.Sprint(key.ID), "BLOCKED", fmt.Sprint(phone.token.ID), "BROWSER", fmt.Sprint(list[0].ID))
}

// TestEveryRouteAndRole: each role gets what the table says, and 403 for the rest; somebody who is not logged in gets nothing.
func TestEveryRouteAndRole(t *testing.T) {
	t.Parallel()
	for _, role := range desk.Roles() {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			shared, replace := crowd(t)
			reader := shared.loggedIn("grace", role)
			for _, m := range mayDo {
				b, allowed := reader, strings.Contains(" "+m.roles+" ", " "+string(role)+" ")
				want := http.StatusForbidden
				if allowed {
					want = m.want
				}
				if allowed && m.method == http.MethodPost { // anew: what is done changes it
					s, _ := crowd(t)
					b = s.loggedIn("grace", role)
				}
				if a := b.once(m.method, replace.Replace(m.path)); a.status != want {
					t.Errorf("%s %s: %d, want %d", m.method, m.path, a.status, want)
				} else if !allowed && strings.Contains(a.body, "Lovelace") {
					t.Errorf("%s %s: the refusal names a person", m.method, m.path)
				}
			}
		})
	}
}

// TestNobodyGetsNothing: without a session every page leads to the log-in, every form gets it as its answer, and nothing is changed.
func TestNobodyGetsNothing(t *testing.T) {
	t.Parallel()
	s, replace := crowd(t)
	before := s.events()
	for _, m := range mayDo {
		a := s.browser().once(m.method, replace.Replace(m.path))
		asked := a.status == http.StatusSeeOther && strings.HasPrefix(a.header.Get("Location"), "/console/login")
		if m.method == http.MethodPost {
			asked = a.status == http.StatusUnauthorized && strings.Contains(a.body, "nothing was done")
		}
		if !asked || strings.Contains(a.body, "Lovelace") {
			t.Errorf("%s %s: %d to %q", m.method, m.path, a.status, a.header.Get("Location"))
		}
	}
	if s.events() != before {
		t.Error("something was changed")
	}
}

// once sends what a browser would, with fields for every form, and does not follow the answer.
func (b *browser) once(method, path string) answer {
	b.t.Helper()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { b.client.CheckRedirect = nil }()
	if method == http.MethodGet {
		return b.get(path)
	}
	return b.post(path, "q", "lovelace", "code", "7KM4-Q2X9", "who", "ada", "text", "abc", "reason", "lost", "valid", "1h", "uses", "1", "client", "0", "newest", "0")
}

// TestWhatIsNotAllowedIsNotShown: a page holds no way to what its reader may not do.
func TestWhatIsNotAllowedIsNotShown(t *testing.T) {
	t.Parallel()
	ways := []string{"/block", "/undo", "/restore", "/temp", "/revoke"}
	for role, shown := range map[desk.Role]string{
		desk.RoleHelpdesk: "/block /restore /temp /revoke", desk.RoleIssuer: "/block /restore /revoke", desk.RoleAuditor: "",
	} {
		s, replace := crowd(t)
		b := s.loggedIn("grace", role)
		var all strings.Builder
		for _, path := range []string{"/console/tokens/TOKEN", "/console/tokens/BLOCKED", "/console/persons/ada"} {
			all.WriteString(b.get(replace.Replace(path)).body)
		}
		for _, way := range ways {
			has, want := strings.Contains(all.String(), way+`"`), strings.Contains(shown+" ", way+" ")
			if has != want {
				t.Errorf("%s: shows %s: %v, want %v", role, way, has, want)
			}
		}
	}
	s := newSite(t)
	if a := s.loggedIn("root", desk.RoleAdmin).get("/console/"); strings.Contains(a.body, `name="q"`) || !strings.Contains(a.body, "Log out") {
		t.Error("an operator who may not search sees the search, or no way out")
	}
}

// events counts the desk's events.
func (s *site) events() int {
	s.t.Helper()
	n := 0
	for _, err := range s.store.AuditEvents(s.t.Context(), auditFilter) {
		if err != nil {
			s.t.Fatal(err)
		}
		n++
	}
	return n
}
