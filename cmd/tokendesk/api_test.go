package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// program is another program that talks to serve in JSON, by net/http alone.
type program struct {
	t      *testing.T
	client relying
	staff  string // API token
	sent   []string
}

// post sends a body to a server, as the relying server or, under another address than verify, as the operator.
func (p *program) post(s *server, path string, body any) map[string]any {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+s.address+path, strings.NewReader(string(text)))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasSuffix(path, "/v1/verify") || path == "/validate/check" {
		req.SetBasicAuth(fmt.Sprint(p.client.id), p.client.key)
	} else {
		req.Header.Set("Authorization", "Bearer "+p.staff)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read only
	var out map[string]any
	if err != nil || json.Unmarshal(answer, &out) != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %d %s %v", path, res.StatusCode, answer, err)
	}
	return out
}

// verify is the result for ada.
func (p *program) verify(s *server, factor string) string {
	p.t.Helper()
	p.sent = append(p.sent, factor)
	return fmt.Sprint(p.post(s, "/api/v1/verify", map[string]any{"person": "ada", "factor": factor})["result"])
}

// numbersOfLog are fields of a log that have any six digits now and then.
var numbersOfLog = regexp.MustCompile(`\b(time|took|id)=\S+`)

// TestAPI walks with two servers as processes of their own: a token is issued by one and accepted by the other, blocked at the first and denied
// at once at the other, and a temporary code stands in for it. Nothing that was typed is in a log, and the audit is whole.
func TestAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada")
	p := &program{t: t, client: r.client("mail")}
	var added struct{ Operator newOperator }
	if err := json.Unmarshal(r.handOver("operator", "add", "grace", "--role", "issuer", "--role", "helpdesk", "-o", "json"), &added); err != nil {
		t.Fatal(err)
	}
	p.staff = added.Operator.Token
	key := secret.New([]byte("12345678901234567890"))
	g, err := oath.New(key, oath.SHA1, 6)
	if err != nil {
		t.Fatal(err)
	}
	rec := keyfile.Record{Kind: token.HOTP, Label: "C100-1", Key: key, Digits: 6, Hash: "sha1"}
	if _, err := r.open().Import(t.Context(), "vendor.xml", []keyfile.Record{rec}); err != nil {
		t.Fatal(err)
	}
	one, two := r.serve(), r.serve()
	id := found(t, p.post(one, "/api/v1/search", map[string]any{"q": "C100-1"}))
	path := fmt.Sprintf("/api/v1/tokens/%d/", id)
	if got := p.post(one, path+"issue", map[string]any{"to": "ada", "id_check": "known", "codes": []string{g.Code(0)}}); got["result"] != "done" {
		t.Fatal(got)
	}
	if got := p.verify(two, g.Code(1)); got != "accepted" {
		t.Fatal(got)
	}
	if got := p.post(two, "/validate/check", map[string]any{"user": "ada", "pass": g.Code(2)}); got["result"].(map[string]any)["value"] != true {
		t.Fatal(got)
	}
	p.post(one, path+"lost", map[string]any{"note": "in a train"})
	if got := p.verify(two, g.Code(3)); got != "denied" {
		t.Fatal(got)
	}
	temp := fmt.Sprint(p.post(one, "/api/v1/codes/temp", map[string]any{"person": "ada", "uses": 1})["code"])
	for _, want := range []string{"accepted", "denied"} {
		if got := p.verify(two, temp); got != want {
			t.Fatalf("temporary code: %s, want %s", got, want)
		}
	}
	for _, s := range []*server{one, two} {
		log, code := s.stop(t, os.Interrupt)
		if code != 0 || !strings.Contains(log, "msg=request door=") {
			t.Errorf("exit code %d\n%s", code, log)
		}
		log = numbersOfLog.ReplaceAllString(log, "")
		for _, text := range append(p.sent, temp, strings.ReplaceAll(temp, "-", ""), p.staff, p.client.key, "in a train") {
			if strings.Contains(log, text) {
				t.Errorf("%q is in the log\n%s", text, log)
			}
		}
	}
	r.must("audit", "verify")
}

// found is the number of the one token that a search found.
func found(t *testing.T, answer map[string]any) int {
	t.Helper()
	hits, _ := answer["hits"].([]any)
	if len(hits) != 1 {
		t.Fatalf("%v", answer)
	}
	return int(hits[0].(map[string]any)["token"].(map[string]any)["id"].(float64))
}
