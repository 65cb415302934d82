package console_test

import (
	"encoding/base32"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// link is an enrolment link for ada.
func (s *site) link() (path, pin string) {
	s.t.Helper()
	l, err := s.desk.Enroll(s.t.Context(), "ada", desk.App{Issuer: "Example University"}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return "/enroll/" + string(l.Value.Reveal()), string(l.PIN.Reveal())
}

var (
	base32Shown = regexp.MustCompile(`id="secret">([^<]+)<`)
	uriShown    = regexp.MustCompile(`href="(otpauth:[^"]+)"`)
)

// codeOf is the code that an app shows which has the secret of the page.
func codeOf(t *testing.T, page string, now time.Time) string {
	t.Helper()
	m := base32Shown.FindStringSubmatch(page)
	if m == nil {
		t.Fatal("no secret is shown")
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(m[1], " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	g, err := oath.New(secret.New(raw), oath.SHA1, 6)
	if err != nil {
		t.Fatal(err)
	}
	return g.Code(oath.Step(now, 30*time.Second))
}

// TestEnroll is the walk of a person: the link, the PIN, the secret, the code; and what goes wrong on the way.
func TestEnroll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ada", "Ada Lovelace")
	path, pin := s.link()
	before := s.events()
	b := s.browser()
	for range 3 { // a scanner of mails
		wants(t, "the link", b.get(path), "Set up your app", "Your PIN")
		b.do(b.request(http.MethodHead, path, nil))
	}
	if s.events() != before {
		t.Error("opening the link changed something")
	}
	a := b.post(path, "pin", "222222")
	if a.status != http.StatusForbidden || base32Shown.MatchString(a.body) {
		t.Errorf("a wrong PIN: %d", a.status)
	}
	wants(t, "a wrong PIN", a, "This is not the PIN.", "After 5 wrong ones")
	a = b.post(path, "pin", strings.ToLower(pin[:3]+" "+pin[3:]))
	wants(t, "the secret", a, "Example University", "ada", "TOTP", "SHA1", "30 s", "<svg ")
	m := uriShown.FindStringSubmatch(a.body)
	if m == nil || !strings.HasPrefix(html.UnescapeString(m[1]), "otpauth://totp/") {
		t.Errorf("the link for the same phone: %q", m)
	}
	code := codeOf(t, a.body, s.clock.now())
	for name, c := range map[string]struct{ code, name, want string }{
		"a wrong code": {wrong(code), "my phone", "The code does not fit yet."}, "no code": {"hello", "my phone", "That is not a code of the app."},
		"no name": {code, " ", "Please choose another name"}, "a long name": {code, strings.Repeat("x", 2000), "Please choose another name"},
	} {
		again := b.post(path+"/finish", "pin", pin, "code", c.code, "name", c.name)
		wants(t, name, again, c.want)
		if codeOf(t, again.body, s.clock.now()) != code {
			t.Errorf("%s: another secret is shown", name)
		}
	}
	wants(t, "a wrong PIN at the end", b.post(path+"/finish", "pin", "222222", "code", code, "name", "my phone"), "This is not the PIN.")
	wants(t, "the end", b.post(path+"/finish", "pin", pin, "code", code, "name", "my phone"), "Your app is ready.")
	_, tokens, err := s.desk.Person(t.Context(), "ada")
	if err != nil || len(tokens) != 1 || tokens[0].State != token.Active || tokens[0].Name != "my phone" {
		t.Errorf("%+v, %v", tokens, err)
	}
	for _, a := range []answer{b.get(path), b.post(path, "pin", pin), b.post(path+"/finish", "pin", pin, "code", code, "name", "x")} {
		wants(t, "afterwards", a, "This link was used already")
		if base32Shown.MatchString(a.body) {
			t.Error("the secret is shown afterwards")
		}
	}
	for _, leak := range []string{pin, code, strings.TrimPrefix(path, "/enroll/")} {
		if strings.Contains(s.log.String(), leak) {
			t.Error("the log holds the link, the PIN or the code")
		}
	}
}

// wrong is another code of six digits.
func wrong(code string) string {
	return code[:5] + string('0'+(code[5]-'0'+1)%10)
}

// TestEveryStateOfALinkHasItsSentence, in both languages.
func TestEveryStateOfALinkHasItsSentence(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ada", "Ada Lovelace")
	b := s.browser()
	in := func(language, path string) answer {
		r := b.request(http.MethodGet, path, nil)
		r.Header.Set("Accept-Language", language)
		return b.do(r)
	}
	check := func(what, path string, status int, english, german string) {
		t.Helper()
		for language, want := range map[string]string{"en-US,en;q=0.9": english, "de-DE,de;q=0.9,en;q=0.5": german} {
			a := in(language, path)
			if a.status != status || !strings.Contains(a.body, want) || !strings.Contains(a.body, `lang="`+language[:2]+`"`) {
				t.Errorf("%s (%s): %d", what, language, a.status)
			}
		}
	}
	check("unknown", "/enroll/"+strings.Repeat("A", 43), http.StatusNotFound, "There is no such link", "Diesen Link gibt es nicht")
	check("no link", "/enroll/", http.StatusNotFound, "There is no such link", "Diesen Link gibt es nicht")
	path, pin := s.link()
	check("open", path, http.StatusOK, "Set up your app", "App einrichten")
	a := b.post(path, "pin", pin)
	check("shown", path, http.StatusOK, "Set up your app", "App einrichten")
	s.clock.add(desk.SecretTime + time.Second)
	a = b.post(path+"/finish", "pin", pin, "code", codeOf(t, a.body, s.clock.now()), "name", "my phone")
	wants(t, "a code too late", a, "That took too long.")
	s.clock.add(desk.DefaultLinkTime)
	check("expired", path, http.StatusGone, "This link is too old", "Dieser Link ist abgelaufen")
	path, _ = s.link()
	for range desk.PINTries {
		a = b.post(path, "pin", "222222")
	}
	check("locked", path, http.StatusGone, "This link is locked", "Dieser Link ist gesperrt")
	path, _ = s.link()
	phone := s.app("ada", "old phone")
	if _, _, _, err := s.desk.Block(t.Context(), desk.ByID(phone.token.ID), desk.Block{Reason: token.ReasonStolen}); err != nil {
		t.Fatal(err)
	}
	check("cancelled", path, http.StatusGone, "This link was cancelled", "Dieser Link wurde zurückgezogen")
}
