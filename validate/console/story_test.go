package console_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TestSearchLeads: to the one thing that fits, to a list at an address of its own, or to an answer without address for text that
// could be a code.
func TestSearchLeads(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	s.person("bela", "Béla Schubert")
	s.person("schubert", "Franz Schubert")
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	otp := token.SerialPublicID(12345678).String() + modhex.EncodeToString(make([]byte, 16))
	for _, c := range []struct{ name, text, path string }{
		{"a serial", "12345678", "/console/tokens/1"},
		{"a public ID", token.SerialPublicID(12345678).String(), "/console/tokens/1"},
		{"a typed OTP", otp + "\r\n", "/console/tokens/1"},
		{"a name without accents", "bela", "/console/persons/bela"},
		{"a name that fits two persons", "Schuber", "/console/search"},
		{"a name that could be a code", "schubert", "/console/search"},
		{"a token's name", "my phone", "/console/tokens/2"},
		{"a support code", "7km4 q2x9", "/console/search"},
		{"an OTP of nobody", strings.Repeat("t", 44), "/console/search"},
		{"nothing", "  ", "/console/"},
	} {
		a := b.post("/console/search", "q", c.text)
		if a.path != c.path || a.status != http.StatusOK {
			t.Errorf("%s: %s (%d), want %s", c.name, a.path, a.status, c.path)
		}
		if strings.Contains(a.body, otp) || strings.Contains(a.body, strings.Repeat("t", 44)) {
			t.Errorf("%s: the OTP is in the page", c.name)
		}
	}
	if a := b.once(http.MethodPost, "/console/search"); a.header.Get("Location") == "" || strings.Contains(a.header.Get("Location"), "7KM4") {
		t.Errorf("a plain text leads to %q", a.header.Get("Location"))
	}
	if a := b.post("/console/search", "q", "7KM4Q2X9"); !strings.Contains(a.body, "Support code</h1>") {
		t.Error("the support code has no page")
	}
	for _, text := range []string{otp, "7KM4Q2X9", "7KM4Q-2X9AB", "123456", "PAN234"} {
		if a := b.get("/console/search?q=" + text); a.status != http.StatusBadRequest || strings.Contains(a.body, text) {
			t.Errorf("%d characters in an address: %d", len(text), a.status)
		}
	}
	for _, leak := range []string{otp, "7KM4Q2X9", "7km4 q2x9", "Schuber"} {
		if strings.Contains(s.log.String(), leak) {
			t.Errorf("the log holds %q", leak)
		}
	}
}

// TestLostAndUndone: the red button blocks, the result tells what happened and when, and within ten minutes who pressed it takes it back.
func TestLostAndUndone(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	b, other := s.loggedIn("grace", desk.RoleHelpdesk), s.loggedIn("heidi", desk.RoleHelpdesk)
	a := b.get("/console/tokens/1/block")
	wants(t, "the question", a, "Ada Lovelace", "YubiKey", "12345678", "active")
	a = b.post("/console/tokens/1/block", "reason", "stolen", "note", "left on the train")
	if a.path != "/console/tokens/1/blocked" {
		t.Fatalf("%s: %d", a.path, a.status)
	}
	wants(t, "the result", a, "12345678 is blocked", "Blocked here", "Trusted browsers</b>: 1 removed", "Open links for apps</b>: there were none",
		"Undo the block", "Give a temporary code")
	a = b.get("/console/tokens/1")
	wants(t, "the token", a, "by operator grace: stolen", "note: left on the train", "Undo the block")
	if strings.Contains(other.get("/console/tokens/1").body, "Undo the block") {
		t.Error("another operator is offered to undo it")
	}
	if a := other.post("/console/tokens/1/undo"); a.status != http.StatusConflict {
		t.Errorf("another operator undoes it: %d", a.status)
	}
	s.clock.add(token.UndoTime - time.Minute)
	if a := b.post("/console/tokens/1/undo"); a.path != "/console/tokens/1" || !strings.Contains(a.body, "The block was undone") {
		t.Errorf("undo: %s %d %s", a.path, a.status, a.body)
	}
	wants(t, "the second result", b.post("/console/tokens/1/block", "reason", "lost"), "Trusted browsers</b>: there were none")
	s.clock.add(token.UndoTime + time.Second)
	if a := b.post("/console/tokens/1/undo"); a.status != http.StatusConflict {
		t.Errorf("undo after ten minutes: %d", a.status)
	}
	if strings.Contains(b.get("/console/tokens/1").body, "Undo the block") {
		t.Error("an undo is offered that is not possible")
	}
	if a := b.post("/console/tokens/1/block", "reason", "lost"); a.path != "/console/tokens/1/blocked" || !strings.Contains(a.body, "Blocked here") {
		t.Errorf("a second click: %s %d", a.path, a.status)
	}
	if a := b.get("/console/tokens/1/block"); a.status != http.StatusConflict {
		t.Errorf("the question for a lost token: %d", a.status)
	}
}

// TestBlockRefusesNonsense with a sentence, and keeps what was typed.
func TestBlockRefusesNonsense(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"no reason":         {nil, "Choose what happened."},
		"a wrong one":       {[]string{"reason", "bored"}, "Choose what happened."},
		"a wrong date":      {[]string{"reason", "forgotten", "until", "tomorrow"}, "not understood"},
		"a past date":       {[]string{"reason", "forgotten", "until", "2020-01-01"}, "not in the future"},
		"a date for a loss": {[]string{"reason", "lost", "until", "2030-01-01"}, "only a suspension"},
		"a long note":       {[]string{"reason", "lost", "note", strings.Repeat("a", 1500)}, "too long"},
	} {
		a := b.post("/console/tokens/1/block", append([]string{"note", "left behind"}, c.fields...)...)
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d, %q missing", name, a.status, c.want)
		}
		if !strings.Contains(a.body, "left behind") && name != "a long note" {
			t.Errorf("%s: the note is gone", name)
		}
	}
	if k, _, err := s.desk.Show(t.Context(), desk.ByID(1)); err != nil || k.State.Blocked() {
		t.Errorf("blocked all the same: %s, %v", k.State, err)
	}
	a := b.post("/console/tokens/1/block", "reason", "forgotten", "until", "2026-05-09")
	wants(t, "a suspension", a, "12345678 is blocked", "Ends by itself", "9 May 2026")
}

// TestRestoreAsksForProof: only a fresh code of the token brings it back.
func TestRestoreAsksForProof(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.person("ada", "Ada Lovelace")
	phone := s.app("ada", "my phone")
	used := phone.at(s.clock.now())
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	b.post("/console/tokens/1/block", "reason", "forgotten")
	s.clock.add(time.Minute)
	for name, c := range map[string]struct{ code, want string }{
		"no code":     {"hello", "neither a one-time password nor a code"},
		"a wrong one": {phone.wrong(s.clock.now()), "The code is wrong"},
		"a used one":  {used, "code"},
	} {
		a := b.post("/console/tokens/1/restore", "code", c.code)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d, %q missing", name, a.status, c.want)
		}
		s.clock.add(2 * time.Minute) // the throttle
	}
	a := b.post("/console/tokens/1/restore", "code", phone.at(s.clock.now()))
	if a.path != "/console/tokens/1" || !strings.Contains(a.body, "is restored") {
		t.Errorf("the right code: %s %d", a.path, a.status)
	}
	b.post("/console/tokens/1/block", "reason", "forgotten")
	for range 2 {
		a = b.post("/console/tokens/1/restore", "code", phone.wrong(s.clock.now()))
	}
	if a.status != http.StatusTooManyRequests || !strings.Contains(a.body, "Too many wrong codes. Wait until") {
		t.Errorf("two wrong codes at once: %d", a.status)
	}
	if strings.Contains(s.log.String(), phone.at(s.clock.now())) {
		t.Error("the log holds a code")
	}
}

var codeShown = regexp.MustCompile(`id="code">([^<]+)<`)

// TestTempCodeIsShownOnce: neither a reload nor a second click shows it again or makes another one.
func TestTempCodeIsShownOnce(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	ask := b.get("/console/persons/ada/temp")
	wants(t, "the question", ask, "Ada Lovelace", "only at vpn", "until tonight")
	form := []string{"valid", "tonight", "uses", "2", "client", "1", "newest", "0", "note", "called back"}
	a := b.post("/console/persons/ada/temp", form...)
	m := codeShown.FindStringSubmatch(a.body)
	if a.status != http.StatusOK || m == nil || len([]rune(m[1])) != 11 {
		t.Fatalf("%d, %q", a.status, m)
	}
	code, _ := token.NormaliseSpoken(html.UnescapeString(m[1]))
	for _, word := range append(token.SpellSpoken(code, "en"), token.SpellSpoken(code, "de")...) {
		if !strings.Contains(a.body, ">"+word+"<") {
			t.Errorf("%s is not spelled", word)
		}
	}
	wants(t, "the code", a, "for 2 log-ins", "only at vpn")
	again := b.post("/console/persons/ada/temp", form...)
	if again.status != http.StatusConflict || strings.Contains(again.body, m[1]) || codeShown.MatchString(again.body) {
		t.Errorf("sent again: %d", again.status)
	}
	list, err := s.desk.Codes(t.Context(), "ada")
	if err != nil || len(list) != 1 || list[0].Client != 1 || list[0].UsesLeft != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	wants(t, "the person", b.get("/console/persons/ada"), "Temporary code</b>, 2 left", "only at vpn", "End temporary codes")
	if a := b.post("/console/persons/ada/temp/end"); !strings.Contains(a.body, "No temporary code is valid.") {
		t.Error("not ended")
	}
	for name, fields := range map[string][]string{
		"no time": {"valid", "", "uses", "1", "client", "0"}, "another time": {"valid", "1000h", "uses", "1", "client", "0"}, "no uses": {"valid", "1h", "uses", "", "client", "0"},
		"too many": {"valid", "1h", "uses", "21", "client", "0"}, "no log-in": {"valid", "1h", "uses", "0", "client", "0"}, "no number": {"valid", "1h", "uses", "1", "client", "x"},
	} {
		if a := b.post("/console/persons/ada/temp", append(fields, "newest", "1")...); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if strings.Contains(s.log.String(), code) {
		t.Error("the log holds the code")
	}
}

// TestTempCodeOfADoubleClick: one of the answers to the same form holds a code, and that one works.
func TestTempCodeOfADoubleClick(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	b.get("/console/persons/ada/temp")
	var shown atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		r := b.form("/console/persons/ada/temp", "valid", "1h", "uses", "1", "client", "0", "newest", "0")
		wg.Go(func() {
			resp, err := b.client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				shown.Add(1)
			}
		})
	}
	wg.Wait()
	if list, err := s.desk.Codes(t.Context(), "ada"); err != nil || len(list) != 1 || shown.Load() != 1 {
		t.Errorf("%d shown, %d made, %v", shown.Load(), len(list), err)
	}
}

// TestSupportCode tells both sides what to do.
func TestSupportCode(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	known := s.doctor["7KM4Q2X9"]
	known.Findings = []diagnose.Finding{{Code: "D24", Title: "Whole hours off", Cause: "cause", Evidence: "evidence", User: "set the time", Helper: "no resync", Action: "next code"}}
	s.doctor["7KM4Q2X9"] = known
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	wants(t, "the page", b.post("/console/support", "code", "7km4-q2x9"), "Ada Lovelace", "12345678", "at vpn", "D24", "Whole hours off", "cause", "evidence", "set the time", "no resync", "next code")
	if a := b.post("/console/support", "code", "7KM4Q2XA"); a.status != http.StatusNotFound {
		t.Errorf("an unknown code: %d", a.status)
	}
}

// TestBrowserIsRemoved, and only by its person's page.
func TestBrowserIsRemoved(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	s.person("eve", "Eve")
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	if a := b.post("/console/persons/eve/browsers/1/revoke"); a.status != http.StatusNotFound {
		t.Errorf("by another person: %d", a.status)
	}
	wants(t, "the person", b.post("/console/persons/ada/browsers/1/revoke"), "not trusted any more", "No browser is trusted")
	if a := b.post("/console/persons/ada/browsers/1/revoke"); a.status != http.StatusNotFound {
		t.Errorf("again: %d", a.status)
	}
}

// TestTextStaysText: whatever stands in a name, a note or a label is shown as it is.
func TestTextStaysText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	account := `a/b?c#d&"><script>x</script>%2e`
	s.person(account, evil)
	s.app(account, evil[:40])
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	pages := []answer{
		b.post("/console/search", "q", "alert"), b.get("/console/tokens/1"), b.get("/console/tokens/1/block"),
		b.post("/console/tokens/1/block", "reason", "bored", "note", evil), b.post("/console/tokens/1/block", "reason", "lost", "note", evil),
		b.get("/console/tokens/1"), b.get("/console/tokens/1/restore"),
		b.post("/console/search", "q", evil), b.get("/console/search?q=" + strings.ReplaceAll(evil[:20], `"`, "%22")),
	}
	m := html.UnescapeString(regexp.MustCompile(`/console/persons/[^"]+/temp`).FindString(pages[1].body))
	if m == "" {
		t.Fatal("no way to the person")
	}
	pages = append(pages, b.get(strings.TrimSuffix(m, "/temp")), b.get(m), b.post(m, "valid", "1h", "uses", "1", "client", "0", "newest", "0", "note", evil))
	for i, a := range pages {
		if a.status == http.StatusNotFound || strings.Contains(a.body, "<script") || strings.Contains(a.body, "<img") || strings.Contains(a.body, `onerror=alert(1)>"`) {
			t.Errorf("page %d (%s): %d", i, a.path, a.status)
		}
	}
	if !strings.Contains(html.UnescapeString(pages[5].body), "note: "+evil) {
		t.Error("the note is not shown")
	}
}

// wants fails for each text that a page does not hold.
func wants(t *testing.T, what string, a answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(a.body), text) {
			t.Errorf("%s (%s, %d): %q is missing", what, a.path, a.status, text)
		}
	}
	if t.Failed() && len(a.body) < 300 {
		t.Log(fmt.Sprint(a.body))
	}
}
