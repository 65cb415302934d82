package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// house is a store with two servers on it, each through a handle of its own.
type house struct {
	testing.TB
	servers [2]*Handler
	desk    *desk.Desk
	now     atomic.Int64      // seconds
	client  string            // a relying server, for ask
	staff   map[string]string // API token by role
	seed    map[string]oath.Generator
	close   func() error // of the first server's store
}

// openHouse registers ada and bob, a client and an operator for each role, and imports two TOTP tokens, C200-1 and C200-2.
func openHouse(t testing.TB) *house {
	t.Helper()
	h := &house{TB: t, staff: map[string]string{}, seed: map[string]oath.Generator{}}
	h.now.Store(1_772_600_767)
	dir := t.TempDir()
	sealing, err := seal.CreateFile(filepath.Join(dir, "seal.key"), rand.Reader)
	h.check(err)
	signing, err := seal.CreateSigningFile(filepath.Join(dir, "sign.key"), rand.Reader)
	h.check(err)
	keys, options := sqlstore.Keys{Sealing: sealing, Signing: signing}, sqlstore.Options{Now: h.clock, Rand: rand.Reader, Actor: "anna"}
	for i := range h.servers {
		open := sqlstore.Open
		if i == 0 {
			open = sqlstore.Create
		}
		st, err := open(context.Background(), dir, keys, options)
		h.check(err)
		shut := sync.OnceValue(st.Close)
		t.Cleanup(func() { h.check(shut()) })
		d := &desk.Desk{Store: st, Now: h.clock, Rand: rand.Reader}
		h.servers[i] = New(Config{
			Checker: validate.NewChecker(st, validate.New(st, h.clock), h.clock), Clients: st, Desk: d, Doctor: &diagnose.Doctor{Store: st, Now: h.clock},
			Now: h.clock, Rand: rand.Reader,
		})
		h.servers[i].patience = time.Minute // 64 at once may take long
		if i == 0 {
			h.close = shut
			h.desk = d
			h.stock(st)
		}
	}
	return h
}

func (h *house) clock() time.Time { return time.Unix(h.now.Load(), 0) }

func (h *house) check(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) stock(st *sqlstore.Store) {
	ctx := context.Background()
	for _, account := range []string{"ada", "bob"} {
		h.check(h.desk.AddPerson(ctx, token.Person{Account: account, Name: account}))
	}
	c, err := h.desk.AddClient(ctx, "mail", desk.ClientRights{})
	h.check(err)
	h.client = clientPair(c)
	for _, r := range desk.Roles() {
		_, apiToken, err := h.desk.AddOperator(ctx, string(r), []desk.Role{r})
		h.check(err)
		h.staff[string(r)] = string(apiToken.Reveal())
	}
	var list []keyfile.Record
	for i, label := range []string{"C200-1", "C200-2"} {
		key := secret.New([]byte(fmt.Sprintf("%020d", i)))
		h.seed[label], err = oath.New(key, "sha1", 6)
		h.check(err)
		list = append(list, keyfile.Record{Kind: token.TOTP, Label: label, Key: key, Digits: 6, Period: 30 * time.Second, Hash: "sha1"})
	}
	_, err = st.Import(ctx, "vendor.xml", list)
	h.check(err)
}

func clientPair(c validate.Client) string {
	return fmt.Sprintf("%d:%s", c.ID, base64.StdEncoding.EncodeToString(c.Keys[0].Reveal()))
}

// later lets time pass, so that the next code is a new one.
func (h *house) later(d time.Duration) { h.now.Add(int64(d / time.Second)) }

func (h *house) code(label string) string {
	return h.seed[label].Code(oath.Step(h.clock(), 30*time.Second))
}

// must asks the first server as an operator and wants status 200.
func (h *house) must(role, method, path, body string) string {
	h.Helper()
	w := ask(h.servers[0], method, path, h.staff[role], body)
	if w.Code != http.StatusOK {
		h.Fatalf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
	}
	return w.Body.String()
}

// issued hands C200-1 to ada and returns its number.
func (h *house) issued() token.ID {
	h.Helper()
	var found searchAnswer
	h.check(json.Unmarshal([]byte(h.must("issuer", "GET", "/api/v1/search?q=C200-1", "")), &found))
	if len(found.Hits) != 1 || found.Hits[0].Token == nil {
		h.Fatalf("%+v", found)
	}
	id := found.Hits[0].Token.ID
	got := h.must("issuer", "POST", fmt.Sprintf("/api/v1/tokens/%d/issue", id), `{"to":"ada","id_check":"known","codes":["`+h.code("C200-1")+`"]}`)
	if !strings.Contains(got, `"result":"done"`) {
		h.Fatal(got)
	}
	h.later(30 * time.Second)
	return id
}

// verify asks a server about ada and returns the answer.
func (h *house) verify(server int, factor string) verifyAnswer {
	h.Helper()
	var a verifyAnswer
	w := ask(h.servers[server], "POST", "/api/v1/verify", h.client, `{"person":"ada","factor":"`+factor+`"}`)
	h.check(json.Unmarshal(w.Body.Bytes(), &a))
	return a
}

// TestLostCountsAtOnce: when lost was answered, another server on the same store denies the next code, and the temporary code that was given
// works there until it is used up; restoring with a fresh code brings the token back.
func TestLostCountsAtOnce(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	id := h.issued()
	if a := h.verify(1, h.code("C200-1")); a.Result != accepted || a.Type != "totp" {
		t.Fatalf("%+v", a)
	}
	if a := h.verify(0, h.code("C200-1")); a.Result != denied {
		t.Fatalf("the same code again: %+v", a)
	}
	h.later(10 * time.Second)
	h.later(30 * time.Second)
	h.must("helpdesk", "POST", fmt.Sprintf("/api/v1/tokens/%d/lost", id), `{"note":"left in a train"}`)
	if a := h.verify(1, h.code("C200-1")); a.Result != denied {
		t.Fatalf("lost: %+v", a)
	}
	a := h.verify(1, h.code("C200-1"))
	why := h.must("helpdesk", "POST", "/api/v1/diagnose", `{"support_code":"`+a.Support+`"}`)
	if !strings.Contains(why, `"D29"`) || !strings.Contains(why, `"person":"ada"`) || len(*a.Findings) != 0 {
		t.Errorf("the support code says %s, in public %v", why, *a.Findings)
	}
	var temp tempAnswer
	h.check(json.Unmarshal([]byte(h.must("helpdesk", "POST", "/api/v1/codes/temp", `{"person":"ada","uses":2,"valid_seconds":3600}`)), &temp))
	h.later(time.Minute)
	for left := 1; left >= 0; left-- {
		if a := h.verify(1, temp.Code); a.Result != accepted || a.Type != "temp" || a.Left == nil || *a.Left != left {
			t.Fatalf("temporary code: %+v", a)
		}
	}
	if a := h.verify(1, temp.Code); a.Result != denied {
		t.Errorf("used up: %+v", a)
	}
	h.later(time.Minute)
	if got := h.must("helpdesk", "POST", fmt.Sprintf("/api/v1/tokens/%d/restore", id), `{"codes":["`+h.code("C200-1")+`"]}`); !strings.Contains(got, `"done"`) {
		t.Fatal(got)
	}
	h.later(time.Minute)
	if a := h.verify(1, h.code("C200-1")); a.Result != accepted {
		t.Errorf("restored: %+v", a)
	}
	events := h.must("auditor", "GET", fmt.Sprintf("/api/v1/tokens/%d/events", id), "")
	for _, actor := range []string{`"operator issuer"`, `"operator helpdesk"`} {
		if !strings.Contains(events, actor) {
			t.Errorf("nothing was done by %s: %s", actor, events)
		}
	}
}

// TestRevokedAtOnce: an operator and a client that one server knew are unknown to both as soon as they are revoked.
func TestRevokedAtOnce(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	h.issued()
	both := func(want int) {
		t.Helper()
		for i, server := range h.servers {
			got := ask(server, "GET", "/api/v1/search?q=ada", h.staff["helpdesk"], "").Code
			if asked := ask(server, "POST", "/api/v1/verify", h.client, `{"person":"ada","factor":"1"}`).Code; got != want || asked != want {
				t.Errorf("server %d: %d and %d, want %d", i, got, asked, want)
			}
		}
	}
	both(http.StatusOK)
	h.check(h.desk.RevokeOperator(t.Context(), "helpdesk"))
	_, err := h.desk.RevokeClient(t.Context(), "mail")
	h.check(err)
	both(http.StatusUnauthorized)
}

// TestOneOfManyIsAccepted: the same code 64 times at once, over two servers.
func TestOneOfManyIsAccepted(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	h.issued()
	code := h.code("C200-1")
	var wait sync.WaitGroup
	var yes, no atomic.Int64
	for i := range 64 {
		wait.Go(func() {
			switch a := h.verify(i%2, code); a.Result {
			case accepted:
				yes.Add(1)
			case denied:
				no.Add(1)
			}
		})
	}
	wait.Wait()
	if yes.Load() != 1 || no.Load() != 63 {
		t.Errorf("%d accepted, %d denied", yes.Load(), no.Load())
	}
}

// TestThrottledAndUnknownAnswerAlike: after a wrong code the right one is denied for a while, locked or not, and it cannot be told from
// outside; nor can a person without tokens or one who does not exist.
func TestThrottledAndUnknownAnswerAlike(t *testing.T) {
	t.Parallel()
	h := openHouse(t)
	h.issued()
	answer := func(account, code string) string {
		w := ask(h.servers[0], "POST", "/api/v1/verify", h.client, `{"person":"`+account+`","factor":"`+code+`"}`)
		var a verifyAnswer
		h.check(json.Unmarshal(w.Body.Bytes(), &a))
		if a.Support == "" {
			return w.Body.String()
		}
		return strings.Replace(w.Body.String(), a.Support, "XXXX-XXXX", 1)
	}
	wrong := h.seed["C200-2"].Code(1)
	first := answer("ada", wrong)
	for name, got := range map[string]string{
		"throttled": answer("ada", h.code("C200-1")), "without a token": answer("bob", wrong), "unknown": answer("nobody", wrong),
	} {
		if got != first || !strings.Contains(got, denied) {
			t.Errorf("%s: %s, want %s", name, got, first)
		}
	}
	for range 9 {
		h.later(2 * time.Minute)
		if got := answer("ada", wrong); got != first {
			t.Errorf("%s, want %s", got, first)
		}
	}
	h.later(time.Hour)
	if got := answer("ada", h.code("C200-1")); got != first {
		t.Errorf("locked: %s, want %s", got, first)
	}
	h.later(25 * time.Hour)
	if got := answer("ada", h.code("C200-1")); !strings.Contains(got, accepted) {
		t.Errorf("a day later: %s", got)
	}
}

// stamped notes when the answer was written.
type stamped struct {
	*httptest.ResponseRecorder
	at time.Time
}

func (w *stamped) Write(b []byte) (int, error) {
	w.at = time.Now()
	return w.ResponseRecorder.Write(b)
}

// BenchmarkDenied compares what a denial costs until it is answered, for a person with a token, one without and nobody, asked in turn: the
// medians are reported, because durable writes scatter.
func BenchmarkDenied(b *testing.B) {
	h := openHouse(b)
	h.issued()
	took, accounts := map[string][]time.Duration{}, []string{"ada", "bob", "nobody"}
	id, key, _ := strings.Cut(h.client, ":")
	for b.Loop() {
		h.later(20 * time.Minute)                    // no delay stops the comparison; the token is locked from time to time, and forgives
		accounts = append(accounts[1:], accounts[0]) // what comes first after a while costs more, whoever it is
		for _, account := range accounts {
			req := httptest.NewRequest("POST", "/api/v1/verify", strings.NewReader(`{"person":"`+account+`","factor":"000000"}`))
			req.Header.Set("Content-Type", "application/json")
			req.SetBasicAuth(id, key)
			w := &stamped{ResponseRecorder: httptest.NewRecorder()}
			start := time.Now()
			h.servers[0].ServeHTTP(w, req)
			if w.Code != http.StatusOK {
				b.Fatal(w.Body)
			}
			took[account] = append(took[account], w.at.Sub(start))
		}
	}
	for account, list := range took {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds()), account+"-µs")
	}
}
