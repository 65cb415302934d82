package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate"
)

// allowed is how many of n requests pass.
func (l limits) allowed(source string, n int) int {
	passed := 0
	for range n {
		if !l.tooOften(validate.Client{}, source) {
			passed++
		}
	}
	return passed
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	l := limits{sources: newLimiter(10, func() time.Time { return now })}
	for _, step := range []struct {
		name   string
		wait   time.Duration
		source string
		want   int // of 1000
	}{
		{"burst", 0, "192.0.2.1", 20},
		{"nothing left", 0, "192.0.2.1", 0},
		{"another address", 0, "192.0.2.2", 20},
		{"half a second", time.Second / 2, "192.0.2.1", 5},
		{"the clock goes back", -time.Hour, "192.0.2.1", 0},
		{"a long time", 2 * time.Hour, "192.0.2.1", 20},
		{"a network", 0, "2001:db8::1", 20},
		{"the same network", 0, "2001:db8::ffff", 0},
		{"another network", 0, "2001:db8:0:1::1", 20},
		{"this machine", 0, "127.0.0.1", 200},
		{"this machine again", 0, "::1", 0},
		{"no address", 0, "somewhere", 20},
		{"a Unix socket counts with this machine", 0, "unix", 0},
	} {
		now = now.Add(step.wait)
		if got := l.allowed(step.source, 1000); got != step.want {
			t.Errorf("%s: %d passed, want %d", step.name, got, step.want)
		}
	}
	if newLimiter(0, time.Now) != nil {
		t.Error("0 limits")
	}
}

// TestLimiterIsBounded: however many addresses ask, the table does not grow, and one that is known keeps its own bucket.
func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	l := limits{sources: newLimiter(1, func() time.Time { return now })}
	address := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff) }
	passed := 0
	for i := range 3 * maxSources {
		passed += l.allowed(address(i), 1)
	}
	if len(l.sources.buckets) > maxSources+1 || passed != maxSources+limitBurst {
		t.Errorf("%d buckets, %d passed", len(l.sources.buckets), passed)
	}
	if l.allowed(address(0), 9) != limitBurst-1 {
		t.Error("a known address shares the others' bucket")
	}
	now = now.Add(time.Minute)
	if l.allowed("192.0.2.1", 9) != limitBurst || len(l.sources.buckets) > 10 {
		t.Errorf("%d buckets after a minute", len(l.sources.buckets))
	}
}

// TestClientLimit: a relying server has one share, wherever it asks from; others are not touched.
func TestClientLimit(t *testing.T) {
	t.Parallel()
	l := limits{clients: newLimiter(5, func() time.Time { return time.Unix(0, 0) })}
	passed := map[int64]int{}
	for i := range 100 {
		for id := range int64(3) {
			if !l.tooOften(validate.Client{ID: id}, fmt.Sprintf("192.0.2.%d", i)) {
				passed[id]++
			}
		}
	}
	if passed[0] != 10 || passed[1] != 10 || passed[2] != 10 {
		t.Error(passed)
	}
	if (limits{}).tooOften(validate.Client{}, "") {
		t.Error("no limit limits")
	}
}

// TestFloodIsNotAudited: unsigned garbage for a known public ID is answered BACKEND_ERROR beyond the limit, signed and with
// HTTP 200, and leaves no more events.
func TestFloodIsNotAudited(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.must("init")
	r.must("provision", "--slot", "1")
	r.client("mail")
	s, h := r.serving(func(s *serving) { s.limits.sources = newLimiter(5, func() time.Time { return time.Unix(0, 0) }) })
	defer s.wait()
	otp := r.typed(1)
	garbage := otp[:12] + strings.Repeat("c", 32)
	statuses := map[string]int{}
	for i := range 30 {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/wsapi/2.0/verify?id=1&otp=%s&nonce=abcdefghijklmnop%02d", garbage, i), nil)
		req.RemoteAddr = "192.0.2.1:1"
		h.ServeHTTP(w, req)
		_, status, _ := strings.Cut(strings.TrimSpace(w.Body.String()), "status=")
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "h=") {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		statuses[status]++
	}
	if statuses["BAD_OTP"] != 10 || statuses["BACKEND_ERROR"] != 20 {
		t.Error(statuses)
	}
}
