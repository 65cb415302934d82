package push_test

import (
	"context"
	"errors"
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

// TestNothingIsOverwritten: a token of the same serial that differs in anything that the server tells is refused with the field.
func TestNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	rigs(t, func(t *testing.T, r *rig) {
		there := sample.Carol()
		if _, err := r.Enrol(t.Context(), there, place(there)); err != nil {
			t.Fatal(err)
		}
		key := r.d.Token(there.Label).Key
		for name, change := range map[string]func(*keyfile.Record){
			"digits": func(rec *keyfile.Record) { rec.Digits = 8 }, "hash": func(rec *keyfile.Record) { rec.Hash = "sha256" },
			"period": func(rec *keyfile.Record) { rec.Period = time.Minute }, "kind": func(rec *keyfile.Record) { rec.Kind, rec.Period = "hotp", 0 },
		} {
			other := sample.With(there, change)
			other.Key = sample.Hex(sample.SeedAlice)
			var refused *push.RefusedError
			if _, err := r.Enrol(t.Context(), other, place(there)); !errors.As(err, &refused) || refused.Field == "" {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := r.Enable(t.Context(), other, place(there)); !errors.As(err, &refused) || refused.Field == "" {
				t.Errorf("enable, %s: %v", name, err)
			}
		}
		if kept := r.d.Token(there.Label); kept.Made != 1 || string(kept.Key) != string(key) {
			t.Errorf("made %d times", kept.Made)
		}
	})
}

func TestMissingUserIsRefused(t *testing.T) {
	t.Parallel()
	rigs(t, func(t *testing.T, r *rig) {
		rec := sample.With(sample.Carol(), func(rec *keyfile.Record) { rec.Owner = "nobody" })
		var refused *push.RefusedError
		if _, err := r.Enrol(t.Context(), rec, place(rec)); !errors.As(err, &refused) || refused.Field != "user" {
			t.Errorf("got %v", err)
		}
		if r.d.Token(rec.Label).Made != 0 || len(r.pauses) != 0 {
			t.Error("it was made, or tried again")
		}
	})
}

// TestWrongPassword: it is tried once, so that the account is not locked.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		d    *pushtest.Double
		open opener
	}{
		"privacyIDEA": {pushtest.NewPrivacyIDEA(t), privacyidea.New}, "LinOTP 3": {pushtest.NewLinOTP(t, false), linotp.New},
		"LinOTP 2": {pushtest.NewLinOTP(t, true), linotp.New}, "Keycloak": {pushtest.NewKeycloak(t).Double, openKeycloak},
	} {
		r := &rig{d: tc.d, password: "wrong-password"}
		r.Target = r.open(t, tc.open, pushtest.Account, r.password)
		rec := sample.Carol()
		_, err := r.Enrol(t.Context(), rec, place(rec))
		var auth *push.AuthError
		if !errors.As(err, &auth) || len(r.pauses) != 0 {
			t.Errorf("%s: %v, paused %v", name, err, r.pauses)
		}
		posts := slices.DeleteFunc(tc.d.Seen(), func(s string) bool { return strings.HasSuffix(s, "/admin/login") && name == "LinOTP 2" })
		if len(posts) != 1 {
			t.Errorf("%s: %v", name, posts)
		}
		r.clean(t, err.Error())
	}
}

// TestDisabledElsewhere: what an administrator switched off there is not switched on by a push.
func TestDisabledElsewhere(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	r := &rig{d: d}
	r.Target = r.open(t, privacyidea.New, pushtest.Account, pushtest.Password)
	rec := sample.Carol()
	at := place(rec)
	if _, err := r.Enrol(t.Context(), rec, at); err != nil {
		t.Fatal(err)
	}
	d.Lock()
	d.Tokens[at.Serial].Active, d.Tokens[at.Serial].Revoked = false, true
	d.Unlock()
	var refused *push.RefusedError
	if _, err := r.Enrol(t.Context(), rec, at); !errors.As(err, &refused) || state(t, r, at) != push.Inactive {
		t.Errorf("enrol: %v", err)
	}
	if _, err := r.Enable(t.Context(), rec, at); !errors.As(err, &refused) {
		t.Errorf("enable: %v", err)
	}
	d.Lock()
	delete(d.Tokens, at.Serial)
	d.Unlock()
	if _, err := r.Enable(t.Context(), rec, at); !errors.As(err, &refused) || refused.Field != "serial" {
		t.Errorf("enable what was deleted: %v", err)
	}
}

func TestYubicoPrefix(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	r := &rig{d: d}
	r.Target = r.open(t, privacyidea.New, "", pushtest.APIToken)
	rec := sample.First()
	at := place(rec)
	if _, err := r.Enrol(t.Context(), rec, at); err != nil {
		t.Fatal(err)
	}
	kept := d.Token("YUBIAES10200301_1")
	if p := kept.Params; p["yubikey.prefix"] != "vvccccknlfut" || p["otplen"] != "44" || p["hashlib"] != "" || p["user"] != "" || d.Logins != 0 {
		t.Errorf("%v, %d logins", p, d.Logins)
	}
	other := sample.With(rec, func(rec *keyfile.Record) { rec.PublicID = sample.Modhex("vvccccknlfuu") })
	var refused *push.RefusedError
	if _, err := r.Enrol(t.Context(), other, at); !errors.As(err, &refused) || refused.Field != "yubikey.prefix" {
		t.Errorf("another public ID: %v", err)
	}
}

// TestKeycloakKeepsTheUser: nothing of the user is lost, the user may be deleted, and an old token that runs out is renewed.
func TestKeycloakKeepsTheUser(t *testing.T) {
	t.Parallel()
	d := pushtest.NewKeycloak(t)
	r := &rig{d: d.Double}
	r.Target = r.open(t, openKeycloak, pushtest.Account, pushtest.Password)
	rec := sample.With(sample.Alice(), func(rec *keyfile.Record) { rec.Counter = 42 })
	at := place(rec)
	got, err := r.Enrol(t.Context(), rec, at)
	if err != nil || got.Handle != "id-alice" {
		t.Fatalf("%+v, %v", got, err)
	}
	at.Handle = got.Handle
	if p := d.Token(at.Serial).Params; p["counter"] != "42" || p["algorithm"] != "HmacSHA1" || p["digits"] != "6" {
		t.Errorf("%v", p)
	}
	d.Lock()
	p := d.Profiles["id-alice"]
	d.Unlock()
	if p["email"] != "alice@example.org" || p["attributes"] == nil || p["credentials"] != nil {
		t.Errorf("the user became %v", p)
	}
	d.Expire()
	d.Lock()
	delete(d.Profiles, "id-alice")
	d.Unlock()
	if got, err := r.Disable(t.Context(), at); err != nil || got.Status != push.Gone || d.Logins != 2 {
		t.Errorf("a user who was deleted: %+v, %v, %d logins", got, err, d.Logins)
	}
}

// TestSilence: a server that takes too long, one that nobody vouches for, and one that is not there.
func TestSilence(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	rec := sample.Carol()
	slow := d.Client().Transport.(*http.Transport).Clone()
	slow.ResponseHeaderTimeout = 20 * time.Millisecond
	for name, tc := range map[string]struct {
		url       string
		transport http.RoundTripper
		faults    []pushtest.Fault
		want      string
	}{
		"slow":         {d.URL, slow, slices.Repeat([]pushtest.Fault{pushtest.Hang}, 4), "took too long"},
		"not verified": {d.URL, nil, nil, "certificate"},
		"not there":    {"http://127.0.0.1:1", nil, nil, "refused"},
	} {
		d.Fault("POST /auth", tc.faults...)
		target, err := privacyidea.New(push.Server{URL: tc.url, Account: pushtest.Account}, secret.Copy([]byte(pushtest.Password)), tc.transport)
		if err != nil {
			t.Fatal(err)
		}
		tries := 0
		p := push.Patient{Target: target, Pause: func(context.Context, time.Duration) error { tries++; return nil }}
		var none *push.UnreachableError
		if _, err := p.Enrol(t.Context(), rec, place(rec)); !errors.As(err, &none) || !strings.Contains(none.Cause, tc.want) || tries != 3 {
			t.Errorf("%s: %v after %d pauses", name, err, tries)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.State(ctx, place(rec)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", name, err)
		}
	}
	if d.Token(rec.Label).Made != 0 {
		t.Error("it was made")
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"https://pi.example.org": true, "https://pi.example.org/pi/": true, "https://[2001:db8::1]:8443": true, "http://localhost:5000": true, "http://127.0.0.1": true,
		"http://[::1]:1": true, "http://pi.example.org": false, "http://127.0.0.1.example.org": false, "https://a:b@pi.example.org": false, "https://pi/?x=1": false,
		"https://pi/#x": false, "ftp://pi": false, "pi.example.org": false, "": false, "https:pi": false, "https://": false, "https://pi/\x7f": false,
	} {
		if _, err := push.ParseURL(url); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := secret.Copy([]byte("x"))
	if _, err := privacyidea.New(push.Server{URL: "https://pi"}, secret.Copy([]byte("two\nlines")), nil); err == nil {
		t.Error("an API token of two lines")
	}
	for _, realm := range []string{"", ".", "..", "a/b", "a?b", "a b"} {
		if _, err := keycloak.New(push.Server{URL: "https://kc", Account: "c", Realm: realm}, good, nil); err == nil {
			t.Errorf("realm %q", realm)
		}
	}
	for name, open := range map[string]opener{"privacyidea": privacyidea.New, "linotp": linotp.New, "keycloak": openKeycloak} {
		if _, err := open(push.Server{URL: "http://example.org", Account: "c", Realm: "r"}, good, nil); err == nil {
			t.Errorf("%s without TLS", name)
		}
	}
}

// TestLoss: which records are refused, and which notes the others get.
func TestLoss(t *testing.T) {
	t.Parallel()
	target := func(open opener, realm string) push.Target {
		out, err := open(push.Server{URL: "https://x", Account: "a", Realm: realm}, secret.Copy([]byte("x")), nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, tc := range map[string]struct {
		target push.Target
		rec    keyfile.Record
		fatal  string
		notes  []string
	}{
		"privacyIDEA, YubiKey":     {target(privacyidea.New, ""), sample.First(), "", []string{"private-id", "created"}},
		"privacyIDEA, TOTP":        {target(privacyidea.New, "r"), sample.Dave(), "", nil},
		"privacyIDEA, no realm":    {target(privacyidea.New, ""), sample.Dave(), "", []string{"owner"}},
		"privacyIDEA, counter":     {target(privacyidea.New, "r"), sample.Bob(), "counter", nil},
		"LinOTP, YubiKey":          {target(linotp.New, "r"), sample.First(), "", []string{"public-id", "private-id", "created"}},
		"LinOTP, counter":          {target(linotp.New, "r"), sample.Bob(), "counter", nil},
		"LinOTP, no name":          {target(linotp.New, "r"), sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label = "" }), "serial", nil},
		"privacyIDEA, bad name":    {target(privacyidea.New, "r"), sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label = "a b" }), "label", nil},
		"privacyIDEA, short key":   {target(privacyidea.New, "r"), sample.With(sample.First(), func(r *keyfile.Record) { r.Key = sample.Hex("00") }), "key", nil},
		"Keycloak, counter":        {target(openKeycloak, "r"), sample.Bob(), "", nil},
		"Keycloak, YubiKey":        {target(openKeycloak, "r"), sample.First(), "kind", nil},
		"Keycloak, nobody's token": {target(openKeycloak, "r"), sample.SlotHOTP(), "owner", nil},
	} {
		var notes []string
		fatal := ""
		for _, l := range tc.target.Loss(tc.rec) {
			if l.Fatal && fatal == "" {
				fatal = l.Field
			} else if !l.Fatal {
				notes = append(notes, l.Field)
			}
		}
		if fatal != tc.fatal || fatal == "" && !slices.Equal(notes, tc.notes) {
			t.Errorf("%s: fatal %q, notes %v; want %q, %v", name, fatal, notes, tc.fatal, tc.notes)
		}
	}
}
