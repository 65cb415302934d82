package pushtest

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Keycloak is a Keycloak with one realm. A token of it is called by its label.
type Keycloak struct {
	*Double
	Profiles map[string]map[string]any // users by ID: "id-" and the name
	ids      int
}

// kcCredential is a credential as the realm holds it.
type kcCredential struct {
	ID             string `json:"id"`
	Type           string `json:"type"`
	UserLabel      string `json:"userLabel"`
	SecretData     string `json:"secretData,omitempty"`
	CredentialData string `json:"credentialData"`
}

// NewKeycloak starts a Keycloak.
func NewKeycloak(t testing.TB) *Keycloak {
	mux := http.NewServeMux()
	k := &Keycloak{Double: start(t, mux), Profiles: map[string]map[string]any{}}
	for u := range k.Users {
		k.Profiles["id-"+u] = map[string]any{"id": "id-" + u, "username": u, "email": u + "@example.org", "attributes": map[string]any{"room": []any{"12"}}}
	}
	mux.HandleFunc("POST /realms/"+Realm+"/protocol/openid-connect/token", k.token)
	users := "/admin/realms/" + Realm + "/users"
	mux.HandleFunc("GET "+users, k.signed(k.find))
	mux.HandleFunc("GET "+users+"/{id}", k.signed(k.user(k.get)))
	mux.HandleFunc("PUT "+users+"/{id}", k.signed(k.user(k.put)))
	mux.HandleFunc("GET "+users+"/{id}/credentials", k.signed(k.user(k.list)))
	mux.HandleFunc("DELETE "+users+"/{id}/credentials/{credential}", k.signed(k.user(k.delete)))
	return k
}

func (k *Keycloak) token(w http.ResponseWriter, r *http.Request) {
	p := form(r)
	switch {
	case p == nil:
		reply(w, http.StatusUnsupportedMediaType, map[string]string{"error": "HTTP 415 Unsupported Media Type"})
	case p.Get("grant_type") != "client_credentials":
		reply(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
	case p.Get("client_id") != Account || p.Get("client_secret") != Password:
		reply(w, http.StatusUnauthorized, map[string]string{"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"})
	default:
		reply(w, http.StatusOK, map[string]any{"access_token": k.give("eyJ.kc."), "expires_in": 60, "token_type": "Bearer", "not-before-policy": 0, "scope": "profile email"})
	}
}

func (k *Keycloak) signed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !k.isValid(t) {
			reply(w, http.StatusUnauthorized, map[string]string{"error": "HTTP 401 Unauthorized"})
			return
		}
		next(w, r)
	}
}

// user answers 404 for an unknown user, and holds the lock.
func (k *Keycloak) user(next func(w http.ResponseWriter, r *http.Request, profile map[string]any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		k.Lock()
		defer k.Unlock()
		p := k.Profiles[r.PathValue("id")]
		if p == nil {
			reply(w, http.StatusNotFound, map[string]string{"error": "User not found"})
			return
		}
		next(w, r, p)
	}
}

// find is GET users: without exact the name is a part of names.
func (k *Keycloak) find(w http.ResponseWriter, r *http.Request) {
	k.Lock()
	defer k.Unlock()
	q, list := r.URL.Query(), []any{}
	for _, p := range k.Profiles {
		name := fmt.Sprint(p["username"])
		if name == q.Get("username") || q.Get("exact") != "true" && strings.Contains(name, q.Get("username")) {
			list = append(list, p)
		}
	}
	reply(w, http.StatusOK, list)
}

func (k *Keycloak) get(w http.ResponseWriter, _ *http.Request, p map[string]any) {
	reply(w, http.StatusOK, p)
}

// put replaces the profile, so that a field that is left out is lost, and adds credentials.
func (k *Keycloak) put(w http.ResponseWriter, r *http.Request, _ map[string]any) {
	if r.Header.Get("Content-Type") != "application/json" {
		reply(w, http.StatusUnsupportedMediaType, map[string]string{"error": "HTTP 415 Unsupported Media Type"})
		return
	}
	var body map[string]any
	var with struct{ Credentials []kcCredential }
	var raw json.RawMessage
	if json.NewDecoder(r.Body).Decode(&raw) != nil || json.Unmarshal(raw, &body) != nil || json.Unmarshal(raw, &with) != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": "unknown_error"})
		return
	}
	for _, c := range with.Credentials {
		if err := k.add(r.PathValue("id"), c); err != nil {
			reply(w, http.StatusBadRequest, map[string]string{"errorMessage": err.Error()})
			return
		}
	}
	delete(body, "credentials")
	k.Profiles[r.PathValue("id")] = body
	w.WriteHeader(http.StatusNoContent)
}

// add keeps the key that Keycloak would compute with: the value's characters, unless secretEncoding is BASE32.
func (k *Keycloak) add(user string, c kcCredential) error {
	var s struct{ Value string }
	var d struct {
		SubType, Algorithm, SecretEncoding string
		Digits, Period                     int
		Counter                            int64
	}
	if json.Unmarshal([]byte(c.SecretData), &s) != nil || json.Unmarshal([]byte(c.CredentialData), &d) != nil || s.Value == "" || c.Type != "otp" {
		return fmt.Errorf("credential %s is no otp credential of this version", c.SecretData)
	}
	key := []byte(s.Value)
	if d.SecretEncoding == "BASE32" {
		var err error
		if key, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s.Value); err != nil {
			return err
		}
	} else if d.SecretEncoding != "" {
		return fmt.Errorf("unsupported secretEncoding")
	}
	k.ids++
	made := 1
	if t := k.Tokens[c.UserLabel]; t != nil {
		made += t.Made // two credentials of one label
	}
	k.Tokens[c.UserLabel] = &Token{Type: d.SubType, Key: key, User: user, Active: true, Made: made,
		Params: map[string]string{"id": fmt.Sprintf("c-%d", k.ids), "data": c.CredentialData, "algorithm": d.Algorithm, "digits": fmt.Sprint(d.Digits),
			"period": fmt.Sprint(d.Period), "counter": fmt.Sprint(d.Counter)}}
	return nil
}

// list never tells secretData.
func (k *Keycloak) list(w http.ResponseWriter, r *http.Request, _ map[string]any) {
	out := []kcCredential{{ID: "c-0", Type: "password", CredentialData: `{"hashIterations":5}`}}
	for label, t := range k.Tokens {
		if t.User == r.PathValue("id") {
			out = append(out, kcCredential{ID: t.Params["id"], Type: "otp", UserLabel: label, CredentialData: t.Params["data"]})
		}
	}
	reply(w, http.StatusOK, out)
}

func (k *Keycloak) delete(w http.ResponseWriter, r *http.Request, _ map[string]any) {
	for label, t := range k.Tokens {
		if t.User == r.PathValue("id") && t.Params["id"] == r.PathValue("credential") {
			delete(k.Tokens, label)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	reply(w, http.StatusNotFound, map[string]string{"error": "Credential not found"})
}
