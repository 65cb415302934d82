// Package keycloak pushes OATH tokens to Keycloak through its admin REST interface, signed in as a client with a service account
// that has the roles view-users and manage-users.
//
// A token is a credential of type otp of the user who holds it, and its serial is the credential's label. Keycloak has no switch
// on a credential: Disable deletes it, and Enable adds it again with the counter that the token has now. The secret is base32 with
// secretEncoding, which Keycloak 22 and later know; without it the characters themselves would be the key.
// The user is sent back as Keycloak gave it, with the credential added: a representation that lacks a field may clear it.
// Sources: reference key-files.md §0 fact 5, §8.3; keycloak.org, Admin REST API. Not run against a Keycloak server.
package keycloak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

const name = "Keycloak"

// Target is a realm of a Keycloak server.
type Target struct {
	at         push.Server
	credential secret.Bytes
	web        push.Web
}

var _ push.Target = (*Target)(nil)

// New is a target. The credential is the client secret of the client s.Account in s.Realm; the caller destroys it after the last use
// of the target. transport nil is http.DefaultTransport.
func New(s push.Server, credential secret.Bytes, transport http.RoundTripper) (*Target, error) {
	base, err := push.ParseURL(s.URL)
	if err != nil {
		return nil, err
	}
	if !segment(s.Realm) || s.Account == "" {
		return nil, errors.New("realm, account: a realm's name and a client ID are needed")
	}
	t := &Target{at: s, credential: credential}
	t.web = push.Web{Server: name, Base: base, Transport: transport, Login: t.login}
	return t, nil
}

// segment reports whether s may stand in a path: realms' names and IDs that a server gave.
func segment(s string) bool {
	ok, err := regexp.MatchString(`^[0-9A-Za-z_-][0-9A-Za-z._-]{0,254}$`, s)
	return err == nil && ok
}

// Loss implements push.Target.
func (t *Target) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.HOTP, token.TOTP)
	out = append(out, tokenname.SerialLosses(rec)...)
	if rec.Owner == "" {
		out = append(out, keyfile.Fatal("owner", "a credential is kept with its user: issue the token first"))
	}
	carried := push.Kept(rec, t.at.Realm)
	carried.Created = rec.Created
	return append(out, keyfile.Notes(rec, carried, map[string]string{
		"access-code": "left out on purpose: who has it can reprogram the key",
	})...)
}

func (t *Target) login(ctx context.Context) (push.Grant, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {t.at.Account}, "client_secret": {string(t.credential.Reveal())}}
	a, err := t.web.Send(ctx, push.Call{Method: http.MethodPost, Path: "realms/" + t.at.Realm + "/protocol/openid-connect/token", Form: form}, push.Grant{})
	if err != nil {
		return push.Grant{}, err
	}
	if a.Status >= 400 {
		return push.Grant{}, &push.AuthError{Server: name, Cause: fmt.Sprintf("it answered %d", a.Status)}
	}
	var v struct {
		AccessToken string `json:"access_token"`
	}
	if err := t.web.Decode(a, &v); err != nil {
		return push.Grant{}, err
	}
	if !push.Sendable(v.AccessToken) {
		return push.Grant{}, t.web.Strange(a)
	}
	return push.Grant{Header: http.Header{"Authorization": {"Bearer " + v.AccessToken}}}, nil
}

// do sends a request below the realm's users; found is false for 404. into nil: there is no body to read.
func (t *Target) do(ctx context.Context, method, path string, query url.Values, body, into any) (found bool, err error) {
	a, err := t.web.Do(ctx, push.Call{Method: method, Path: "admin/realms/" + t.at.Realm + "/users" + path, Query: query, JSON: body})
	if err != nil {
		return false, err
	}
	switch {
	case a.Status == http.StatusNotFound && path != "": // without a path it is the realm that is missing
		return false, nil
	case a.Status == http.StatusForbidden:
		return false, &push.RefusedError{Server: name, Field: "rights", Cause: "the client lacks the roles view-users and manage-users"}
	case a.Status >= 400 || into == nil && a.Status != http.StatusNoContent:
		return false, t.web.Strange(a)
	case into == nil:
		return true, nil
	}
	return true, t.web.Decode(a, into)
}

// user is the ID of the user who holds the token; "": there is none. A handle is the ID.
func (t *Target) user(ctx context.Context, at push.Place) (string, error) {
	if segment(at.Handle) {
		return at.Handle, nil
	}
	if at.Account == "" {
		return "", nil
	}
	var list []struct{ ID, Username string }
	if _, err := t.do(ctx, http.MethodGet, "", url.Values{"username": {at.Account}, "exact": {"true"}}, nil, &list); err != nil {
		return "", err
	}
	switch {
	case list == nil:
		return "", notKeycloak()
	case len(list) == 0:
		return "", nil
	case len(list) > 1 || !segment(list[0].ID):
		return "", &push.RefusedError{Server: name, Field: "user", Cause: "not one user has this name"}
	}
	return list[0].ID, nil
}

func notKeycloak() error {
	return &push.UnreachableError{Server: name, Cause: "its answer is not one of this kind of server"}
}

// credential is what Keycloak lists of one: never the secret.
type credential struct {
	ID             string
	Type           string
	UserLabel      string
	CredentialData string
}

// credentials are the user's with the label; known is false if there is no such user.
func (t *Target) credentials(ctx context.Context, user, label string) (out []credential, known bool, err error) {
	var all []credential
	if known, err = t.do(ctx, http.MethodGet, "/"+user+"/credentials", nil, nil, &all); err != nil || !known {
		return nil, known, err
	}
	if all == nil { // null is no list
		return nil, false, notKeycloak()
	}
	for _, c := range all {
		if c.Type == otp && c.UserLabel == label {
			out = append(out, c)
		}
	}
	return out, true, nil
}

// Enrol implements push.Target.
func (t *Target) Enrol(ctx context.Context, rec keyfile.Record, at push.Place) (push.Result, error) {
	user, err := t.user(ctx, at)
	if err != nil {
		return push.Result{}, err
	}
	list, known, err := []credential(nil), false, error(nil)
	if user != "" {
		list, known, err = t.credentials(ctx, user, at.Serial)
	}
	switch {
	case err != nil:
		return push.Result{}, err
	case !known:
		return push.Result{}, &push.RefusedError{Server: name, Field: "user", Cause: "there is no such user"}
	case len(list) > 0:
		return push.Result{Status: push.AlreadyThere, Handle: user}, compare(rec, list)
	}
	if err := t.add(ctx, user, rec, at.Serial); err != nil {
		return push.Result{}, err
	}
	list, _, err = t.credentials(ctx, user, at.Serial)
	if err == nil && len(list) == 0 {
		err = &push.RefusedError{Server: name, Cause: "the credential was not made"}
	}
	if err == nil {
		err = compare(rec, list)
	}
	return push.Result{Status: push.Enrolled, Handle: user}, err
}

// add sends the user back with one credential more.
func (t *Target) add(ctx context.Context, user string, rec keyfile.Record, label string) error {
	var u map[string]json.RawMessage
	known, err := t.do(ctx, http.MethodGet, "/"+user, nil, nil, &u)
	if err == nil && (!known || u == nil) {
		err = &push.RefusedError{Server: name, Field: "user", Cause: "there is no such user"}
	}
	if err != nil {
		return err
	}
	if u["credentials"], err = marshal(rec, label); err != nil {
		return &push.RefusedError{Server: name, Field: "credentials", Cause: "cannot be written"}
	}
	if known, err = t.do(ctx, http.MethodPut, "/"+user, nil, u, nil); err == nil && !known {
		err = &push.RefusedError{Server: name, Field: "user", Cause: "there is no such user"}
	}
	return err
}

// Disable implements push.Target: it deletes every credential of the label. A user who was deleted has none.
func (t *Target) Disable(ctx context.Context, at push.Place) (push.Result, error) {
	user, err := t.user(ctx, at)
	if err != nil || user == "" {
		return push.Result{Status: push.Gone}, err
	}
	out := push.Result{Status: push.Gone, Handle: user}
	list, _, err := t.credentials(ctx, user, at.Serial)
	if err != nil {
		return push.Result{}, err
	}
	for _, c := range list {
		if !segment(c.ID) {
			return push.Result{}, notKeycloak()
		}
		if _, err := t.do(ctx, http.MethodDelete, "/"+user+"/credentials/"+c.ID, nil, nil, nil); err != nil {
			return push.Result{}, err
		}
		out.Status = push.Disabled
	}
	if list, _, err = t.credentials(ctx, user, at.Serial); err == nil && len(list) > 0 {
		err = &push.RefusedError{Server: name, Cause: "the credential is still there"}
	}
	return out, err
}

// Enable implements push.Target: it adds the credential again.
func (t *Target) Enable(ctx context.Context, rec keyfile.Record, at push.Place) (push.Result, error) {
	r, err := t.Enrol(ctx, rec, at)
	r.Status = push.Enabled
	return r, err
}

// State implements push.Target. A credential is active or not there.
func (t *Target) State(ctx context.Context, at push.Place) (push.State, error) {
	user, err := t.user(ctx, at)
	if err != nil || user == "" {
		return push.Absent, err
	}
	list, _, err := t.credentials(ctx, user, at.Serial)
	if err != nil || len(list) == 0 {
		return push.Absent, err
	}
	return push.Active, nil
}
