package wsapi_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// sign adds the h of client 1's key to an escaped query.
func sign(t testing.TB, query string) string {
	t.Helper()
	values, err := url.ParseQuery(fill(t, query))
	if err != nil {
		t.Fatal(err)
	}
	params := make(map[string]string)
	for name := range values {
		params[name] = values.Get(name)
	}
	return query + "&h=" + url.QueryEscape(wsapi.Sign(secret.New([]byte(clientKey)), params))
}

const otherNonce = "zzzzzzzzzzzzzzzzzzzzzzzz"

func fill(t testing.TB, query string) string {
	return strings.NewReplacer("$N", nonce, "$M", otherNonce, "$O", press(t, 5, 0)).Replace(query)
}

func TestRows(t *testing.T) {
	t.Parallel()
	all, seen := rows(t), make(map[int]bool)
	for _, r := range all {
		seen[r.n] = true
		t.Run(fmt.Sprintf("%02d %s", r.n, r.name), func(t *testing.T) {
			t.Parallel()
			runRow(t, r)
		})
	}
	for n := 1; n <= lastRow; n++ {
		place, other := elsewhere[n]
		if seen[n] == other {
			t.Errorf("row %d: in the table %v, elsewhere %v", n, seen[n], other)
		}
		if !other {
			continue
		}
		if text, err := os.ReadFile(filepath.FromSlash(place[0])); err != nil || !strings.Contains(string(text), "\nfunc "+place[1]+"(t *testing.T) {\n") {
			t.Errorf("row %d: there is no %s in %s: %v", n, place[1], place[0], err)
		}
	}
}

// lastRow is the number of rows of reference validation-protocol.md §18.
const lastRow = 77

func runRow(t *testing.T, r row) {
	s := newSite(t)
	base := serve(t, s.handler)
	if r.before != "" {
		if got := get(t, base+fill(t, r.before)); got.value["status"] != yes {
			t.Fatalf("before: %v", got.value)
		}
	}
	if r.setup != nil {
		r.setup(s)
	}
	got := send(t, base, r)
	if r.code != 0 {
		if got.code != r.code {
			t.Errorf("row %d: HTTP %d, want %d", r.n, got.code, r.code)
		}
	} else {
		r.check(t, got)
	}
	s.faults.find, s.faults.accept, s.faults.client = nil, nil, nil
	if r.after == "" {
		return
	}
	if after := get(t, base+fill(t, "id=1&nonce=$M&otp=$O")); after.value["status"] != r.after {
		t.Errorf("row %d: afterwards %s, want %s", r.n, after.value["status"], r.after)
	}
}

func send(t *testing.T, base string, r row) reply {
	t.Helper()
	method, target := r.method, base+fill(t, r.query)
	if r.path != "" {
		target = strings.Replace(target, "/wsapi/2.0/verify", r.path, 1)
	}
	if method == "" {
		method = http.MethodGet
		if r.post != "" {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(fill(t, r.post)))
	if err != nil {
		t.Fatal(err)
	}
	if r.post != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// check compares the whole answer with what the row wants.
func (r row) check(t *testing.T, got reply) {
	t.Helper()
	if got.value["status"] != r.want {
		t.Errorf("row %d: %s, want %s", r.n, got.value["status"], r.want)
	}
	if got.signedWith("") != r.emptyKey || got.signedWith(clientKey) == r.emptyKey {
		t.Errorf("row %d: signed with the empty key %v, the client's %v", r.n, got.signedWith(""), got.signedWith(clientKey))
	}
	if got.value["t"] != "2024-05-06T07:08:09Z0123" {
		t.Errorf("row %d: t=%s", r.n, got.value["t"])
	}
	values, _ := url.ParseQuery(fill(t, cmp.Or(r.query, r.post)))
	want := []string{"h", "t"}
	echo := !r.noEcho && slices.Contains([]string{yes, replayed, retried, refused}, r.want)
	if _, there := got.value["otp"]; echo || there {
		want = append(want, "otp", "nonce")
		if got.value["otp"] != strings.TrimSpace(values.Get("otp")) || got.value["nonce"] != values.Get("nonce") {
			t.Errorf("row %d: echo %q %q", r.n, got.value["otp"], got.value["nonce"])
		}
	}
	if r.want == yes && !r.noEcho {
		want = append(want, "sl")
		if got.value["sl"] != "0" {
			t.Errorf("row %d: sl=%s", r.n, got.value["sl"])
		}
	}
	if r.counters {
		want = append(want, "timestamp", "sessioncounter", "sessionuse")
		if got.value["timestamp"] != "1000" || got.value["sessioncounter"] != "5" || got.value["sessionuse"] != "0" {
			t.Errorf("row %d: %v", r.n, got.value)
		}
	}
	if want = append(want, "status"); !slices.Equal(got.names, want) {
		t.Errorf("row %d: fields %v, want %v", r.n, got.names, want)
	}
}

// TestRow26 goes on where the row ends: what was pressed while blocked stays dead.
func TestRow26(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	base := serve(t, s.handler)
	block(s)
	if got := get(t, base+fill(t, good)); got.value["status"] != bad {
		t.Errorf("blocked: %s", got.value["status"])
	}
	if err := s.store.Change(s.id, token.Restore); err != nil {
		t.Fatal(err)
	}
	if got := get(t, base+fill(t, good)); got.value["status"] != replayed {
		t.Errorf("restored, the same: %s", got.value["status"])
	}
	if got := get(t, base+"id=1&nonce="+nonce+"&otp="+press(t, 5, 1)); got.value["status"] != yes {
		t.Errorf("restored, newer: %s", got.value["status"])
	}
}

// TestRow64 goes on where the row ends: the client's retry, with the same nonce, finds its own commit.
func TestRow64(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	base := serve(t, s.handler)
	s.faults.accept = errGone
	if got := get(t, base+fill(t, good)); got.value["status"] != backend {
		t.Errorf("first: %s", got.value["status"])
	}
	s.faults.accept = nil
	if got := get(t, base+fill(t, good)); got.value["status"] != retried {
		t.Errorf("retry: %s", got.value["status"])
	}
}

func TestRow31and32(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		n      int
		nonces string
		others string
	}{{31, "abcdefgh", replayed}, {32, "aaaaaaaa", retried}} {
		s := newSite(t)
		base := serve(t, s.handler)
		var mu sync.Mutex
		var wg sync.WaitGroup
		count := make(map[string]int)
		for i := range len(tc.nonces) {
			wg.Go(func() {
				got := get(t, base+"id=1&otp="+press(t, 5, 0)+"&nonce="+strings.Repeat(tc.nonces[i:i+1], 20))
				mu.Lock()
				defer mu.Unlock()
				count[got.value["status"]]++
			})
		}
		wg.Wait()
		if count[yes] != 1 || count[tc.others] != 7 {
			t.Errorf("row %d: %v", tc.n, count)
		}
	}
}
