package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestSettle: whatever changes where a token is to be valid has the other servers asked, after the answer; nothing else does.
// The block of the double comes back as another token, 18.
func TestSettle(t *testing.T) {
	t.Parallel()
	var asked []token.ID
	s := newSite(t)
	s.Settle = func(id token.ID) { asked = append(asked, id) }
	want := map[string][]token.ID{
		"block": {18}, "lost": {18}, "undo": {17}, "restore": {17}, "return": {17}, "retire": {17}, "issue": {17, 18},
	}
	for _, r := range routes() {
		asked = nil
		query, body := sample(r)
		if w := ask(s, r.method, filled(r.path)+query, whoMay(r), body); w.Code != http.StatusOK {
			t.Fatalf("%s: %d", r.path, w.Code)
		}
		s.Wait()
		verb, ok := strings.CutPrefix(r.path, "/api/v1/tokens/{id}/")
		if !ok {
			verb = ""
		}
		if !slices.Equal(asked, want[verb]) {
			t.Errorf("%s asked for %v, want %v", r.path, asked, want[verb])
		}
	}
	for _, body := range []string{`{"codes":[]}`, `{"codes":`} {
		asked = nil
		ask(s, "POST", "/api/v1/tokens/17/restore", "td_helpdesk", body)
		if s.Wait(); asked != nil {
			t.Errorf("%s: asked for %v", body, asked)
		}
	}
}

// TestStillValid: the answer names the servers that have not confirmed, once each, and the token that an issue replaces counts. That they
// cannot be named changes nothing that was done.
func TestStillValid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct{ path, body, want string }{
		{"/api/v1/tokens/17/lost", `{}`, `,"still_valid_at":["Keycloak"]}`},
		{"/api/v1/tokens/17/issue", `{"to":"ada","id_check":"known","codes":["1"],"replace":18}`, `,"still_valid_at":["Keycloak"]}`},
		{"/api/v1/tokens/17/issue", `{"to":"ada","id_check":"known","codes":["1"]}`, `Z"}}`},
		{"/api/v1/tokens/17/retire", `{}`, `Z"}}`},
	} {
		if w := ask(s, "POST", c.path, "td_issuer", c.body); w.Code != http.StatusOK || !strings.HasSuffix(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.path, c.body, w.Code, w.Body)
		}
	}
	s.desk.pushes = errors.New("the disk is gone")
	w := ask(s, "POST", "/api/v1/tokens/17/lost", "td_issuer", `{}`)
	if s.Wait(); w.Code != http.StatusOK || !strings.Contains(s.log.String(), "the disk is gone") {
		t.Errorf("%d %s\n%s", w.Code, w.Body, s.log)
	}
}
