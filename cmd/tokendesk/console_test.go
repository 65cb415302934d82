package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/qr"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// operator adds one and returns the API token.
func (r *rig) operator(name, role string) string {
	r.t.Helper()
	var added struct{ Operator newOperator }
	if err := json.Unmarshal(r.handOver("operator", "add", name, "--role", role, "-o", "json"), &added); err != nil {
		r.t.Fatal(err)
	}
	return added.Operator.Token
}

// desk is the desk on the rig's store.
func (r *rig) desk() *desk.Desk { return (&app{env: &r.env}).desk(r.open()) }

// held gives the virtual key to a new person, with a stock number.
func (r *rig) held(account, name string) {
	r.t.Helper()
	r.must("init")
	r.must("provision", "--slot", "2")
	r.must("person", "add", account, "--name", name)
	r.stdin = strings.NewReader(r.typed(2))
	r.must("token", "issue", fmt.Sprint(rigSerial), "--to", account, "--id-check", "known")
	r.must("token", "set", fmt.Sprint(rigSerial), "--stock-number", "R-0017")
}

var spokenCode = regexp.MustCompile(`[2-9A-Z]{5}–[2-9A-Z]{5}`)

// TestConsole is the helpdesk at work in a browser: the caller is found by everything that is printed, known or typed, the token is
// blocked, a temporary code keeps the person working, and a slip is undone.
func TestConsole(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.held("ada", "Ada Lovelace")
	r.must("person", "add", "amueller", "--name", "Anna Müller")
	r.must("person", "add", "bmueller", "--name", "Bernd Müller")
	p := &program{t: t, client: r.client("mail")}
	apiToken := r.operator("grace", "helpdesk")
	c := r.newChrome(t)
	s := &server{address: strings.TrimPrefix(c.url, "http://")}
	c.open("/console/tokens/1")
	if !strings.HasPrefix(c.path(), "/console/login?to=") {
		t.Fatalf("without a session: %s", c.path())
	}
	c.send(chromedp.SendKeys("#token", "td_wrong\r"))
	c.reads("This is not an API token that is valid here.")
	c.logIn(apiToken)
	if focused := value[string](c, `document.activeElement.id`); focused != "q" {
		t.Errorf("the focus is on %q", focused)
	}
	p.sent = append(p.sent, "nonsense")
	support := fmt.Sprint(p.post(s, "/api/v1/verify", map[string]any{"person": "ada", "factor": "nonsense"})["support_code"])
	tokenPath := fmt.Sprintf("/console/tokens/%d", 1)
	otp := r.typed(2)
	for _, q := range []struct{ what, text, path string }{
		{"name", "lovelace", tokenPath}, {"account", "ada", tokenPath}, {"serial", fmt.Sprint(rigSerial), tokenPath},
		{"public ID", token.SerialPublicID(rigSerial).String(), tokenPath}, {"stock number", "r-0017", tokenPath}, {"typed OTP", otp, tokenPath},
		{"support code", support, "/console/search"}, {"a name of two", "mueller", "/console/search?q=mueller"}, {"nothing", "nobody", "/console/search"},
	} {
		if c.search(q.text); c.path() != q.path {
			t.Errorf("%s: %s, want %s", q.what, c.path(), q.path)
		}
	}
	c.search(support)
	c.reads("Support code", "Ada Lovelace", "Tell the caller")
	c.search("mueller")
	c.reads("2 found", "Anna Müller", "Bernd Müller")
	c.search("ada")
	c.reads(fmt.Sprint(rigSerial), "Ada Lovelace", "active", "R-0017", "Issued", "Yubico OTP, slot 2")
	if got := p.verify(s, r.typed(2)); got != "accepted" {
		t.Fatalf("before: %s", got)
	}
	r.lose(c, p, s)
	r.standIn(c, p, s)
	c.open(tokenPath)
	if c.send(chromedp.Click(`form[action$="/undo"] button`)); !strings.Contains(c.text(), "The block was undone") {
		t.Errorf("undo: %s", c.text())
	}
	if got := p.verify(s, r.typed(2)); got != "accepted" {
		t.Errorf("after the undo: %s", got)
	}
	c.narrow(tokenPath, "/console/persons/ada", "/console/search?q=mueller", tokenPath+"/block")
	if c.send(chromedp.Click(`form[action="/console/logout"] button`)); c.path() != "/console/login?said=out" {
		t.Errorf("log out: %s", c.path())
	}
	c.open(tokenPath)
	if !strings.HasPrefix(c.path(), "/console/login?to=") {
		t.Errorf("after the log-out: %s", c.path())
	}
	c.quiet()
	r.must("audit", "verify")
}

// narrow looks at pages on a telephone: none is wider than its screen, and nothing sticks out of its box.
func (c *chrome) narrow(paths ...string) {
	c.t.Helper()
	c.do(chromedp.EmulateViewport(360, 740))
	for _, p := range paths {
		c.open(p)
		if w := value[int](c, `document.documentElement.scrollWidth`); w > 360 {
			c.t.Errorf("%s is %d pixels wide", p, w)
		}
		out := value[string](c, `[...document.querySelectorAll("dd, dd *")].filter(e =>
			e.getBoundingClientRect().right > e.closest(".card").getBoundingClientRect().right).map(e => e.innerText).join()`)
		if out != "" {
			c.t.Errorf("%s: %q sticks out", p, out)
		}
	}
}

// lose presses the red button on the page of ada's token.
func (r *rig) lose(c *chrome, p *program, s *server) {
	r.t.Helper()
	c.send(chromedp.Click(`a.danger`))
	c.reads("Block this token?", "Ada Lovelace", "YubiKey", fmt.Sprint(rigSerial))
	c.send(chromedp.Click(`input[value="stolen"]`), chromedp.SendKeys("#note", "left on the train\r"))
	c.reads("is blocked", "Blocked here at", "Trusted browsers: there were none", "Undo the block", "Give a temporary code")
	if got := p.verify(s, r.typed(2)); got != "denied" {
		r.t.Errorf("after the block: %s", got)
	}
}

// standIn makes a temporary code on the way from the result of a block, and uses it.
func (r *rig) standIn(c *chrome, p *program, s *server) {
	r.t.Helper()
	c.send(chromedp.Click(`main a.strong`))
	c.send(chromedp.Click(`input[value="1h"]`), chromedp.SetValue("#uses", "1"), chromedp.Submit("#uses"))
	code := spokenCode.FindString(c.text())
	if code == "" {
		r.t.Fatalf("no code is shown\n%s", c.text())
	}
	c.reads("Temporary code for Ada Lovelace", "for one log-in", "Read it aloud")
	p.sent = append(p.sent, code)
	c.do(chromedp.Reload())
	if again := spokenCode.FindString(c.text()); again != "" || strings.Contains(c.text(), code) {
		r.t.Error("a reload shows a code")
	}
	list, err := r.desk().Codes(r.t.Context(), "ada")
	if err != nil || len(list) != 1 {
		r.t.Errorf("%d codes, %v", len(list), err)
	}
	for _, want := range []string{"accepted", "denied"} {
		if got := p.verify(s, code); got != want {
			r.t.Errorf("the temporary code: %s, want %s", got, want)
		}
	}
}

// TestConsoleWithoutRight: an auditor sees the token and no way to change it, and gets 403 for each that is tried; an admin sees nothing.
func TestConsoleWithoutRight(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.held("ada", "Ada Lovelace")
	auditor, admin := r.operator("olga", "auditor"), r.operator("root", "admin")
	c := r.newChrome(t)
	c.logIn(auditor)
	for _, path := range []string{"/console/tokens/1", "/console/persons/ada"} {
		c.open(path)
		c.reads("Ada Lovelace")
		if n := value[int](c, `document.querySelectorAll('main button, main .button, main form').length`); n != 0 {
			t.Errorf("%s has %d ways to change something", path, n)
		}
	}
	for _, path := range []string{"/console/tokens/1/block", "/console/tokens/1/restore", "/console/persons/ada/temp"} {
		if status := c.send(chromedp.Navigate(c.url + path)); status != http.StatusForbidden || strings.Contains(c.text(), "Lovelace") {
			t.Errorf("%s: %d", path, status)
		}
	}
	c.send(chromedp.Click(`form[action="/console/logout"] button`))
	c.logIn(admin)
	for _, path := range []string{"/console/tokens/1", "/console/persons/ada", "/console/search?q=ada"} {
		if status := c.send(chromedp.Navigate(c.url + path)); status != http.StatusForbidden || strings.Contains(c.text(), "Lovelace") {
			t.Errorf("%s: %d", path, status)
		}
	}
	c.quiet()
}

// TestConsoleShowsHostileText: text of every field is shown as it is. No script runs, none gets into a page, and the policy has nothing to refuse.
func TestConsoleShowsHostileText(t *testing.T) {
	t.Parallel()
	evil := func(field string) string {
		return `"'><script>window.ran=1</script><img src=x onerror=window.ran=1>{{.CSRF}}<a href="javascript:window.ran=1">` + field
	}
	r := newRig(t, 2)
	account := `a"><svg/onload=window.ran=1>/../b?c#d&amp;%2e`
	r.held(account, evil("name"))
	d := r.desk()
	r.must("person", "add", "eve", "--name", evil("name"), "--mail", evil("mail"), "--group", evil("group"))
	who, _, err := d.Person(t.Context(), "eve")
	if err != nil {
		t.Fatal(err)
	}
	client, err := d.AddClient(t.Context(), evil("client"), desk.ClientRights{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.TempCode(t.Context(), "eve", desk.TempCode{Client: client.ID}); err != nil {
		t.Fatal(err)
	}
	phone, _, err := d.AddApp(t.Context(), desk.App{Kind: token.TOTP, Holder: "eve", Issuer: evil("issuer")[:60]})
	if err != nil {
		t.Fatal(err)
	}
	if _, proof, err := d.Confirm(t.Context(), desk.ByID(phone.ID), []string{r.appCode(0)}, ""); err != nil || proof != desk.Proven {
		t.Fatal(proof, err)
	}
	if _, err := d.Trust(t.Context(), who.ID, phone.ID, client.ID, evil("browser")); err != nil {
		t.Fatal(err)
	}
	r.execute(`UPDATE token SET name = ?1, stock_number = ?2, label = ?3, firmware = ?4 WHERE id = ?5`, evil("token"), evil("stock"), evil("label"), evil("firmware"), phone.ID)
	l, err := d.Enroll(t.Context(), account, desk.App{Issuer: `"><script>window.ran=1</script>`}, 0)
	if err != nil {
		t.Fatal(err)
	}
	apiToken := r.operator(evil("operator"), "helpdesk")
	c := r.newChrome(t)
	c.logIn(apiToken)
	clean := func(texts ...string) {
		t.Helper()
		c.reads(texts...)
		if n := value[int](c, `document.querySelectorAll('script, img, iframe, object, embed, style, [onload], [onerror], [style], a[href^="javascript:"]').length`); n != 0 {
			t.Errorf("%s has %d elements that nobody put there", c.path(), n)
		}
		if value[bool](c, `window.ran === 1`) {
			t.Errorf("%s: a script ran", c.path())
		}
	}
	clean(evil("operator"))
	c.search(`window`)
	clean(evil("name"), evil("stock"))
	phonePath := fmt.Sprintf("/console/tokens/%d", phone.ID)
	c.open(phonePath)
	clean(evil("token"), evil("label"), evil("stock"), evil("firmware"), evil("issuer")[:60])
	c.open("/console/persons/eve")
	clean(evil("name"), evil("mail"), evil("group"), evil("client"), evil("browser"))
	c.open(phonePath + "/block")
	clean(evil("name"), evil("label"))
	c.send(chromedp.SetValue("#note", evil("note")), chromedp.Click("button.danger"))
	clean("is blocked", evil("label"))
	c.open(phonePath)
	clean(evil("note"))
	c.open("/console/persons/eve/temp")
	clean(evil("client"))
	c.open("/console/persons/" + url.PathEscape(account))
	clean(account)
	c.open("/console/search?q=" + url.QueryEscape(evil("q")[:30]))
	clean()
	c.open("/enroll/" + string(l.Value.Reveal()))
	c.send(chromedp.SendKeys("#pin", string(l.PIN.Reveal())+"\r"))
	c.do(chromedp.Click("summary"))
	clean(`"><script>window.ran=1</script>`, account)
	c.send(chromedp.SendKeys("#code", "000000"), chromedp.SetValue("#name", evil("name")), chromedp.Submit("#name"))
	if got := value[string](c, `document.querySelector('#name').value`); got != evil("name") {
		t.Errorf("the name became %q", got)
	}
	clean()
	c.quiet()
}

// TestConsoleForged: a page of another site, in the browser of somebody who is logged in, neither blocks a token, nor shows the console in
// a frame, nor logs the operator in as somebody else.
func TestConsoleForged(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.held("ada", "Ada Lovelace")
	apiToken, other := r.operator("grace", "helpdesk"), r.operator("mallory", "helpdesk")
	c := r.newChrome(t)
	c.logIn(apiToken)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch q.URL.Path {
		case "/block":
			_, _ = fmt.Fprintf(w, `<form method=post action="%s/console/tokens/1/block"><input name=reason value=lost><button>x</button></form>`, c.url)
		case "/login":
			_, _ = fmt.Fprintf(w, `<form method=post action="%s/console/login"><input name=token value="%s"><button>x</button></form>`, c.url, other)
		case "/frame":
			_, _ = fmt.Fprintf(w, `<iframe src="%s/console/"></iframe>`, c.url)
		}
	}))
	t.Cleanup(evil.Close)
	for _, host := range []string{"127.0.0.1", "localhost"} { // another origin of the same site, another site
		at := strings.Replace(evil.URL, "127.0.0.1", host, 1)
		for _, path := range []string{"/block", "/login"} {
			c.do(chromedp.Navigate(at + path))
			if status := c.send(chromedp.Click("button")); status != http.StatusForbidden {
				t.Errorf("%s from %s: %d", path, host, status)
			}
		}
	}
	if k, _, err := r.desk().Show(t.Context(), fmt.Sprint(rigSerial)); err != nil || k.State != token.Active {
		t.Errorf("the token is %s, %v", k.State, err)
	}
	c.open("/console/")
	c.reads("grace")
	c.complaints()
	c.do(chromedp.Navigate(evil.URL + "/frame"))
	c.complains("frame-ancestors")
}

// TestEnrollPage: the QR code on the screen is read by a camera, and the code that an app makes of it activates the token.
func TestEnrollPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.must("init")
	r.must("person", "add", "ada", "--name", "Ada Lovelace")
	l, err := r.desk().Enroll(t.Context(), "ada", desk.App{Issuer: "Example University"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := r.newChrome(t)
	c.open("/enroll/" + string(l.Value.Reveal()))
	c.reads("Set up your app")
	c.send(chromedp.SendKeys("#pin", "222222\r"))
	c.reads("This is not the PIN.")
	c.send(chromedp.SendKeys("#pin", strings.ToLower(string(l.PIN.Reveal()))+"\r"))
	rec := c.scan("#qr")
	defer rec.Destroy()
	if rec.Issuer != "Example University" || rec.Owner != "ada" || rec.Kind != token.TOTP {
		t.Errorf("the QR code is of %s, %s, %s", rec.Issuer, rec.Owner, rec.Kind)
	}
	g, err := oath.New(rec.Key, oath.Hash(rec.Hash), rec.Digits)
	if err != nil {
		t.Fatal(err)
	}
	c.do(chromedp.Click("summary"))
	plain := string(keyfile.AppendBase32(nil, rec.Key.Reveal()))
	if shown := strings.ReplaceAll(value[string](c, `document.querySelector('#secret').innerText`), " ", ""); shown != plain {
		t.Error("the text is another secret than the QR code")
	}
	c.send(chromedp.SendKeys("#code", g.Code(oath.Step(time.Now(), rec.Period))), chromedp.SendKeys("#name", "my phone\r"))
	c.reads("Your app is ready.")
	if _, list, err := r.desk().Person(t.Context(), "ada"); err != nil || len(list) != 1 || list[0].State != token.Active || list[0].Name != "my phone" {
		t.Errorf("%+v, %v", list, err)
	}
	c.quiet()
}

// scan reads the QR code in an element from a picture of the screen.
func (c *chrome) scan(element string) keyfile.Record {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, askTime)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.Screenshot(element))
	if err != nil {
		c.t.Fatal(err)
	}
	texts, err := qr.Decode(bytes.NewReader(png))
	if err != nil || len(texts) != 1 {
		c.t.Fatalf("%d codes, %v", len(texts), err)
	}
	for rec, err := range keyfile.Import(otpauth.Codec{}, bytes.NewReader(texts[0].Reveal())) {
		if err != nil {
			c.t.Fatal(err)
		}
		return rec
	}
	c.t.Fatal("the QR code is empty")
	return keyfile.Record{}
}
