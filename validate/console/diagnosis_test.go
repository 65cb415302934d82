package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TestDiagnosis: what does not work is typed for a person, a token or nobody; the causes come with their advice, and the text stays in no
// page, address or log, is not used up and changes nothing.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ada, bob := s.person("ada", "Ada Lovelace"), s.person("bob", "Bob")
	s.key(ada, 12345678)
	s.key(bob, 7654321)
	phone := s.app("bob", "my phone")
	s.clock.add(time.Hour)
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	wants(t, "the person's page", b.get("/console/persons/ada"), `href="/console/diagnosis?for=ada"`)
	wants(t, "the token's page", b.get("/console/tokens/1"), `href="/console/diagnosis?for=12345678"`)
	wants(t, "the form", b.get("/console/diagnosis?for=12345678"), `value="12345678"`)
	otp := token.SerialPublicID(12345678).String() + modhex.EncodeToString(make([]byte, 16))
	before := s.events()
	for _, c := range []struct {
		name, who, text string
		status          int
		want            []string
	}{
		{"nothing", "ada", "", 200, []string{"nothing arrived", "D01", "Ada Lovelace"}},
		{"for a person", "bob", otp, 200, []string{"key of somebody else", "D13", "Tell the caller", "This is not your key"}},
		{"for a serial", "12345678", otp, 200, []string{"does not decrypt", "D16", "Ada Lovelace", "12345678"}},
		{"for nobody", "", strings.ToUpper(otp), 200, []string{"capital letters", "By the text alone"}},
		{"a code of an app whose clock is off", "bob", phone.at(s.clock.now().Add(45 * time.Minute)), 200, []string{"D24"}},
		{"a right code", " bob ", phone.at(s.clock.now()), 200, []string{"Bob", "would be accepted now"}},
		{"for somebody unknown", "nobody77", otp, 404, []string{"No person has this account"}},
		{"in the wrong field", otp + "x", "", 404, []string{"No person has this account"}},
		{"a script", "<script>", `"><script>alert(1)</script>`, 404, nil},
		{"a long text", "ada", strings.Repeat("c", 9000), 200, nil},
		{"no text", "ada", "\xff\x00", 200, nil},
	} {
		a := b.post("/console/diagnosis", "who", c.who, "text", c.text)
		if a.status != c.status || strings.Contains(a.body, "<script") {
			t.Errorf("%s: %d", c.name, a.status)
		}
		wants(t, c.name, a, c.want...)
		for _, typed := range []string{c.text, otp} {
			if typed != "" && strings.Contains(strings.ToLower(a.body+s.log.String()), strings.ToLower(typed)) {
				t.Errorf("%s: the text is in the page or the log", c.name)
			}
		}
	}
	if s.events() != before {
		t.Error("something was changed")
	}
	if a := b.post("/console/tokens/3/block", "reason", "forgotten"); a.status != http.StatusOK {
		t.Fatal(a.status)
	}
	if a := b.post("/console/tokens/3/restore", "code", phone.at(s.clock.now())); !strings.Contains(a.body, "is restored") {
		t.Error("the code that was looked at is used up")
	}
}

// TestDiagnosisIsNoOracle: of the codes of a person an operator learns few in an hour, and one who only reads learns nothing.
func TestDiagnosisIsNoOracle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.key(s.person("ada", "Ada Lovelace"), 12345678)
	b, auditor := s.loggedIn("grace", desk.RoleHelpdesk), s.loggedIn("audrey", desk.RoleAuditor)
	for i := range diagnose.MaxGuesses {
		if a := b.post("/console/diagnosis", "who", "ada", "text", "123456"); a.status != http.StatusOK {
			t.Fatalf("code %d: %d", i, a.status)
		}
	}
	for text, want := range map[string]int{"123456": 429, "7KM4Q2X9AB": 429, "": 200, strings.Repeat("c", 44): 200} {
		if a := b.post("/console/diagnosis", "who", "ada", "text", text); a.status != want {
			t.Errorf("%d characters more: %d, want %d", len(text), a.status, want)
		}
	}
	if a := b.post("/console/diagnosis", "who", "", "text", "123456"); a.status != http.StatusOK {
		t.Errorf("for nobody: %d", a.status)
	}
	for who, want := range map[string]int{"": 200, "ada": 403, "12345678": 403, "nobody": 403} {
		if a := auditor.post("/console/diagnosis", "who", who, "text", "123456"); a.status != want {
			t.Errorf("the auditor for %q: %d, want %d", who, a.status, want)
		}
	}
	for _, path := range []string{"/console/persons/ada", "/console/tokens/1"} {
		if strings.Contains(auditor.get(path).body, "/console/diagnosis") {
			t.Errorf("%s leads the auditor there", path)
		}
	}
	if a := auditor.get("/console/diagnosis?for=ada"); strings.Contains(a.body, `name="who"`) || a.status != http.StatusOK {
		t.Errorf("the auditor's form: %d", a.status)
	}
}
