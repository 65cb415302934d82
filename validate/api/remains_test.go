package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// key gives ada a key with nothing but PIV, on which a certificate is valid and another is over, and returns its number.
func (h *house) key(serial token.Serial) token.ID {
	h.Helper()
	st, ctx := h.desk.Store.(*sqlstore.Store), context.Background()
	ada, err := st.Person(ctx, "ada")
	h.check(err)
	h.check(st.HandOverPIV(ctx, token.PIVHandover{Serial: serial, Holder: ada.ID}))
	c := token.Certificate{Serial: serial, Slot: "9a", Issuer: "CN=Site CA", Number: "4711ff", Subject: "CN=ada", NotAfter: h.clock().Add(time.Hour),
		SHA256: strings.Repeat("a", 64), PublicKey: strings.Repeat("b", 64)}
	over := c
	over.Number, over.NotAfter, over.SHA256 = "815", h.clock().Add(-time.Hour), strings.Repeat("c", 64)
	h.check(st.KeepCertificate(ctx, c))
	h.check(st.KeepCertificate(ctx, over))
	t, err := h.desk.Find(ctx, serial.String())
	h.check(err)
	return t.ID
}

// TestEndsNameCertificates: who ends a token is told, by the names that the command line has, what its issuer must revoke, and what is to be
// wiped; a list of tokens is not made longer by it.
func TestEndsNameCertificates(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	certificate := `"certificates":[{"slot":"9a","number":"4711ff","issuer":"CN=Site CA","subject":"CN=ada","not_after":"` +
		h.clock().Add(time.Hour).UTC().Format(time.RFC3339) + `","self_signed":false,"sha256":"` + strings.Repeat("a", 64) + `","when_lost":"have it revoked there"}]`
	for i, c := range []struct{ verb, body, wipe string }{
		{"block", `{"reason":"left"}`, ""},
		{"lost", `{}`, ""},
		{"retire", `{"note":"broken"}`, ""},
		{"return", `{"codes":[]}`, `"wipe":["piv"],`},
	} {
		id := h.key(token.Serial(101 + i))
		got := h.must("issuer", "POST", fmt.Sprintf("/api/v1/tokens/%d/%s", id, c.verb), c.body)
		if !strings.Contains(got, c.wipe+certificate) || strings.Contains(got, `"wipe"`) != (c.wipe != "") || strings.Contains(got, "815") {
			t.Errorf("%s: %s", c.verb, got)
		}
		if got := h.must("issuer", "GET", fmt.Sprintf("/api/v1/tokens/%d", id), ""); !strings.Contains(got, certificate) {
			t.Errorf("after %s: %s", c.verb, got)
		}
	}
	old := h.key(105)
	var found searchAnswer
	h.check(json.Unmarshal([]byte(h.must("issuer", "GET", "/api/v1/search?q=C200-2", "")), &found))
	got := h.must("issuer", "POST", fmt.Sprintf("/api/v1/tokens/%d/issue", found.Hits[0].Token.ID),
		fmt.Sprintf(`{"to":"ada","id_check":"known","codes":[%q],"replace":%d}`, h.code("C200-2"), old))
	before, replaced, ok := strings.Cut(got, `"replaced":{"id":`+fmt.Sprint(old))
	if !ok || !strings.Contains(replaced, `"state":"revoked"`) || !strings.Contains(replaced, certificate) || strings.Contains(before, "certificates") {
		t.Errorf("in place of another: %s", got)
	}
	if got := h.must("issuer", "GET", "/api/v1/persons/ada", ""); strings.Contains(got, "certificates") {
		t.Errorf("a list: %s", got)
	}
}

// TestStockTellsNoNames: who may not look for persons ends a key of the stock, and is told what to revoke where, but not whose it was.
func TestStockTellsNoNames(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	st := h.desk.Store.(*sqlstore.Store)
	id := h.key(101)
	h.check(st.KeepCertificate(t.Context(), token.Certificate{Serial: 101, Slot: "9c", Issuer: "CN=ada", Number: "5", Subject: "CN=ada", SelfSigned: true,
		NotAfter: h.clock().Add(time.Hour), SHA256: strings.Repeat("d", 64), PublicKey: strings.Repeat("e", 64)}))
	h.must("issuer", "POST", fmt.Sprintf("/api/v1/tokens/%d/return", id), `{"codes":[]}`)
	got := h.must("provisioner", "POST", fmt.Sprintf("/api/v1/tokens/%d/retire", id), `{"note":"broken"}`)
	if strings.Contains(got, "ada") || !strings.Contains(got, `"slot":"9a","number":"4711ff","issuer":"CN=Site CA"`) || !strings.Contains(got, `"slot":"9c","number":"5"`) {
		t.Error(got)
	}
}

// TestCredentialsAsElsewhere: a credential is shown as the command line shows it.
func TestCredentialsAsElsewhere(t *testing.T) {
	t.Parallel()
	id, err := token.NewPublicID([]byte{0x12, 0x34})
	if err != nil {
		t.Fatal(err)
	}
	if v := viewCredential(token.Credential{Kind: token.HOTP, PublicID: id, Enabled: true}); !v.Validates || v.PublicID != "1234" {
		t.Errorf("%+v", v)
	}
	if v := viewCredential(token.Credential{Kind: token.Static, Enabled: true}); v.Validates {
		t.Errorf("%+v", v)
	}
}

// TestRemainsUnread: that what remains cannot be read changes nothing that was done.
func TestRemainsUnread(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"lost": `{}`, "return": `{"codes":["1"]}`, "retire": `{"note":"n"}`, "issue": `{"to":"ada","id_check":"known","codes":["1"],"replace":18}`,
	} {
		s := newSite(t)
		s.desk.remains = errors.New("the disk is gone")
		w := ask(s, "POST", "/api/v1/tokens/17/"+path, "td_issuer", body)
		if s.Wait(); w.Code != http.StatusOK || !strings.Contains(s.log.String(), "the disk is gone") {
			t.Errorf("%s: %d %s\n%s", path, w.Code, w.Body, s.log)
		}
	}
}
