package push_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/push/keycloak"
	"github.com/tokendesk/tokendesk/keyfile/push/linotp"
	"github.com/tokendesk/tokendesk/keyfile/push/privacyidea"
	"github.com/tokendesk/tokendesk/keyfile/push/pushtest"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// rig is a target and its double.
type rig struct {
	push.Target
	d        *pushtest.Double
	init     string // the request that makes a token, as Fault takes it
	login    string
	pauses   []time.Duration
	password string
}

func (r *rig) pause(ctx context.Context, d time.Duration) error {
	r.pauses = append(r.pauses, d)
	return ctx.Err()
}

type opener func(s push.Server, credential secret.Bytes, transport http.RoundTripper) (push.Target, error)

func openKeycloak(s push.Server, credential secret.Bytes, transport http.RoundTripper) (push.Target, error) {
	return keycloak.New(s, credential, transport)
}

// rigs are all ways of all targets; with is what they are opened with.
func rigs(t *testing.T, run func(t *testing.T, r *rig)) {
	for name, tc := range map[string]struct {
		start    func(t *testing.T) *pushtest.Double
		open     opener
		account  string
		password string
		init     string
		login    string
	}{
		"privacyIDEA": {func(t *testing.T) *pushtest.Double { return pushtest.NewPrivacyIDEA(t) }, privacyidea.New, pushtest.Account, pushtest.Password, "POST /token/init", "POST /auth"},
		"privacyIDEA by API token": {func(t *testing.T) *pushtest.Double { return pushtest.NewPrivacyIDEA(t) }, privacyidea.New, "", pushtest.APIToken,
			"POST /token/init", "GET /token/"},
		"LinOTP 3": {func(t *testing.T) *pushtest.Double { return pushtest.NewLinOTP(t, false) }, linotp.New, pushtest.Account, pushtest.Password, "POST /admin/init", "POST /admin/login"},
		"LinOTP 2": {func(t *testing.T) *pushtest.Double { return pushtest.NewLinOTP(t, true) }, linotp.New, pushtest.Account, pushtest.Password, "POST /admin/init", "POST /admin/getsession"},
		"Keycloak": {func(t *testing.T) *pushtest.Double { return pushtest.NewKeycloak(t).Double }, openKeycloak, pushtest.Account, pushtest.Password,
			"PUT /admin/realms/campus/users/id-", "POST /realms/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &rig{d: tc.start(t), init: tc.init, login: tc.login, password: tc.password}
			r.Target = r.open(t, tc.open, tc.account, tc.password)
			run(t, r)
			r.searchURLs(t)
		})
	}
}

func (r *rig) open(t *testing.T, open opener, account, password string) push.Target {
	t.Helper()
	target, err := open(push.Server{URL: r.d.URL, Account: account, Realm: pushtest.Realm}, secret.Copy([]byte(password)), r.d.Client().Transport)
	if err != nil {
		t.Fatal(err)
	}
	return push.Patient{Target: target, Pause: r.pause}
}

// searchURLs looks for secrets in all that a proxy would log.
func (r *rig) searchURLs(t *testing.T) {
	t.Helper()
	for _, s := range r.d.Seen() {
		r.clean(t, s)
	}
}

// clean fails if text holds a secret of the samples or of the session.
func (r *rig) clean(t *testing.T, text string) {
	t.Helper()
	for _, s := range []string{sample.Key1, sample.Key2, sample.SeedAlice, sample.SeedCarol, sample.SeedDave, "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI", r.password,
		"correct", "session-", "jwt.access", "eyJ"} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
			t.Errorf("%q shows a secret", text)
		}
	}
}

func place(rec keyfile.Record) push.Place {
	return push.Place{Serial: push.Serial(rec), Account: rec.Owner}
}

func state(t *testing.T, r push.Target, at push.Place) push.State {
	t.Helper()
	s, err := r.State(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// records are those that the target takes.
func records(r push.Target) (out []keyfile.Record) {
	for _, rec := range sample.All() {
		if keyfile.Refused("push", rec, r.Loss(rec)) == nil {
			out = append(out, rec)
		}
	}
	return out
}

func TestWalk(t *testing.T) {
	t.Parallel()
	rigs(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		list := records(r)
		if len(list) < 3 {
			t.Fatalf("takes %d samples only", len(list))
		}
		for _, rec := range list {
			at := place(rec)
			if s := state(t, r, at); s != push.Absent {
				t.Errorf("%s is %s before", at.Serial, s)
			}
			if got, err := r.Disable(ctx, at); err != nil || got.Status != push.Gone {
				t.Errorf("disable nothing: %+v, %v", got, err)
			}
			for _, want := range []push.Status{push.Enrolled, push.AlreadyThere} {
				got, err := r.Enrol(ctx, rec, at)
				if err != nil || got.Status != want {
					t.Fatalf("enrol %s: %+v, %v; want %s", at.Serial, got, err, want)
				}
				at.Handle = got.Handle
			}
			kept := r.d.Token(at.Serial)
			if kept.Made != 1 || string(kept.Key) != string(rec.Key.Reveal()) || !strings.HasSuffix(kept.User, rec.Owner) {
				t.Errorf("%s: made %d times, key of %d bytes, user %q", at.Serial, kept.Made, len(kept.Key), kept.User)
			}
			for range 2 {
				if got, err := r.Disable(ctx, at); err != nil || got.Status != push.Disabled && got.Status != push.Gone || state(t, r, at) == push.Active {
					t.Errorf("disable: %+v, %v", got, err)
				}
			}
			r.d.Expire()
			for range 2 {
				if got, err := r.Enable(ctx, rec, at); err != nil || got.Status != push.Enabled || state(t, r, at) != push.Active {
					t.Errorf("enable: %+v, %v", got, err)
				}
			}
			if kept := r.d.Token(at.Serial); kept.Made != 1 || string(kept.Key) != string(rec.Key.Reveal()) {
				t.Errorf("%s: made %d times at the end", at.Serial, kept.Made)
			}
		}
		if len(r.pauses) > 0 {
			t.Errorf("paused %v", r.pauses)
		}
	})
}

// TestFaults: whatever one or several tries meet, the token arrives once.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]pushtest.Fault{
		"500": {pushtest.Fail(500), pushtest.Fail(503), pushtest.Fail(429)}, "dropped after processing": {pushtest.Drop},
		"dropped, then 500": {pushtest.Drop, pushtest.Fail(500)}, "HTML": {pushtest.Say(200, "text/html", "<html><body>Welcome</body></html>")},
		"wrong JSON": {pushtest.Say(200, "application/json", `[1,2`)}, "other JSON": {pushtest.Say(200, "application/json", `{"ok":true}`)},
		"null": {pushtest.Say(200, "application/json", `null`)}, "huge": {pushtest.Say(200, "application/json", `{"result":{"status":true,"value":true}}`+strings.Repeat(" ", 2<<20))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rigs(t, func(t *testing.T, r *rig) {
				rec := sample.Carol()
				r.d.Fault(r.init, list...)
				got, err := r.Enrol(t.Context(), rec, place(rec))
				if err != nil || got.Status != push.Enrolled {
					t.Errorf("%+v, %v", got, err)
				}
				if kept := r.d.Token(rec.Label); kept.Made != 1 {
					t.Errorf("made %d times", kept.Made)
				}
				want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}[:len(r.pauses)]
				if len(r.pauses) == 0 || !slices.Equal(r.pauses, want) {
					t.Errorf("paused %v", r.pauses)
				}
			})
		})
	}
}

func isA[T error](err error) bool {
	var e T
	return errors.As(err, &e)
}

// TestErrors: what cannot succeed ends with the right type, without a secret, and leaves no token.
func TestErrors(t *testing.T) {
	t.Parallel()
	unreachable, refused, auth := isA[*push.UnreachableError], isA[*push.RefusedError], isA[*push.AuthError]

	for name, tc := range map[string]struct {
		faults []pushtest.Fault
		login  bool             // of the login
		want   func(error) bool // nil: any error
	}{
		"always 500":          {faults: slices.Repeat([]pushtest.Fault{pushtest.Fail(500)}, 4), want: unreachable},
		"redirect":            {faults: []pushtest.Fault{pushtest.Redirect("/elsewhere")}, want: refused},
		"redirect of login":   {faults: []pushtest.Fault{pushtest.Redirect("http://127.0.0.1:1/")}, login: true, want: refused},
		"echo in HTML, 400":   {faults: []pushtest.Fault{pushtest.Echo(400, "text/html")}, want: refused},
		"echo in a header":    {faults: slices.Repeat([]pushtest.Fault{pushtest.EchoHeader}, 4), want: unreachable},
		"401 for ever":        {faults: slices.Repeat([]pushtest.Fault{pushtest.Fail(401)}, 2), want: auth},
		"403":                 {faults: []pushtest.Fault{pushtest.Fail(403)}, want: refused},
		"login without token": {faults: slices.Repeat([]pushtest.Fault{pushtest.Say(200, "application/json", `{"result":{"status":true,"value":{}}}`)}, 4), login: true, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rigs(t, func(t *testing.T, r *rig) {
				rec, path := sample.Carol(), r.init
				if tc.login {
					path = r.login
				}
				r.d.Fault(path, tc.faults...)
				_, err := r.Enrol(t.Context(), rec, place(rec))
				if err == nil || tc.want != nil && !tc.want(err) {
					t.Errorf("got %T %v", err, err)
				}
				r.clean(t, fmt.Sprintf("%v %+v %#v", err, err, err))
				if kept := r.d.Token(rec.Label); kept.Made != 0 {
					t.Errorf("made %d times", kept.Made)
				}
			})
		})
	}
}
