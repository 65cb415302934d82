// Package linotp pushes tokens to LinOTP through its administrative interface: admin/init, admin/disable, admin/enable and
// admin/show, all as forms.
//
// Signing in is tried the way of LinOTP 3 first, admin/login, which gives cookies and wants the CSRF token in a header. A server
// that does not know it is asked for a session, admin/getsession with HTTP Basic, which is a cookie whose value each request
// repeats as the parameter session. Servers behind HTTP Digest are not served.
// Sources: reference key-files.md §5; linotp/controllers/admin.py as documented at linotp.org. Not run against a LinOTP server.
package linotp

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

const name = "LinOTP"

// server is a push.Registry.
type server struct {
	at         push.Server
	credential secret.Bytes
	web        push.Web
}

// New is a target. The credential is the password of s.Account; the caller destroys it after the last use of the target.
// transport nil is http.DefaultTransport.
func New(s push.Server, credential secret.Bytes, transport http.RoundTripper) (push.Target, error) {
	base, err := push.ParseURL(s.URL)
	if err != nil {
		return nil, err
	}
	out := &server{at: s, credential: credential}
	out.web = push.Web{Server: name, Base: base, Transport: transport, Login: out.login}
	keeps := func(rec keyfile.Record) keyfile.Record { return push.Kept(rec, s.Realm) }
	return push.BySerial{Registry: out, Server: name, Keeps: keeps, Notes: map[string]string{
		"private-id":  "LinOTP learns it with the first accepted OTP",
		"public-id":   "LinOTP learns it with the first accepted OTP",
		"access-code": "left out on purpose: who has it can reprogram the key",
		"owner":       "the target has no realm: assign the token there",
	}}, nil
}

// The cookies. Sources: LinOTP 2 admin/getsession; LinOTP 3 by Flask-JWT-Extended's names.
const (
	sessionCookie = "admin_session"
	accessCookie  = "access_token_cookie"
	csrfCookie    = "csrf_access_token"
	csrfHeader    = "X-Csrf-Token"
)

func (s *server) login(ctx context.Context) (push.Grant, error) {
	password := string(s.credential.Reveal())
	a, err := s.web.Send(ctx, push.Call{Method: http.MethodPost, Path: "admin/login", Form: url.Values{"username": {s.at.Account}, "password": {password}}}, push.Grant{})
	if err != nil {
		return push.Grant{}, err
	}
	if a.Status == http.StatusNotFound {
		return s.session(ctx, password)
	}
	c := cookies(a)
	if a.Status >= 400 || c[accessCookie] == "" && c[csrfCookie] == "" {
		return push.Grant{}, &push.AuthError{Server: name, Cause: fmt.Sprintf("it answered %d and gave no access", a.Status)}
	}
	if !push.Sendable(c[accessCookie]) || !push.Sendable(c[csrfCookie]) {
		return push.Grant{}, s.web.Strange(a)
	}
	return push.Grant{Header: http.Header{
		"Cookie":   {accessCookie + "=" + c[accessCookie] + "; " + csrfCookie + "=" + c[csrfCookie]},
		csrfHeader: {c[csrfCookie]},
	}}, nil
}

// session is LinOTP 2's way.
func (s *server) session(ctx context.Context, password string) (push.Grant, error) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(s.at.Account+":"+password))
	a, err := s.web.Send(ctx, push.Call{Method: http.MethodPost, Path: "admin/getsession", Form: url.Values{}, Header: http.Header{"Authorization": {basic}}}, push.Grant{})
	if err != nil {
		return push.Grant{}, err
	}
	session := cookies(a)[sessionCookie]
	if a.Status >= 400 || !push.Sendable(session) {
		return push.Grant{}, &push.AuthError{Server: name, Cause: fmt.Sprintf("it answered %d and gave no session", a.Status)}
	}
	return push.Grant{
		Header: http.Header{"Authorization": {basic}, "Cookie": {sessionCookie + "=" + session}},
		Form:   url.Values{"session": {session}},
	}, nil
}

func cookies(a push.Answer) map[string]string {
	out := map[string]string{}
	for _, c := range a.Cookies {
		out[c.Name] = c.Value
	}
	return out
}

// do posts a form and reads result.value. LinOTP answers most errors with status 200.
func (s *server) do(ctx context.Context, path string, form url.Values, value any) error {
	a, err := s.web.Do(ctx, push.Call{Method: http.MethodPost, Path: path, Form: form})
	if err != nil {
		return err
	}
	return s.web.Value(a, value, "otpkey", "otplen", "hashlib", "timeStep", "serial", "user", "resConf", "realm", "type")
}

// Find implements push.Registry.
func (s *server) Find(ctx context.Context, serial string) (*push.Token, error) {
	var value struct{ Data []map[string]any }
	if err := s.do(ctx, "admin/show", url.Values{"serial": {serial}}, &value); err != nil {
		return nil, err
	}
	if value.Data == nil {
		return nil, &push.UnreachableError{Server: name, Cause: "its answer lists no tokens, not even none"}
	}
	for _, d := range value.Data {
		got, _ := d["LinOtp.TokenSerialnumber"].(string)
		if !strings.EqualFold(got, serial) {
			continue
		}
		t := push.Token{Fields: map[string]string{}}
		t.Active, _ = d["LinOtp.Isactive"].(bool)
		tell := func(field string, v any) {
			if v != nil {
				t.Fields[field] = strings.ToLower(fmt.Sprint(v))
			}
		}
		tell("type", d["LinOtp.TokenType"])
		tell("otplen", d["LinOtp.OtpLen"])
		info := tokenInfo(d["LinOtp.TokenInfo"])
		tell("hashlib", info["hashlib"])
		tell("timeStep", info["timeStep"])
		if user, ok := d["User.username"].(string); ok {
			t.Fields["user"] = user
		}
		return &t, nil
	}
	return nil, nil
}

// tokenInfo is an object, or the text of one.
func tokenInfo(v any) map[string]any {
	if text, ok := v.(string); ok {
		var out map[string]any
		if json.Unmarshal([]byte(text), &out) != nil {
			return nil
		}
		return out
	}
	out, _ := v.(map[string]any)
	return out
}

// hotp is LinOTP's name of the kind.
const hotp = "hmac"

// Fields implements push.Registry.
func (s *server) Fields(rec keyfile.Record) []push.Field {
	out := push.Parameters(rec, hotp)
	if s.at.Realm != "" {
		out = append(out, push.Field{Name: "user", Value: rec.Owner})
	}
	return out
}

// Init implements push.Registry.
func (s *server) Init(ctx context.Context, rec keyfile.Record, serial string) error {
	form := url.Values{"serial": {serial}, "otpkey": {hex.EncodeToString(rec.Key.Reveal())}, "description": {rec.Name()}}
	for _, f := range push.Parameters(rec, hotp) {
		form.Set(f.Name, f.Value)
	}
	if s.at.Realm != "" && rec.Owner != "" {
		form.Set("user", rec.Owner)
		form.Set("realm", s.at.Realm)
		if s.at.Resolver != "" {
			form.Set("resConf", s.at.Resolver)
		}
	}
	var done bool
	err := s.do(ctx, "admin/init", form, &done)
	if err == nil && !done {
		err = &push.RefusedError{Server: name, Cause: "the token was not made"}
	}
	return err
}

// Switch implements push.Registry. The value is the number of tokens that it changed, 0 also where there is none.
func (s *server) Switch(ctx context.Context, serial string, on bool) error {
	path := "admin/disable"
	if on {
		path = "admin/enable"
	}
	var changed any
	return s.do(ctx, path, url.Values{"serial": {serial}}, &changed)
}
