package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestBlockNamesCertificates: who presses the red button is told whom else to call.
func TestBlockNamesCertificates(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	c := token.Certificate{Serial: 12345678, Slot: "9a", Issuer: "CN=Site <CA>", Number: "4711ff", Subject: "CN=ada", NotAfter: s.clock.now().Add(time.Hour),
		SHA256: strings.Repeat("a", 64), PublicKey: strings.Repeat("b", 64)}
	over := c
	over.Number, over.NotAfter, over.SHA256 = "815", s.clock.now().Add(-time.Hour), strings.Repeat("c", 64)
	for _, keep := range []token.Certificate{c, over} {
		if err := s.store.KeepCertificate(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
	}
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	a := b.post("/console/tokens/1/block", "reason", "stolen")
	wants(t, "the result", a, "Certificate 4711ff of CN=Site <CA>", "in slot 9a", "have it revoked there")
	page := b.get("/console/tokens/1")
	wants(t, "the token", page, "Certificate 4711ff of CN=Site <CA> is still valid")
	if strings.Contains(a.body+page.body, "815 of") || strings.Contains(a.body+page.body, "<CA>") && !strings.Contains(a.body, "&lt;CA&gt;") {
		t.Error("one that ended is named, or a name is not escaped")
	}
}
