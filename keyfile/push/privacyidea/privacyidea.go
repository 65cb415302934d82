// Package privacyidea pushes tokens to privacyIDEA through its REST interface: /auth, /token/init, /token/disable,
// /token/enable and /token/.
//
// A Yubico OTP takes its public ID along as yubikey.prefix, which no file but privacyIDEA's own can carry. privacyIDEA neither
// stores nor compares private IDs, and there is no way to say a moving factor.
// Sources: reference key-files.md §4.6; privacyidea/api/{auth,token}.py as documented at privacyidea.readthedocs.io. Not run
// against a privacyIDEA server.
package privacyidea

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

const name = "privacyIDEA"

// server is a push.Registry.
type server struct {
	at         push.Server
	credential secret.Bytes
	web        push.Web
}

// New is a target. The credential is the password of s.Account, or an API token if that is empty; the caller destroys it after the
// last use of the target. transport nil is http.DefaultTransport.
func New(s push.Server, credential secret.Bytes, transport http.RoundTripper) (push.Target, error) {
	base, err := push.ParseURL(s.URL)
	if err != nil {
		return nil, err
	}
	if s.Account == "" && !push.Sendable(string(credential.Reveal())) {
		return nil, errors.New("credential: an API token is one line of visible characters")
	}
	out := &server{at: s, credential: credential}
	out.web = push.Web{Server: name, Base: base, Transport: transport, Login: out.login}
	return push.BySerial{Registry: out, Server: name, Keeps: out.keeps, Notes: map[string]string{
		"private-id":  "privacyIDEA does not store it and does not compare it",
		"access-code": "left out on purpose: who has it can reprogram the key",
		"owner":       "the target has no realm: assign the token there",
	}}, nil
}

func (s *server) keeps(rec keyfile.Record) keyfile.Record {
	out := push.Kept(rec, s.at.Realm)
	if rec.Kind == token.YubicoOTP {
		out.PublicID = rec.PublicID
	}
	return out
}

// login asks for an authentication token; an API token is one already.
func (s *server) login(ctx context.Context) (push.Grant, error) {
	give := func(t string) push.Grant { return push.Grant{Header: http.Header{"Authorization": {t}}} }
	password := string(s.credential.Reveal())
	if s.at.Account == "" {
		return give(password), nil
	}
	a, err := s.web.Send(ctx, push.Call{Method: http.MethodPost, Path: "auth", JSON: map[string]string{"username": s.at.Account, "password": password}}, push.Grant{})
	if err != nil {
		return push.Grant{}, err
	}
	var value struct{ Token string }
	var refused *push.RefusedError
	switch err := s.web.Value(a, &value); {
	case errors.Is(err, push.ErrNotFound): // must not be taken for a token that does not exist
		return push.Grant{}, &push.AuthError{Server: name, Cause: "there is no such way in at this URL"}
	case errors.As(err, &refused):
		return push.Grant{}, &push.AuthError{Server: name, Cause: refused.Cause}
	case err != nil:
		return push.Grant{}, err
	case !push.Sendable(value.Token):
		return push.Grant{}, s.web.Strange(a)
	}
	return give(value.Token), nil
}

// parameters are those of token/init that an error may be about.
func parameters() []string {
	return []string{"yubikey.prefix", "otpkey", "otplen", "hashlib", "timeStep", "serial", "user", "resolver", "realm", "type"}
}

func (s *server) do(ctx context.Context, c push.Call, value any) error {
	a, err := s.web.Do(ctx, c)
	if err != nil {
		return err
	}
	return s.web.Value(a, value, parameters()...)
}

// found is one of the tokens of GET /token/.
type found struct {
	Serial    string
	TokenType string
	Active    bool
	Revoked   bool
	OTPLen    any
	Username  *string
	Info      map[string]any
}

// Find implements push.Registry.
func (s *server) Find(ctx context.Context, serial string) (*push.Token, error) {
	var value struct{ Tokens []found }
	err := s.do(ctx, push.Call{Method: http.MethodGet, Path: "token/", Query: url.Values{"serial": {serial}}}, &value)
	if errors.Is(err, push.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if value.Tokens == nil {
		return nil, &push.UnreachableError{Server: name, Cause: "its answer lists no tokens, not even none"}
	}
	for _, f := range value.Tokens {
		if !strings.EqualFold(f.Serial, serial) { // a server's database may ignore the case
			continue
		}
		t := push.Token{Active: f.Active && !f.Revoked, Fields: map[string]string{"type": strings.ToLower(f.TokenType)}}
		tell := func(field string, v any) {
			if v != nil {
				t.Fields[field] = fmt.Sprint(v)
			}
		}
		tell("otplen", f.OTPLen)
		for _, field := range []string{"hashlib", "timeStep", "yubikey.prefix"} {
			tell(field, f.Info[field])
		}
		if f.Username != nil {
			t.Fields["user"] = *f.Username
		}
		return &t, nil
	}
	return nil, nil
}

// Fields implements push.Registry.
func (s *server) Fields(rec keyfile.Record) []push.Field {
	out := kindFields(rec)
	if s.at.Realm != "" {
		out = append(out, push.Field{Name: "user", Value: rec.Owner})
	}
	return out
}

func kindFields(rec keyfile.Record) []push.Field {
	out := push.Parameters(rec, "hotp")
	if rec.Kind == token.YubicoOTP {
		out = append(out, push.Field{Name: "yubikey.prefix", Value: rec.PublicID.String()})
	}
	return out
}

// Init implements push.Registry.
func (s *server) Init(ctx context.Context, rec keyfile.Record, serial string) error {
	p := map[string]string{"serial": serial, "otpkey": hex.EncodeToString(rec.Key.Reveal()), "description": rec.Name()}
	for _, f := range kindFields(rec) {
		p[f.Name] = f.Value
	}
	if s.at.Realm != "" && rec.Owner != "" {
		p["user"], p["realm"] = rec.Owner, s.at.Realm
		if s.at.Resolver != "" {
			p["resolver"] = s.at.Resolver
		}
	}
	var done bool
	err := s.do(ctx, push.Call{Method: http.MethodPost, Path: "token/init", JSON: p}, &done)
	if errors.Is(err, push.ErrNotFound) {
		return &push.RefusedError{Server: name, Field: "user", Cause: "something that the token names does not exist there"}
	}
	if err == nil && !done {
		err = &push.RefusedError{Server: name, Cause: "the token was not made"}
	}
	return err
}

// Switch implements push.Registry. The value is the number of tokens that it changed.
func (s *server) Switch(ctx context.Context, serial string, on bool) error {
	path := "token/disable"
	if on {
		path = "token/enable"
	}
	var changed any
	err := s.do(ctx, push.Call{Method: http.MethodPost, Path: path, JSON: map[string]string{"serial": serial}}, &changed)
	if errors.Is(err, push.ErrNotFound) {
		return nil
	}
	return err
}
