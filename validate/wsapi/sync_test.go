package wsapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// pool is a site that listens to the servers of a pool at 192.0.2.7 and in 2001:db8::/64.
func pool(t testing.TB) (*site, *wsapi.Sync, *told) {
	t.Helper()
	s, o := newSite(t), new(told)
	return s, &wsapi.Sync{Raiser: s.store, From: prefixes("192.0.2.7/32", "2001:db8::/64"), Now: clock, Observer: o}, o
}

// syncQuery is a request of yubikey-val about (counter, use) of the worked key; words replace its parameters, or end them with "".
func syncQuery(counter, use int, words ...string) string {
	names := []string{"otp", "modified", "nonce", "yk_publicname", "yk_counter", "yk_use", "yk_high", "yk_low"}
	values := []string{workedOTP, "1714979000", "poolnonce0000001", "vvcccccccccb", fmt.Sprint(counter), fmt.Sprint(use), "4", "32729"}
	var q []string
	for i, name := range names {
		if j := slices.Index(words, name); j >= 0 {
			if words[j+1] == "" {
				continue
			}
			values[i] = words[j+1]
		}
		q = append(q, name+"="+values[i])
	}
	return "/wsapi/2.0/sync?" + strings.Join(q, "&")
}

func syncAsk(t testing.TB, h http.Handler, target string, change ...func(*http.Request)) reply {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr = "192.0.2.7:4711"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return reply{code: w.Code}
	}
	return readReply(t, w.Code, w.Body.String())
}

// syncRow is one case: with (5, 3) stored, (use, session) are stored afterwards.
type syncRow struct {
	n            int // 0: not in the table
	name, target string
	change       []func(*http.Request)
	setup        func(*site)
	want         string
	use, session int
}

func syncRows() []syncRow {
	return []syncRow{
		{0, "higher", syncQuery(6, 0), nil, nil, yes, 6, 0},
		{0, "higher within a power-up", syncQuery(5, 4), nil, nil, yes, 5, 4},
		{0, "from the prefix", syncQuery(6, 0), []func(*http.Request){from("[2001:db8::9]:1")}, nil, yes, 6, 0},
		{0, "from a mapped address", syncQuery(6, 0), []func(*http.Request){from("[::ffff:192.0.2.7]:1")}, nil, yes, 6, 0},
		{0, "bit 15", syncQuery(0x8006, 0), nil, nil, yes, 6, 0},
		{71, "unlisted", syncQuery(6, 0), []func(*http.Request){from("192.0.2.8:1")}, nil, refused, 5, 3},
		{71, "unlisted, and nothing right", "/wsapi/2.0/sync?x=1", []func(*http.Request){from("192.0.2.8:1")}, nil, refused, 5, 3},
		{71, "said to be forwarded", syncQuery(6, 0), []func(*http.Request){from("192.0.2.8:1"), header("X-Forwarded-For", "192.0.2.7")}, nil, refused, 5, 3},
		{71, "unlisted, empty", "/wsapi/2.0/sync", []func(*http.Request){from("192.0.2.8:1")}, nil, missing, 5, 3},
		{72, "lower", syncQuery(4, 200), nil, nil, yes, 5, 3},
		{72, "the same", syncQuery(5, 3), nil, nil, yes, 5, 3},
		{72, "never used there", syncQuery(-1, -1, "yk_high", "-1", "yk_low", "-1"), nil, nil, yes, 5, 3},
		{0, "blocked", syncQuery(6, 0), nil, block, bad, 6, 0},
		{0, "blocked, lower", syncQuery(4, 0), nil, block, bad, 5, 3},
		{0, "unknown key", syncQuery(6, 0, "yk_publicname", "cccccccccccc"), nil, nil, backend, 5, 3},
		{0, "odd name", syncQuery(6, 0, "yk_publicname", "vvccccccccc"), nil, nil, backend, 5, 3},
		{0, "store gone", syncQuery(6, 0), nil, func(s *site) { s.faults.find = errGone }, backend, 5, 3},
		{0, "empty", "/wsapi/2.0/sync?", nil, nil, missing, 5, 3},
		{0, "name empty", strings.Replace(syncQuery(6, 0), "vvcccccccccb&", "&", 1), nil, nil, missing, 5, 3},
		{0, "name of 17", syncQuery(6, 0, "yk_publicname", strings.Repeat("c", 17)), nil, nil, missing, 5, 3},
		{0, "name upper case", syncQuery(6, 0, "yk_publicname", "VVCCCCCCCCCB"), nil, nil, missing, 5, 3},
		{0, "the old name", strings.Replace(syncQuery(6, 0), "yk_publicname", "yk_identity", 1), nil, nil, missing, 5, 3},
		{0, "counter -2", syncQuery(-2, 0), nil, nil, missing, 5, 3},
		{0, "half of the counters", syncQuery(6, -1), nil, nil, missing, 5, 3},
		{0, "the other half", syncQuery(-1, 6), nil, nil, missing, 5, 3},
		{0, "counter +6", syncQuery(6, 0, "yk_counter", "%2B6"), nil, nil, missing, 5, 3},
		{0, "counter of 17 bits", syncQuery(0x10000, 0), nil, nil, missing, 5, 3},
		{0, "use of 9 bits", syncQuery(6, 256), nil, nil, missing, 5, 3},
		{0, "high of 9 bits", syncQuery(6, 0, "yk_high", "256"), nil, nil, missing, 5, 3},
		{0, "low hexadecimal", syncQuery(6, 0, "yk_low", "7fd9"), nil, nil, missing, 5, 3},
		{0, "modified -1", syncQuery(6, 0, "modified", "-1"), nil, nil, missing, 5, 3},
		{0, "nonce of 15", syncQuery(6, 0, "nonce", "aaaaaaaaaaaaaaa"), nil, nil, missing, 5, 3},
		{0, "SQL in the nonce", syncQuery(6, 0, "nonce", "aaaaaaaaaaaaaaa'--"), nil, nil, missing, 5, 3},
		{0, "otp not ModHex", syncQuery(6, 0, "otp", strings.Repeat("a", 44)), nil, nil, missing, 5, 3},
		{0, "otp of a resync", syncQuery(6, 0, "otp", "vvcccccccccb"+strings.Repeat("c", 32)), nil, nil, yes, 6, 0},
		{0, "counter twice", syncQuery(6, 0) + "&yk_counter=7", nil, nil, missing, 5, 3},
		{0, "no modified", syncQuery(6, 0, "modified", ""), nil, nil, missing, 5, 3},
		{0, "no otp", syncQuery(6, 0, "otp", ""), nil, nil, missing, 5, 3},
		{0, "no nonce", syncQuery(6, 0, "nonce", ""), nil, nil, missing, 5, 3},
		{0, "no high", syncQuery(6, 0, "yk_high", ""), nil, nil, missing, 5, 3},
	}
}

// TestSyncRows are rows 71 and 72 of reference validation-protocol.md §18, and the rest of §10.
func TestSyncRows(t *testing.T) {
	t.Parallel()
	for _, tc := range syncRows() {
		s, h, o := pool(t)
		if got := syncAsk(t, h, syncQuery(5, 3)); got.value["status"] != yes {
			t.Fatalf("%s, before: %v", tc.name, got.value)
		}
		o.last(t)
		if tc.setup != nil {
			tc.setup(s)
			h.Raiser = s.faults
		}
		got := syncAsk(t, h, tc.target, tc.change...)
		if got.value["status"] != tc.want || !got.signedWith("") {
			t.Errorf("row %d, %s: %v, want %s", tc.n, tc.name, got.value, tc.want)
		}
		want := []string{"h", "t", "status"}
		if tc.want == yes {
			want = []string{"h", "t", "modified", "nonce", "yk_publicname", "yk_counter", "yk_use", "yk_high", "yk_low", "status"}
			if v := got.value; v["yk_counter"] != "5" || v["yk_use"] != "3" || v["yk_high"] != "4" || v["yk_low"] != "32729" ||
				v["modified"] != "1714979000" || v["nonce"] != "poolnonce0000001" || v["yk_publicname"] != "vvcccccccccb" {
				t.Errorf("row %d, %s: values %v", tc.n, tc.name, v)
			}
		}
		if !slices.Equal(got.names, want) {
			t.Errorf("row %d, %s: fields %v, want %v", tc.n, tc.name, got.names, want)
		}
		if c, err := s.store.Find(t.Context(), worked().PublicID); err != nil || c.Row.Counters.Use != tc.use || c.Row.Counters.Session != tc.session {
			t.Errorf("row %d, %s: stored %+v, %v", tc.n, tc.name, c.Row.Counters, err)
		}
		if a := o.last(t); a.Door != validate.DoorSync || a.Outcome != tc.want {
			t.Errorf("%s: event %+v", tc.name, a)
		}
	}
	if _, h, _ := pool(t); syncAsk(t, h, syncQuery(6, 0), func(r *http.Request) { r.Method = http.MethodPost }).code != http.StatusMethodNotAllowed {
		t.Error("POST")
	}
	_, h, _ := pool(t)
	h.From = nil
	if got := syncAsk(t, h, syncQuery(6, 0)); got.value["status"] != refused { // an empty list has nobody
		t.Errorf("no list: %v", got.value)
	}
}

// TestSyncFirst: of a key that was never used, yubikey-val's own words are told. What is raised is spent here.
func TestSyncFirst(t *testing.T) {
	t.Parallel()
	s, h, _ := pool(t)
	v := syncAsk(t, h, syncQuery(5, 0, "modified", "99999999999")).value
	if v["modified"] != "-1" || v["nonce"] != "0000000000000000" || v["yk_counter"] != "-1" || v["yk_use"] != "-1" || v["yk_high"] != "-1" || v["yk_low"] != "-1" {
		t.Errorf("%v", v)
	}
	if v = syncAsk(t, h, syncQuery(5, 0)).value; v["modified"] != fmt.Sprint(clock().Unix()) {
		t.Errorf("from the future: modified %s", v["modified"])
	}
	base := serve(t, s.handler)
	if got := get(t, base+fill(t, good)); got.value["status"] != replayed {
		t.Errorf("spent in the pool: %v", got.value)
	}
	if got := get(t, base+"id=1&nonce=poolnonce0000001&otp="+press(t, 5, 0)); got.value["status"] != retried {
		t.Errorf("the pool's request here too: %v", got.value)
	}
	if got := get(t, base+"id=1&nonce="+nonce+"&otp="+press(t, 5, 1)); got.value["status"] != yes {
		t.Errorf("the next: %v", got.value)
	}
}

// TestSyncAndVerify has a relying server ask here for an OTP while the pool tells that it has accepted it. Whatever comes first, one of
// the two sees the other: it is accepted here and the pool finds equal counters with another nonce, or it is a replay here.
func TestSyncAndVerify(t *testing.T) {
	t.Parallel()
	s, h, _ := pool(t)
	base := serve(t, s.handler)
	for use := range 60 {
		var here, there atomic.Int32
		var wg sync.WaitGroup
		wg.Go(func() {
			if get(t, base+"id=1&nonce="+nonce+"&otp="+press(t, uint16(use), 0)).value["status"] == yes {
				here.Add(1)
			}
		})
		wg.Go(func() {
			v := syncAsk(t, h, syncQuery(use, 0)).value
			if v["status"] == yes && v["yk_counter"] != fmt.Sprint(use) { // the pool's server answers OK
				there.Add(1)
			}
		})
		wg.Wait()
		if here.Load()+there.Load() != 1 {
			t.Errorf("OTP %d: accepted here %d times, there %d times", use, here.Load(), there.Load())
		}
	}
}
