package api

import (
	"context"
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
	s.Settle = func(_ context.Context, id token.ID) error {
		asked = append(asked, id)
		return nil
	}
	want := map[string][]token.ID{
		"block": {18}, "lost": {18}, "undo": {17}, "restore": {17}, "return": {17}, "retire": {17}, "issue": {17, 18},
	}
	for _, r := range routes() {
		asked = nil
		query, body := sample(r)
		if w := ask(s, r.method, filled(r.path)+query, whoMay(r), body); w.Code != http.StatusOK {
			t.Fatalf("%s: %d", r.path, w.Code)
		}
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
		if ask(s, "POST", "/api/v1/tokens/17/restore", "td_helpdesk", body); asked != nil {
			t.Errorf("%s: asked for %v", body, asked)
		}
	}
}
