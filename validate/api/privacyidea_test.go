package api

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestPlugins: each form in which a plugin sends what it has arrives as what was typed.
func TestPlugins(t *testing.T) {
	t.Parallel()
	form := func(pairs ...string) (string, string) {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v.Encode(), "application/x-www-form-urlencoded"
	}
	parts := func(pairs ...string) (string, string) {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for i := 0; i < len(pairs); i += 2 {
			if err := m.WriteField(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String(), m.FormDataContentType()
	}
	type sent struct{ body, kind string }
	make := func(body, kind string) sent { return sent{body, kind} }
	for _, tc := range []struct {
		name, agent string
		sent        sent
		user, pass  string // that arrive; "" user: refused
	}{
		{"PAM", "PAM/2.15.0", make(form("user", "ada@example.org", "pass", "123456", "realm", "r")), "ada@example.org", "123456"},
		{"PHP", "privacyidea-nextcloud/1.0", make(parts("user", "ada@example.org", "pass", "123456")), "ada@example.org", "123456"},
		{"Java, escaped twice", "privacyIDEA-Keycloak", make(form("user", "ada%40example.org", "pass", "123456")), "ada@example.org", "123456"},
		{"FreeRADIUS, escaped twice", "FreeRADIUS", make(form("user", "ada%20l", "pass", "123%20456", "client", "192.0.2.1", "state", "")), "ada l", "123 456"},
		{"credential provider, escaped once", "privacyidea-cp/3.5.0 Windows/x", make(form("user", "ada%40b", "pass", "123456")), "ada%40b", "123456"},
		{"a stray percent", "FreeRADIUS", make(form("user", "100%", "pass", "123456")), "100%", "123456"},
		{"plus", "FreeRADIUS", make(form("user", "a+b", "pass", "123456")), "a+b", "123456"},
		{"JSON", "curl/8", sent{`{"user":"ada","pass":"123456","realm":null,"otponly":1}`, "application/json"}, "ada", "123456"},
		{"empty pass", "curl/8", make(form("user", "ada", "pass", "")), "ada", ""},
		{"twice", "curl/8", sent{"user=ada&user=bob&pass=123456", "application/x-www-form-urlencoded"}, "", ""},
		{"user and serial", "curl/8", make(form("user", "ada", "serial", "1", "pass", "123456")), "", ""},
		{"XML", "curl/8", sent{"<user>ada</user>", "text/xml"}, "", ""},
		{"JSON with more in it", "curl/8", sent{`{"user":"ada","x":{"user":"bob"},"pass":"1","x":[1e400]}`, "application/json"}, "ada", "1"},
		{"JSON, twice", "curl/8", sent{`{"user":"ada","pass":"1","user":"bob"}`, "application/json"}, "", ""},
		{"JSON, twice and null", "curl/8", sent{`{"user":"ada","pass":"1","serial":null,"serial":null}`, "application/json"}, "", ""},
		{"JSON with a second object", "curl/8", sent{`{"user":"ada","pass":"1"}{}`, "application/json"}, "", ""},
		{"JSON without an end", "curl/8", sent{`{"user":"ada","pass":"1"`, "application/json"}, "", ""},
		{"JSON that is not UTF-8", "curl/8", sent{"{\"user\":\"ada\xff\",\"pass\":\"1\"}", "application/json"}, "", ""},
		{"a number", "curl/8", sent{`{"user":"ada","pass":123456}`, "application/json"}, "", ""},
		{"array", "curl/8", sent{`["ada"]`, "application/json"}, "", ""},
		{"no boundary", "curl/8", sent{"--x", "multipart/form-data"}, "", ""},
		{"long", "curl/8", sent{"user=ada&pass=" + strings.Repeat("1", maxBody), "application/x-www-form-urlencoded"}, "", ""},
	} {
		s := newSite(t)
		req := httptest.NewRequest(http.MethodPost, "/validate/check", strings.NewReader(tc.sent.body))
		req.Header.Set("Content-Type", tc.sent.kind)
		req.Header.Set("User-Agent", tc.agent)
		w := do(s, req, newerKey)
		f := s.checker.last
		if f.Account != tc.user || f.Text != tc.pass || (w.Code == http.StatusOK) != (tc.user != "") {
			t.Errorf("%s: %d, user %q, pass %q, want %q, %q", tc.name, w.Code, f.Account, f.Text, tc.user, tc.pass)
		}
		if !strings.Contains(w.Body.String(), `"jsonrpc":"2.0"`) {
			t.Errorf("%s: %s", tc.name, w.Body)
		}
	}
}
