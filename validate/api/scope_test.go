package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// TestStockIsWhatProvisionersHave: a provisioner ends and confirms tokens of the stock; one in somebody's hands is not there for
// one, by whatever number is tried: nothing about its holder is told, no wrong code counts against the holder, and it goes on.
func TestStockIsWhatProvisionersHave(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	id := h.issued()
	for _, tc := range []struct{ verb, body string }{
		{"retire", `{"note":"n"}`}, {"verify", `{"codes":["123456"]}`}, {"verify", `{"codes":["` + h.code("C200-1") + `"]}`},
	} {
		w := ask(h.servers[0], "POST", fmt.Sprintf("/api/v1/tokens/%d/%s", id, tc.verb), h.staff["provisioner"], tc.body)
		if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "ada") {
			t.Errorf("%s %s of ada's token: %d %s", tc.verb, tc.body, w.Code, w.Body)
		}
	}
	if a := h.verify(1, h.code("C200-1")); a.Result != accepted {
		t.Errorf("afterwards ada's code is %s", a.Result)
	}
	other := 3 - id // the second of two
	if got := h.must("provisioner", "POST", fmt.Sprintf("/api/v1/tokens/%d/retire", other), `{"note":"broken"}`); !strings.Contains(got, `"revoked"`) {
		t.Errorf("one of the stock: %s", got)
	}
}

// TestDiagnosisIsNoOracle: who only reads may not hold codes against a person, and who may cannot guess one by asking; what is no
// guess is not counted.
func TestDiagnosisIsNoOracle(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	h.issued()
	explain := func(role, body string) int {
		return ask(h.servers[0], "POST", "/api/v1/diagnose", h.staff[role], body).Code
	}
	typed := `{"person":"ada","text":"` + h.code("C200-1") + `"}`
	for body, want := range map[string]int{
		typed: http.StatusForbidden, `{"serial":"C200-1","text":"123456"}`: http.StatusForbidden, `{"text":"123456"}`: http.StatusOK,
		`{"support_code":"22222222"}`: http.StatusNotFound,
	} {
		if got := explain("auditor", body); got != want {
			t.Errorf("auditor, %s: %d, want %d", body, got, want)
		}
	}
	g, err := oath.New(secret.New([]byte("12345678901234567890")), oath.SHA1, 6)
	h.check(err)
	for i := range int64(diagnose.MaxGuesses) {
		if got := explain("helpdesk", `{"person":"ada","text":"`+g.Code(i)+`"}`); got != http.StatusOK {
			t.Fatalf("code %d: %d", i, got)
		}
	}
	if got := explain("helpdesk", typed); got != http.StatusTooManyRequests {
		t.Errorf("one more: %d", got)
	}
	otp := `{"person":"ada","text":"` + strings.Repeat("c", 44) + `"}`
	for body, who := range map[string]string{otp: "helpdesk", `{"person":"ada","text":""}`: "helpdesk", typed: "issuer"} {
		if got := explain(who, body); got != http.StatusOK {
			t.Errorf("%s, %s: %d", who, body, got)
		}
	}
	h.later(time.Hour)
	if got := explain("helpdesk", typed); got != http.StatusOK {
		t.Errorf("an hour later: %d", got)
	}
}

// TestDiagnoseStatus: what a relying server was answered is explained, also where nothing was typed.
func TestDiagnoseStatus(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	for body, want := range map[string]string{
		`{"status":"BAD_SIGNATURE"}`: `"D34"`, `{"status":"BACKEND_ERROR","text":"` + strings.Repeat("c", 44) + `"}`: `"D35"`,
		`{"support_code":"22222222","status":"OK"}`: `"bad_body"`,
	} {
		got := ask(h.servers[0], "POST", "/api/v1/diagnose", h.staff["auditor"], body).Body.String()
		if !strings.Contains(got, want) || strings.Contains(got, `"D01"`) {
			t.Errorf("%s: %s", body, got)
		}
	}
}
