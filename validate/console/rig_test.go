package console_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/console"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/eventlog"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// site is the pages over a real desk and store, with a clock that the test moves.
type site struct {
	t      testing.TB
	store  *sqlstore.Store
	desk   *desk.Desk
	doctor attempts
	server *httptest.Server
	clock  *clock
	log    *buffer
	config console.Config
}

// doctor is the real one, but for the kept refusals.
type doctor struct {
	attempts
	real *diagnose.Doctor
}

func (d doctor) Diagnose(ctx context.Context, q diagnose.Question) ([]diagnose.Finding, error) {
	return d.real.Diagnose(ctx, q)
}

// attempts are kept refusals by support code.
type attempts map[string]diagnose.Attempt

func (a attempts) Attempt(_ context.Context, code string) (diagnose.Attempt, error) {
	if found, ok := a[code]; ok {
		return found, nil
	}
	return diagnose.Attempt{}, token.ErrNotFound
}

// clock is moved by the test and read by the server.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := t.TempDir()
	sealing, err := seal.CreateFile(filepath.Join(dir, "sealing.key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := seal.CreateSigningFile(filepath.Join(dir, "signing.key"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, clock: &clock{at: time.Date(2026, 5, 6, 9, 0, 0, 0, time.UTC)}, log: &buffer{}}
	s.store, err = sqlstore.Create(t.Context(), dir, sqlstore.Keys{Sealing: sealing, Signing: signing},
		sqlstore.Options{Now: s.clock.now, Rand: rand.Reader, Actor: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	s.desk = &desk.Desk{Store: s.store, Now: s.clock.now, Rand: rand.Reader}
	s.doctor = attempts{}
	s.config = console.Config{Desk: s.desk, Doctor: doctor{s.doctor, &diagnose.Doctor{Store: s.store, Now: s.clock.now}}, Now: s.clock.now, Observer: eventlog.New(slog.New(slog.NewTextHandler(s.log, nil)))}
	s.server = httptest.NewServer(console.New(s.config))
	t.Cleanup(func() {
		s.server.Close()
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// person adds one with an account and a name.
func (s *site) person(account, name string) token.Person {
	s.t.Helper()
	if err := s.desk.AddPerson(s.t.Context(), token.Person{Account: account, Name: name, Mail: account + "@example.org"}); err != nil {
		s.t.Fatal(err)
	}
	p, err := s.store.Person(s.t.Context(), account)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// app is a TOTP token of a person, and what makes its codes.
type app struct {
	token token.Token
	codes oath.Generator
}

// at is the code of that time.
func (a app) at(when time.Time) string { return a.codes.Code(oath.Step(when, 30*time.Second)) }

// wrong is a code of no time that staff's proofs look at: one in 170 of all codes is right as far away as a resync goes, which is told in
// other words.
func (a app) wrong(when time.Time) string {
	right := map[string]bool{}
	for d := -validate.ResyncTime - time.Hour; d <= validate.ResyncTime+time.Hour; d += 30 * time.Second {
		right[a.at(when.Add(d))] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !right[code] {
			return code
		}
	}
}

// app adds an active TOTP token with a name to somebody.
func (s *site) app(account, name string) app {
	s.t.Helper()
	t, _, err := s.desk.AddApp(s.t.Context(), desk.App{Kind: token.TOTP, Holder: account, Issuer: "Example"})
	if err != nil {
		s.t.Fatal(err)
	}
	_, rec, err := s.desk.HandOver(s.t.Context(), desk.ByID(t.ID), desk.HandOver{Form: "uri"})
	if err != nil {
		s.t.Fatal(err)
	}
	g, err := oath.New(rec.Key, oath.SHA1, 6)
	if err != nil {
		s.t.Fatal(err)
	}
	a := app{t, g}
	t, proof, err := s.desk.Confirm(s.t.Context(), desk.ByID(t.ID), []string{a.at(s.clock.now())}, name)
	if err != nil || proof != desk.Proven {
		s.t.Fatalf("%s, %v", proof, err)
	}
	a.token = t
	return a
}

// key adds an active YubiKey with a serial to somebody.
func (s *site) key(p token.Person, serial token.Serial) token.Token {
	s.t.Helper()
	key, err := secret.Random(rand.Reader, 16)
	if err != nil {
		s.t.Fatal(err)
	}
	id, err := secret.Random(rand.Reader, 6)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := s.store.AddToken(s.t.Context(), token.Token{Model: token.YubiKey, Serial: serial, Firmware: "5.7.1", State: token.Active, Holder: &p},
		token.Credential{Kind: token.YubicoOTP, Slot: 1, PublicID: token.SerialPublicID(serial), State: token.Active, Secrets: token.Secrets{Key: key, PrivateID: id}})
	if err != nil {
		s.t.Fatal(err)
	}
	t, _, err := s.desk.Show(s.t.Context(), desk.ByID(n))
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// operator adds one and returns the API token.
func (s *site) operator(name string, roles ...desk.Role) string {
	s.t.Helper()
	_, secret, err := s.desk.AddOperator(s.t.Context(), name, roles)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(secret.Reveal())
}

// browser is somebody at the pages, who follows redirects and keeps cookies.
type browser struct {
	*site
	client *http.Client
	csrf   string
}

// answer is a page.
type answer struct {
	status int
	path   string // after redirects
	body   string
	header http.Header
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{site: s, client: &http.Client{Jar: jar, Transport: s.server.Client().Transport}}
}

// loggedIn is a browser with a session.
func (s *site) loggedIn(name string, roles ...desk.Role) *browser {
	s.t.Helper()
	b := s.browser()
	a := b.post("/console/login", "token", s.operator(name, roles...))
	if a.status != http.StatusOK || a.path != "/console/" {
		s.t.Fatalf("log in: %d %s", a.status, a.path)
	}
	return b
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if m := csrfField.FindSubmatch(body); m != nil {
		b.csrf = string(m[1])
	}
	return answer{resp.StatusCode, resp.Request.URL.Path, string(body), resp.Header}
}

func (b *browser) request(method, path string, body io.Reader) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, b.server.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil))
}

// form is a POST as a browser sends it from a page of ours.
func (b *browser) form(path string, fields ...string) *http.Request {
	b.t.Helper()
	values := url.Values{"csrf": {b.csrf}}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	r := b.request(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", b.server.URL)
	return r
}

func (b *browser) post(path string, fields ...string) answer {
	b.t.Helper()
	return b.do(b.form(path, fields...))
}

// auditFilter selects what staff did.
var auditFilter = sqlstore.AuditFilter{Chain: audit.Desk}
