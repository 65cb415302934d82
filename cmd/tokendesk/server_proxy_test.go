package main

import (
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestForwarded: who asks through a trusted proxy counts by its own address, for the networks of relying servers, the limits, the log
// and the audit chain; what others say about themselves does not count anywhere.
func TestForwarded(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	key := importPressers(t, r, 1)[0]
	c := r.client("mail")
	r.must("client", "set", "1", "--network", "192.0.2.0/24", "--network", "2001:db8:7::/48")
	a := newAsker(t, c)
	trusting, plain := r.serve("--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.0.0.0/8"), r.serve()
	for _, tc := range []struct {
		name      string
		s         *server
		forwarded []string
		want      string
		source    string // in the log
	}{
		{"from a network of the client", trusting, []string{"192.0.2.7"}, "OK", "192.0.2.7"},
		{"by IPv6", trusting, []string{"2001:db8:7::1"}, "OK", "2001:db8:7::1"},
		{"IPv4-mapped", trusting, []string{"::ffff:192.0.2.7"}, "OK", "192.0.2.7"},
		{"through a second proxy", trusting, []string{"192.0.2.7, 10.1.2.3"}, "OK", "192.0.2.7"},
		{"after a lie", trusting, []string{"198.51.100.1, 192.0.2.7"}, "OK", "192.0.2.7"},
		{"from elsewhere", trusting, []string{"198.51.100.1"}, "OPERATION_NOT_ALLOWED", "198.51.100.1"},
		{"a lie before the truth", trusting, []string{"192.0.2.7, 198.51.100.1"}, "OPERATION_NOT_ALLOWED", "198.51.100.1"},
		{"a lie in a line of its own", trusting, []string{"192.0.2.7", "198.51.100.1"}, "OPERATION_NOT_ALLOWED", "198.51.100.1"},
		{"a lie about a proxy", trusting, []string{"192.0.2.7, 10.1.2.3, 198.51.100.1"}, "OPERATION_NOT_ALLOWED", "198.51.100.1"},
		{"nonsense", trusting, []string{"192.0.2.7, unknown"}, "OPERATION_NOT_ALLOWED", "127.0.0.1"},
		{"the proxy itself", trusting, nil, "OPERATION_NOT_ALLOWED", "127.0.0.1"},
		{"nobody is trusted", plain, []string{"192.0.2.7"}, "OPERATION_NOT_ALLOWED", "127.0.0.1"},
	} {
		a.http = &http.Client{Transport: forwards(tc.forwarded)}
		key.pressed++
		if _, err := key.ask(t, a, tc.s, key.pressed, tc.want); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	for _, s := range []*server{trusting, plain} {
		log, code := s.stop(t, syscall.SIGTERM)
		want := map[string]int{"source=192.0.2.7": 4, "source=2001:db8:7::1": 1, "source=198.51.100.1": 4, "source=127.0.0.1": 2, "X-Forwarded-For is ignored": 0}
		if s == plain {
			want = map[string]int{"source=192.0.2.7": 0, "source=127.0.0.1": 1, "X-Forwarded-For is ignored": 1}
		}
		for text, n := range want {
			if got := strings.Count(log, text); got != n {
				t.Errorf("%d times %q, want %d\n%s", got, text, n, log)
			}
		}
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	r.out.Reset()
	r.must("audit", "list", "--raw")
	if n := strings.Count(r.out.String(), "192.0.2.7"); n != 4 || strings.Contains(r.out.String(), "127.0.0.1") {
		t.Errorf("the audit chain names the source %d times\n%s", n, r.out.String())
	}
}

// forwards adds lines to each request.
type forwards []string

// RoundTrip implements http.RoundTripper.
func (f forwards) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header["X-Forwarded-For"] = f
	r.Header["Forwarded"] = []string{"for=192.0.2.7"}
	r.Header["X-Real-Ip"] = []string{"192.0.2.7"}
	return http.DefaultTransport.RoundTrip(r)
}

// TestForwardedLimits: behind a trusted proxy one source's flood does not limit another's, and wrong log-ins count for who sends them;
// without trust neither can be escaped by another X-Forwarded-For for each request.
func TestForwardedLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.setTime(time.Now()) // it stands still: nobody earns another request, however long all of them take
	apiToken := r.operator("grace", "helpdesk")
	for _, trusted := range []bool{true, false} {
		words := []string{"--limit", "5"}
		if trusted {
			words = append(words, "--trusted-proxy", "127.0.0.0/8")
		}
		s := r.serve(words...)
		statuses := func(from func(i int) string, n int, path string, form url.Values, proto string) (all map[int]int, cookie string) {
			all = map[int]int{}
			for i := range n {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url(path), strings.NewReader(form.Encode()))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("X-Forwarded-For", from(i))
				req.Header.Set("X-Forwarded-Proto", proto)
				res, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close() // the status is enough
				all[res.StatusCode]++
				cookie = res.Header.Get("Set-Cookie")
			}
			return all, cookie
		}
		right := url.Values{"token": {apiToken}}
		if all, cookie := statuses(func(int) string { return "203.0.113.11" }, 1, "/console/login", right, "https"); !strings.Contains(cookie, "tokendesk=") || strings.Contains(cookie, "__Secure-") != trusted {
			t.Errorf("trusted %v: %v %s", trusted, all, cookie)
		}
		one := func(int) string { return "192.0.2.1" }
		each := func(i int) string { return "198.51.100." + string(rune('0'+i%10)) + string(rune('0'+i/10%10)) }
		wrong := url.Values{"token": {"td_wrong"}}
		flood, _ := statuses(one, 100, "/validate/check", nil, "")
		others, _ := statuses(each, 40, "/validate/check", nil, "")
		if limited := flood[http.StatusTooManyRequests]; trusted && (limited < 80 || others[http.StatusTooManyRequests] > 0) {
			t.Errorf("trusted: %v, others %v", flood, others)
		}
		if !trusted && others[http.StatusTooManyRequests] == 0 { // this machine's share is used up by then
			t.Errorf("another address for each request escapes: %v, %v", flood, others)
		}
		if trusted {
			tries, _ := statuses(func(int) string { return "203.0.113.9" }, 10, "/console/login", wrong, "")
			if tries[http.StatusUnauthorized] != 10 {
				t.Errorf("wrong log-ins: %v", tries)
			}
			if tries, _ := statuses(func(int) string { return "203.0.113.9" }, 1, "/console/login", wrong, ""); tries[http.StatusTooManyRequests] != 1 {
				t.Errorf("the eleventh: %v", tries)
			}
			if tries, _ := statuses(func(int) string { return "203.0.113.10" }, 1, "/console/login", wrong, ""); tries[http.StatusUnauthorized] != 1 {
				t.Errorf("somebody else: %v", tries)
			}
		}
		s.stop(t, syscall.SIGTERM)
	}
}
