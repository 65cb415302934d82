package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// sample is a request that each address takes: query and body.
func sample(r route) (query, body string) {
	switch r.method + " " + r.path {
	case "POST /api/v1/verify":
		return "", `{"person":"ada","factor":"good totp"}`
	case "POST /validate/check":
		return "", `{"user":"ada","pass":"good totp"}`
	case "GET /api/v1/search":
		return "?q=ada", ""
	case "POST /api/v1/search":
		return "", `{"q":"7KM4-Q2X9"}`
	case "POST /api/v1/diagnose":
		return "", `{"text":"123456"}` // for a person: TestDiagnosisIsNoOracle
	case "POST /api/v1/tokens/{id}/block":
		return "", `{"reason":"forgotten","note":"n","until":"2026-03-05T00:00:00Z"}`
	case "POST /api/v1/tokens/{id}/lost", "POST /api/v1/tokens/{id}/retire":
		return "", `{"note":"n"}`
	case "POST /api/v1/tokens/{id}/release":
		return "", `{"reason":"at the desk"}`
	case "POST /api/v1/tokens/{id}/undo":
		return "", `{}`
	case "POST /api/v1/tokens/{id}/issue":
		return "", `{"to":"ada","id_check":"known","codes":["123456"],"replace":18,"note":"n"}`
	case "POST /api/v1/tokens/{id}/resync":
		return "", `{"first":"123456","second":"234567"}`
	case "POST /api/v1/codes/temp":
		return "", `{"person":"ada","valid_seconds":3600,"uses":3,"client":1,"note":"n"}`
	case "POST /api/v1/codes/recovery":
		return "", `{"person":"ada","count":2}`
	case "POST /api/v1/activations":
		return "", `{"person":"ada","type":"totp","issuer":"Example","digits":6,"hash":"sha1","period_seconds":30,"valid_seconds":3600}`
	case "GET /api/v1/browsers":
		return "?person=ada", ""
	case "DELETE /api/v1/browsers":
		return "?person=ada&id=9", ""
	}
	if r.method == http.MethodPost {
		return "", `{"codes":["123456"]}`
	}
	return "", ""
}

func filled(path string) string {
	return strings.NewReplacer("{id}", "17", "{account}", "ada").Replace(path)
}

// TestMatrix goes through every address as every role, as nobody, with an unknown and a revoked token, and as a relying server. Who
// may not is refused before any verb is done; who may is not refused.
func TestMatrix(t *testing.T) {
	t.Parallel()
	callers := []string{"", "td_unknown", "td_revoked", "td_", newerKey, "1:wrong", "3:"}
	for _, r := range desk.Roles() {
		callers = append(callers, "td_"+string(r))
	}
	rights := map[desk.Right]bool{}
	for _, r := range routes() {
		rights[r.right] = true
		query, body := sample(r)
		for _, who := range callers {
			s := newSite(t)
			path := filled(r.path)
			if who == "td_provisioner" { // in somebody's hands: TestStockIsWhatProvisionersHave
				path = strings.ReplaceAll(path, "17", "19")
			}
			w := ask(s, r.method, path+query, who, body)
			want := http.StatusUnauthorized
			if role, ok := strings.CutPrefix(who, "td_"); r.who == staff && ok && slices.Contains(desk.Roles(), desk.Role(role)) {
				if want = http.StatusForbidden; desk.Role(role).Grants(r.right) {
					want = http.StatusOK
				}
			}
			if r.who == relying && who == newerKey {
				want = http.StatusOK
			}
			if w.Code != want {
				t.Errorf("%s %s as %q: %d, want %d: %s", r.method, r.path, who, w.Code, want, w.Body)
			}
			if done := s.desk.verbs + s.checker.checks; want != http.StatusOK && done != 0 {
				t.Errorf("%s %s as %q: %d verbs were done", r.method, r.path, who, done)
			}
			if want == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") != r.who.challenge() {
				t.Errorf("%s %s as %q: challenge %q", r.method, r.path, who, w.Header().Get("WWW-Authenticate"))
			}
			if want == http.StatusOK && r.who == staff && s.desk.verbs > 0 && s.desk.actor != "operator "+who[3:] {
				t.Errorf("%s %s as %q: the actor is %q", r.method, r.path, who, s.desk.actor)
			}
		}
	}
	for _, right := range []desk.Right{
		desk.RightFind, desk.RightDiagnose, desk.RightBlock, desk.RightRestore, desk.RightTempCode, desk.RightRecoveryCodes, desk.RightEnroll,
		desk.RightIssue, desk.RightConfirm, desk.RightResync, desk.RightReturn, desk.RightRetire, desk.RightClients, desk.RightOperators,
	} {
		if !rights[right] {
			t.Errorf("no address needs the right %s", right)
		}
	}
}

// TestMatrixIsWritten holds who may do what against a file, so that a change of a right is seen.
func TestMatrixIsWritten(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, r := range routes() {
		who := []string{"relying servers"}
		if r.who == staff {
			who = nil
			for _, role := range desk.Roles() {
				if role.Grants(r.right) {
					who = append(who, string(role))
				}
			}
		}
		fmt.Fprintf(&out, "%-6s %-31s %s\n", r.method, r.path, strings.Join(who, " "))
	}
	golden(t, "matrix.txt", out.String())
}

// TestOtherPaths: what is not in the table is refused in the same form, whoever asks.
func TestOtherPaths(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/api/", 404, ""},
		{"GET", "/api/v1/token/17", 404, ""},
		{"POST", "/api/v2/verify", 404, ""},
		{"GET", "/api/v1/verify", 405, "POST"},
		{"GET", "/validate/check?user=ada&pass=123456", 405, "POST"},
		{"PUT", "/api/v1/browsers", 405, "GET, DELETE"},
		{"DELETE", "/api/v1/search", 405, "GET, POST"},
		{"POST", "/api/v1/tokens/17", 405, "GET"},
	} {
		w := ask(s, tc.method, tc.path, "td_admin", "")
		if w.Code != tc.status || w.Header().Get("Allow") != tc.allow || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %q %q", tc.method, tc.path, w.Code, w.Header().Get("Allow"), w.Header().Get("Content-Type"))
		}
	}
	if s.desk.verbs+s.checker.checks+s.desk.looks != 0 {
		t.Error("something was done")
	}
}
