package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/eventlog"
)

// fakeDesk answers every verb with the same things and counts the verbs. An API token is "td_" and the name of a role.
type fakeDesk struct {
	mu     sync.Mutex
	verbs  int
	actor  string // of the last verb
	looks  int    // of Authenticate
	fail   error  // of every verb
	pushes error  // of PushStatus

	remains error // of Remains
}

var (
	fakeTime   = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	fakePerson = token.Person{ID: 3, Account: "ada", Name: "Ada Lovelace", Mail: "ada@example.org", Groups: []string{"staff"}, Created: fakeTime}
	fakeToken  = token.Token{
		ID: 17, Model: token.Hardware, Label: "C200-1", StockNumber: "4711", State: token.Active, Holder: &fakePerson, Name: "grey",
		IssuedAt: fakeTime, Created: fakeTime,
	}
	fakeStock   = token.Token{ID: 19, Model: token.Hardware, Label: "C200-3", State: token.InStock, Created: fakeTime}
	fakeBlocked = token.Token{
		ID: 18, Model: token.YubiKey, Serial: 7654321, Firmware: "5.4.3", State: token.Suspended, Holder: &fakePerson, Reason: token.ReasonForgotten,
		BlockedAt: fakeTime, BlockedFrom: token.Active, BlockedBy: "operator helpdesk", Until: fakeTime.Add(time.Hour), Created: fakeTime,
	}
	fakeCredential = token.Credential{
		ID: 23, Token: 17, Kind: token.TOTP, State: token.Active, Enabled: true, Created: fakeTime,
		Settings: token.Settings{Digits: 6, Hash: "sha1", Period: 30 * time.Second},
		Counters: token.Counters{Moving: 59, At: fakeTime, Clock: token.Clock{Drift: -2}},
	}
	fakeFinding = diagnose.Finding{Code: "D20", Title: "older", Cause: "c", Evidence: "e", User: "u", Helper: "h", Action: "a"}
	fakeAttempt = diagnose.Attempt{
		Code: "7KM4Q2X9", At: fakeTime, Client: 1, Source: "192.0.2.7", Person: &fakePerson, Token: 17, Findings: []diagnose.Finding{fakeFinding},
	}
)

func (d *fakeDesk) did(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verbs++
	d.actor = token.Actor(ctx, "nobody")
	return d.fail
}

func (d *fakeDesk) Authenticate(_ context.Context, apiToken string) (desk.Operator, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	name := strings.TrimPrefix(apiToken, "td_")
	if name == "broken" {
		return desk.Operator{}, errors.New("the store is gone")
	}
	if name == "revoked" { // *desk.Desk does not find one: the API must not rely on it
		return desk.Operator{ID: 2, Name: name, Roles: desk.Roles()}, nil
	}
	for _, r := range desk.Roles() {
		if string(r) == name {
			return desk.Operator{ID: 1, Name: name, Roles: []desk.Role{r}, Active: true, Created: fakeTime}, nil
		}
	}
	return desk.Operator{}, token.ErrNotFound
}

func (d *fakeDesk) Operators(ctx context.Context) ([]desk.Operator, error) {
	return []desk.Operator{{ID: 1, Name: "grace", Roles: []desk.Role{desk.RoleHelpdesk}, Active: true, Created: fakeTime}}, d.did(ctx)
}

func (d *fakeDesk) Search(ctx context.Context, _ string, _ int) ([]desk.Hit, error) {
	return []desk.Hit{{Person: &fakePerson, Token: &fakeToken, Why: desk.ByName}, {Token: &fakeBlocked, Why: desk.BySerial}}, d.did(ctx)
}

func (d *fakeDesk) Person(ctx context.Context, _ string) (token.Person, []token.Token, error) {
	return fakePerson, []token.Token{fakeToken, fakeBlocked}, d.did(ctx)
}

func (d *fakeDesk) Show(ctx context.Context, query string) (token.Token, []token.Credential, error) {
	t := fakeToken
	switch query {
	case desk.ByID(fakeStock.ID):
		t = fakeStock
	case desk.ByID(fakeBlocked.ID):
		t = fakeBlocked
	}
	return t, []token.Credential{fakeCredential}, errors.Join(d.did(ctx), known(query))
}

func (d *fakeDesk) History(ctx context.Context, query string, _ int) ([]desk.Happened, error) {
	return []desk.Happened{{At: fakeTime, Actor: "anna", Action: "token.block", Detail: "{}"}}, errors.Join(d.did(ctx), known(query))
}

// known is nil for the tokens that there are: one in somebody's hands, one that is blocked, and one in stock.
func known(query string) error {
	if query != desk.ByID(fakeToken.ID) && query != desk.ByID(fakeStock.ID) && query != desk.ByID(fakeBlocked.ID) {
		return token.ErrNotFound
	}
	return nil
}

func (d *fakeDesk) Block(ctx context.Context, query string, b desk.Block) (was, now token.Token, e desk.Effects, err error) {
	if _, ok := b.Reason.Event(); !ok {
		return was, now, e, desk.ErrReason
	}
	return fakeToken, fakeBlocked, desk.Effects{Browsers: 2, Links: 1}, errors.Join(d.did(ctx), known(query))
}

func (d *fakeDesk) Undo(ctx context.Context, query string) (token.Token, error) {
	return fakeToken, errors.Join(d.did(ctx), known(query))
}

func (d *fakeDesk) Retire(ctx context.Context, query, _ string) (token.Token, error) {
	return fakeToken, errors.Join(d.did(ctx), known(query))
}

func (d *fakeDesk) Release(ctx context.Context, query, _ string) (token.Token, bool, error) {
	return fakeToken, true, errors.Join(d.did(ctx), known(query))
}

// PushStatus: the blocked token is still valid at one server, by two credentials, and no more at another.
func (d *fakeDesk) PushStatus(_ context.Context, queries ...string) (out []desk.Push, err error) {
	at := func(name string, done desk.Wanted) desk.Push {
		return desk.Push{Target: desk.Target{Server: push.Server{Name: name}}, Wanted: desk.WantDisabled, Done: done}
	}
	if slices.Contains(queries, desk.ByID(fakeBlocked.ID)) {
		out = append(out, at("Keycloak", ""), at("Keycloak", desk.WantEnrolled), at("pi", desk.WantDisabled))
	}
	return out, d.pushes
}

// Remains: the blocked token has a certificate.
func (d *fakeDesk) Remains(_ context.Context, t token.Token) (r desk.Remains, err error) {
	if t.ID == fakeBlocked.ID {
		r.Certificates = []desk.LiveCertificate{{Slot: "9a", Number: "4711ff", Issuer: "CN=Site CA", Subject: "CN=ada", NotAfter: fakeTime.Add(time.Hour),
			SHA256: strings.Repeat("a", 64), Do: "have it revoked there"}}
	}
	return r, d.remains
}

// RemainsOf: what is taken back had an account.
func (d *fakeDesk) RemainsOf(ctx context.Context, t token.Token, before []token.Credential) (desk.Remains, error) {
	r, err := d.Remains(ctx, t)
	if len(before) > 0 {
		r.Revoked, r.Wipe = []string{"Example:ada"}, []string{desk.WipeOATH}
	}
	return r, err
}

func (d *fakeDesk) prove(ctx context.Context, query string, codes []string) (token.Token, desk.Proof, error) {
	if len(codes) == 0 {
		return fakeToken, desk.NoCode, errors.Join(d.did(ctx), known(query))
	}
	return fakeToken, desk.Proven, errors.Join(d.did(ctx), known(query))
}

func (d *fakeDesk) Restore(ctx context.Context, query string, codes []string) (token.Token, desk.Proof, error) {
	return d.prove(ctx, query, codes)
}

func (d *fakeDesk) Issue(ctx context.Context, query string, i desk.Issue) (token.Token, desk.Proof, error) {
	return d.prove(ctx, query, i.Codes)
}

func (d *fakeDesk) Confirm(ctx context.Context, query string, codes []string, _ string) (token.Token, desk.Proof, error) {
	return d.prove(ctx, query, codes)
}

func (d *fakeDesk) Resync(ctx context.Context, query, first, second string) (token.Token, token.Clock, desk.Proof, error) {
	t, p, err := d.prove(ctx, query, []string{first, second})
	return t, token.Clock{}, p, err
}

func (d *fakeDesk) Return(ctx context.Context, query string, codes []string, _ string) (token.Token, desk.Proof, error) {
	return d.prove(ctx, query, codes)
}

func (d *fakeDesk) TempCode(ctx context.Context, _ string, c desk.TempCode) (secret.Bytes, desk.Code, error) {
	return secret.New([]byte("7KM4Q2X9AB")), desk.Code{UsesLeft: c.Uses, Expires: fakeTime.Add(c.Valid)}, d.did(ctx)
}

func (d *fakeDesk) RecoveryCodes(ctx context.Context, _ string, _ int) ([]secret.Bytes, error) {
	return []secret.Bytes{secret.New([]byte("7KM4Q2X9AB")), secret.New([]byte("2222233333"))}, d.did(ctx)
}

func (d *fakeDesk) Codes(ctx context.Context, _ string) ([]desk.Code, error) {
	return []desk.Code{
		{ID: 5, Kind: desk.TempCodes, UsesLeft: 2, Expires: fakeTime.Add(time.Hour), Client: 1, Created: fakeTime},
		{ID: 6, Kind: desk.RecoveryCodes, Created: fakeTime}, // used up
	}, d.did(ctx)
}

func (d *fakeDesk) Trust(ctx context.Context, _ token.PersonID, _ token.ID, _ int64, _ string) (secret.Bytes, error) {
	return secret.New([]byte("cookie")), d.did(ctx)
}

func (d *fakeDesk) Browsers(ctx context.Context, _ string) ([]desk.Browser, error) {
	return []desk.Browser{{ID: 9, Client: 1, Name: "laptop", Created: fakeTime, Used: fakeTime, Expires: fakeTime.Add(time.Hour)}, {ID: 10}}, d.did(ctx)
}

func (d *fakeDesk) RevokeBrowser(ctx context.Context, _ string, _ int64) error { return d.did(ctx) }

func (d *fakeDesk) RevokeBrowsers(ctx context.Context, _ string) (int, error) { return 4, d.did(ctx) }

func (d *fakeDesk) Enroll(ctx context.Context, _ string, _ desk.App, valid time.Duration) (desk.Link, error) {
	return desk.Link{ID: 8, Expires: fakeTime.Add(valid), Value: secret.New([]byte("linkvalue")), PIN: secret.New([]byte("2345AB"))}, d.did(ctx)
}

// fakeChecker accepts the text "good KIND".
type fakeChecker struct {
	mu     sync.Mutex
	checks int
	last   validate.Factor
	reason validate.Reason // of denials
	fail   error
	noted  int
}

func (f *fakeChecker) Check(ctx context.Context, q validate.Factor) (validate.Checked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return validate.Checked{}, ctx.Err()
	}
	f.checks++
	f.last = q
	if f.fail != nil {
		return validate.Checked{}, f.fail
	}
	if kind, ok := strings.CutPrefix(q.Text, "good "); ok {
		return validate.Checked{Outcome: validate.Accepted, Reason: validate.ReasonAccepted, Kind: kind, Person: 3, Token: 17, Credential: 23, CodesLeft: 7}, nil
	}
	return validate.Checked{Outcome: validate.BadOTP, Reason: f.reason}, nil
}

func (f *fakeChecker) Note(context.Context, validate.Checked) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noted++
	return nil
}

// fakeDoctor keeps what it is given and finds one thing, which is for staff.
type fakeDoctor struct {
	mu   sync.Mutex
	kept []diagnose.Attempt
	wait chan struct{} // before Diagnose answers, if set
}

func (f *fakeDoctor) Diagnose(context.Context, diagnose.Question) ([]diagnose.Finding, error) {
	if f.wait != nil {
		<-f.wait
	}
	return []diagnose.Finding{fakeFinding}, nil
}

func (f *fakeDoctor) Keep(ctx context.Context, code string, a diagnose.Attempt) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.Code = code
	f.kept = append(f.kept, a)
	return nil
}

func (f *fakeDoctor) Attempt(_ context.Context, code string) (diagnose.Attempt, error) {
	if code != fakeAttempt.Code {
		return diagnose.Attempt{}, token.ErrNotFound
	}
	return fakeAttempt, nil
}

// fakeClients are three: 1 must sign, 2 is known by its network, 3 is revoked.
type fakeClients struct{ list []validate.Client }

func newFakeClients() fakeClients {
	return fakeClients{[]validate.Client{
		{ID: 1, Name: "mail", Active: true, MustSig: true, Keys: []secret.Bytes{secret.New([]byte("newer key")), secret.New([]byte("former key"))}, Until: fakeTime},
		{ID: 2, Name: "vpn", Active: true, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Groups: []string{"staff"}, Keys: []secret.Bytes{secret.New([]byte("vpn key"))}},
		{ID: 3, Name: "old"},
	}}
}

func (f fakeClients) Client(_ context.Context, id int64) (validate.Client, error) {
	if id < 1 || id > int64(len(f.list)) {
		return validate.Client{}, token.ErrNotFound
	}
	return f.list[id-1], nil
}

func (f fakeClients) ListClients(context.Context) ([]validate.Client, error) { return f.list, nil }

// site is a Handler over fakes.
type site struct {
	*Handler
	desk    *fakeDesk
	checker *fakeChecker
	doctor  *fakeDoctor
	log     *strings.Builder
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{desk: &fakeDesk{}, checker: &fakeChecker{reason: validate.ReasonWrong}, doctor: &fakeDoctor{}, log: &strings.Builder{}}
	s.Handler = New(Config{
		Checker: s.checker, Clients: newFakeClients(), Desk: s.desk, Doctor: s.doctor, Now: func() time.Time { return fakeTime },
		Rand: newRandom(), Observer: eventlog.New(slog.New(slog.NewTextHandler(s.log, nil))),
	})
	return s
}

// newRandom is a source that is the same in every run.
func newRandom() io.Reader { return &locked{r: rand.NewChaCha8([32]byte{1})} }

type locked struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *locked) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// ask sends a request as that caller: "" nobody, "client KEY" by Basic, else an API token.
func ask(h http.Handler, method, path, who, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.RemoteAddr = "203.0.113.9:1234"
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return do(h, req, who)
}

func do(h http.Handler, req *http.Request, who string) *httptest.ResponseRecorder {
	switch id, key, ok := strings.Cut(who, ":"); {
	case ok:
		req.SetBasicAuth(id, key)
	case who != "":
		req.Header.Set("Authorization", "Bearer "+who)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if l, ok := h.(interface{ Wait() }); ok { // with what is left to do after the answer
		l.Wait()
	}
	return w
}

// The keys of client 1 as it sends them: base64 of "newer key" and "former key".
const (
	newerKey  = "1:bmV3ZXIga2V5"
	formerKey = "1:Zm9ybWVyIGtleQ=="
)
