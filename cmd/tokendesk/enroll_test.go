package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// atTerminal gives the rig a terminal at which somebody types the answers to what is asked for without echo, and a clock that
// moves with every pause.
func (r *rig) atTerminal(name string, answers ...func() string) {
	now := time.Date(2026, 5, 7, 12, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return now }
	r.pause = func(ctx context.Context, d time.Duration) error { now = now.Add(d); return ctx.Err() }
	r.stdin, r.stdinTTY, r.stdoutTTY = strings.NewReader(name+"\n"), true, true
	r.readSecret = func(context.Context) (string, error) {
		if len(answers) == 0 {
			return "", context.Canceled
		}
		text := answers[0]()
		answers = answers[1:]
		return text, nil
	}
}

// appCode is what the app shows whose token was made last, steps away from now.
func (r *rig) appCode(steps int64) string {
	r.t.Helper()
	return codeOfApp(r.t, r.app(), r.now(), steps)
}

// app is the app whose token was made last.
func (r *rig) app() keyfile.Record {
	r.t.Helper()
	st := r.open()
	list, err := st.Tokens(r.t.Context(), desk.Match{})
	if err != nil || len(list) == 0 {
		r.t.Fatal(err)
	}
	c, err := st.Credentials(r.t.Context(), list[len(list)-1].ID)
	if err != nil {
		r.t.Fatal(err)
	}
	rec, err := st.Record(r.t.Context(), c[0].ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// wrongCode is one that the app whose token was made last shows at no time that staff's proofs look at: they are told in other words of
// one that is right as far away as a resync goes, which one in 170 is.
func (r *rig) wrongCode() string {
	rec, shown := r.app(), map[string]bool{}
	reach := int64(validate.ResyncTime/rec.Period) + 10
	for steps := -reach; steps <= reach; steps++ {
		shown[codeOfApp(r.t, rec, r.now(), steps)] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !shown[code] {
			return code
		}
	}
}

func codeOfApp(t testing.TB, rec keyfile.Record, now time.Time, steps int64) string {
	t.Helper()
	g, err := oath.New(rec.Key, oath.Hash(rec.Hash), rec.Digits)
	if err != nil {
		t.Fatal(err)
	}
	return g.Code(oath.Step(now, rec.Period) + steps)
}

// TestEnrollAtTerminal: the code is drawn, wrong answers are told what is wrong, the right one makes the app active at once.
func TestEnrollAtTerminal(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada")
	r.atTerminal("my phone",
		func() string { return "12345" }, func() string { return r.wrongCode() },
		func() string { return r.appCode(20) }, // the phone's clock is ten minutes ahead
		func() string { return r.appCode(0) })
	r.must("app", "enroll", "ada", "--by", "terminal", "--issuer", "Example")
	if n := strings.Count(r.out.String(), "\n"); n < 15 || !strings.ContainsAny(r.out.String(), "█▀▄") {
		t.Errorf("no QR code in %d lines", n)
	}
	said := r.err.String()
	for _, want := range []string{"not a one-time password or code", "the code is wrong", "look at the clock of the phone", "is active", "issuer Example, account ada"} {
		if !strings.Contains(said, want) {
			t.Errorf("not said: %s\n%s", want, said)
		}
	}
	st := r.open()
	list, err := st.Tokens(t.Context(), desk.Match{})
	if err != nil || len(list) != 1 || list[0].State != token.Active || list[0].Name != "my phone" || list[0].Model != token.App {
		t.Errorf("%+v, %v", list, err)
	}
	r.atTerminal("Tablet") // somebody leaves
	if code := r.run("app", "enroll", "ada", "--by", "terminal"); code == exitDone || !strings.Contains(r.err.String(), "it stays pending; go on later: tokendesk token verify TOTP") {
		t.Errorf("exit code %d: %s", code, r.err.String())
	}
	if list, err = st.Tokens(t.Context(), desk.Match{}); err != nil || len(list) != 2 || list[1].State != token.Pending {
		t.Errorf("%+v, %v", list, err)
	}
	for _, name := range []string{"my \x1b[Dphone", strings.Repeat("x", 1001)} { // an arrow key; before a secret is drawn
		r.atTerminal(name, func() string { return r.appCode(0) })
		r.out.Reset()
		if code := r.run("app", "enroll", "ada", "--by", "terminal"); code != exitUsage || r.out.Len() > 0 {
			t.Errorf("exit code %d for a name that is not allowed", code)
		}
	}
	if list, err = st.Tokens(t.Context(), desk.Match{}); err != nil || len(list) != 2 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
	r.atTerminal("My Phone", func() string { return r.appCode(0) })
	if code := r.run("app", "enroll", "ada", "--by", "terminal"); code != exitUsage || !strings.Contains(r.err.String(), "another token of ada is called that") {
		t.Errorf("exit code %d for a name that is taken: %s", code, r.err.String())
	}
}

// TestNoHandOverInStore: what is handed out once is nowhere else: not in the store's files, nor in what any other command says.
func TestNoHandOverInStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada", "--mail", "ada@example.org")
	r.must("client", "add", "vpn")
	var all []named
	add := func(name string, texts ...string) {
		for _, s := range texts {
			all = append(all, named{name: name, text: s})
			if plain, ok := token.NormaliseSpoken(s); ok && plain != s {
				all = append(all, named{name: name, text: plain})
			}
		}
	}
	var temp struct{ Code newTempCode }
	r.handedOver(&temp, "code", "temp", "ada")
	add("temporary code", temp.Code.Code)
	var sheet struct{ Codes []newRecoveryCode }
	r.handedOver(&sheet, "code", "recovery", "ada")
	for _, c := range sheet.Codes {
		add("recovery code", c.Code)
	}
	var link struct{ Link newLink }
	r.handedOver(&link, "app", "enroll", "ada", "--by", "link", "--url", "https://desk.example.org")
	value := path.Base(link.Link.Link)
	add("link", value)
	add("PIN", link.Link.PIN)
	d := (&app{env: &r.env}).desk(r.open())
	state, rec, err := d.ShowLink(t.Context(), value, link.Link.PIN)
	if err != nil || state != desk.LinkShown {
		t.Fatalf("%q, %v", state, err)
	}
	all = append(all, named{name: "secret", raw: bytes.Clone(rec.Key.Reveal())})
	if code := r.run("token", "qr", "ada", "--uri"); code != exitRefused {
		t.Errorf("token qr of a link's secret: exit code %d", code)
	}
	code := codeOfApp(t, rec, time.Now(), 0)
	if state, proof, err := d.FinishLink(t.Context(), value, link.Link.PIN, code, "my phone"); err != nil || state != desk.LinkDone || proof != desk.Proven {
		t.Fatalf("%q, %q, %v", state, proof, err)
	}
	ada, phones, err := d.Person(t.Context(), "ada")
	if err != nil || len(phones) != 1 {
		t.Fatal(err)
	}
	cookie, err := d.Trust(t.Context(), ada.ID, phones[0].ID, 1, "Firefox")
	if err != nil {
		t.Fatal(err)
	}
	add("trusted browser", string(cookie.Reveal()))
	r.must("notice", "send", "--spool", t.TempDir(), "--from", "desk@example.org")
	for _, words := range []string{
		"code temp ada --status", "code recovery ada --status", "browser list ada", "app list --all", "notice list", "token show ada", "audit list --last 0", "person list",
	} {
		for _, form := range []string{"table", "json", "csv"} {
			r.must(append(strings.Fields(words), "-o", form)...)
		}
	}
	for _, want := range []string{"person ada,credential.show,", `"form"":""link""`, "person ada,link.finish,", "person ada,token.add,"} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("not in the audit chain: %s", want)
		}
	}
	if len(all) < 14 {
		t.Fatalf("%d values", len(all))
	}
	r.search(all)
}

// handedOver calls the program and decodes what it hands out.
func (r *rig) handedOver(into any, words ...string) {
	r.t.Helper()
	if err := json.Unmarshal(r.handOver(append(words, "-o", "json")...), into); err != nil {
		r.t.Fatal(err)
	}
}

// inbox is a mail server that keeps what it takes.
type inbox struct {
	mu    sync.Mutex
	texts []string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return b, nil }
func (b *inbox) Reset()                                      {}
func (b *inbox) Logout() error                               { return nil }
func (b *inbox) Mail(string, *smtp.MailOptions) error        { return nil }

func (b *inbox) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "gone@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	}
	return nil
}

func (b *inbox) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.texts = append(b.texts, string(text))
	return err
}

// TestNoticeBySMTP: each notice is sent once; what is refused waits and is told.
func TestNoticeBySMTP(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	server := smtp.NewServer(box)
	server.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }() // ends with Close
	defer server.Close()
	r := newRig(t, 2)
	now := time.Now()
	r.now = func() time.Time { return now }
	r.must("init")
	r.must("person", "add", "ada", "--mail", "ada@example.org")
	r.must("person", "add", "bob", "--mail", "gone@example.org")
	r.must("person", "add", "mute")
	for _, account := range []string{"bob", "ada", "mute"} {
		r.must("code", "recovery", account)
	}
	send := []string{"notice", "send", "--smtp", l.Addr().String(), "--from", "desk@example.org"}
	if code := r.run(send...); code != exitError || len(box.texts) != 1 || !strings.Contains(box.texts[0], "To: <ada@example.org>") {
		t.Errorf("exit code %d, %q", code, box.texts)
	}
	r.must(send...) // the refused one waits a minute
	if len(box.texts) != 1 {
		t.Errorf("%d messages", len(box.texts))
	}
	r.out.Reset()
	r.must("notice", "list", "--waiting")
	if list := r.out.String(); !strings.Contains(list, "no such mailbox") || !strings.Contains(list, "the person has no mail address") || strings.Contains(list, "ada") {
		t.Errorf("%s", list)
	}
	_ = server.Close()
	r.must("code", "temp", "ada")
	if code := r.run(send...); code != exitError || !strings.Contains(r.err.String(), "the notices wait") {
		t.Errorf("exit code %d without a relay: %s", code, r.err.String())
	}
}
