package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
)

var update = flag.Bool("update", false, "write the golden files")

// whoMay is a caller that may use the address.
func whoMay(r route) string {
	if r.who == relying {
		return newerKey
	}
	for _, role := range []desk.Role{desk.RoleHelpdesk, desk.RoleIssuer, desk.RoleAdmin} {
		if role.Grants(r.right) {
			return "td_" + string(role)
		}
	}
	return ""
}

// TestAnswers holds the form of every answer, and of every kind of refusal, against a file.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	write := func(name string, status int, kind string, body []byte) {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, body, "", "  "); err != nil {
			t.Fatalf("%s: %v: %s", name, err, body)
		}
		fmt.Fprintf(&out, "# %s\n%d %s\n%s\n\n", name, status, kind, pretty.String())
	}
	for _, r := range routes() {
		query, body := sample(r)
		w := ask(newSite(t), r.method, filled(r.path)+query, whoMay(r), body)
		write(strings.TrimSpace(r.method+" "+filled(r.path)+query+" "+body), w.Code, w.Header().Get("Content-Type"), w.Body.Bytes())
	}
	for _, tc := range []struct{ name, method, path, who, body string }{
		{"denied", "POST", "/api/v1/verify", newerKey, `{"person":"ada","factor":"000000"}`},
		{"remembered", "POST", "/api/v1/verify", newerKey, `{"person":"ada","factor":"good totp","remember":true,"device":"laptop"}`},
		{"recovery", "POST", "/api/v1/verify", newerKey, `{"person":"ada","factor":"good recovery","remember":true}`},
		{"plugin denied", "POST", "/validate/check", newerKey, `{"user":"ada","pass":"000000"}`},
		{"plugin unknown", "POST", "/validate/check", "1:wrong", `{"user":"ada","pass":"000000"}`},
		{"plugin without user", "POST", "/validate/check", newerKey, `{"pass":"000000"}`},
		{"no code", "POST", "/api/v1/tokens/17/restore", "td_helpdesk", `{"codes":[]}`},
		{"no reason", "POST", "/api/v1/tokens/17/block", "td_helpdesk", `{"reason":"gone"}`},
		{"support code", "POST", "/api/v1/diagnose", "td_auditor", `{"support_code":"7km4 q2x9"}`},
		{"unknown token", "GET", "/api/v1/tokens/99", "td_helpdesk", ``},
		{"no number", "GET", "/api/v1/tokens/x", "td_helpdesk", ``},
		{"no right", "POST", "/api/v1/tokens/17/lost", "td_auditor", `{}`},
		{"no token", "POST", "/api/v1/tokens/17/lost", "", `{}`},
		{"unknown client", "POST", "/api/v1/verify", "1:wrong", `{}`},
		{"neither", "POST", "/api/v1/verify", newerKey, `{"factor":"1"}`},
		{"unknown field", "POST", "/api/v1/verify", newerKey, `{"person":"ada","pin":"1"}`},
		{"store gone", "GET", "/api/v1/clients", "td_broken", ``},
		{"otp in url", "GET", "/api/v1/search?q=vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji", "td_helpdesk", ``},
		{"all browsers", "DELETE", "/api/v1/browsers?person=ada", "td_helpdesk", ``},
	} {
		w := ask(newSite(t), tc.method, tc.path, tc.who, tc.body)
		write(tc.name, w.Code, w.Header().Get("Content-Type"), w.Body.Bytes())
	}
	golden(t, "answers.txt", out.String())
}

// golden holds text against a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is not what it was; see the difference after -update\n%s", name, text)
	}
}

// TestHeaders: no cache keeps an answer, whatever it is, and no browser guesses its type.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, path := range []string{"/api/v1/tokens/17", "/api/v1/tokens/99", "/api/v1/verify", "/nowhere"} {
		h := ask(s, http.MethodGet, path, "td_helpdesk", "").Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// TestNoSecretIsReachable walks the types of all requests and answers: none leads to a secret, and every field is named in JSON by
// small letters, which decode relies on; sha256 is of answers alone.
func TestNoSecretIsReachable(t *testing.T) {
	t.Parallel()
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(v reflect.Type) {
		if seen[v] || v == reflect.TypeFor[time.Time]() {
			return
		}
		seen[v] = true
		if v == reflect.TypeFor[secret.Bytes]() {
			t.Error("a secret is reachable")
		}
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(v.Elem())
		case reflect.Map, reflect.Interface, reflect.Func:
			t.Errorf("%s holds anything", v)
		case reflect.Struct:
			for f := range v.Fields() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if !f.Anonymous && f.IsExported() && !plainName(strings.TrimSuffix(name, "256")) {
					t.Errorf("%s.%s is called %q", v, f.Name, name)
				}
				if f.IsExported() || f.Anonymous {
					walk(f.Type)
				}
			}
		}
	}
	for _, v := range []any{
		verifyRequest{}, verifyAnswer{}, piAnswer{}, searchRequest{}, searchAnswer{}, diagnoseRequest{}, diagnoseAnswer{}, personAnswer{}, tokenAnswer{},
		eventsAnswer{}, proofAnswer{}, blockRequest{}, blockAnswer{}, noteRequest{}, changedAnswer{}, codesRequest{}, issueRequest{},
		confirmRequest{}, resyncRequest{}, returnRequest{}, tempRequest{}, tempAnswer{}, recoveryRequest{}, recoveryAnswer{}, activationRequest{},
		activationAnswer{}, browsersAnswer{}, revokedAnswer{}, clientsAnswer{}, operatorsAnswer{}, problem{},
	} {
		walk(reflect.TypeOf(v))
	}
}
