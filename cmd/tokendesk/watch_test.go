package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tokendesk/tokendesk/validate/caller"
)

func TestClockWatch(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	wall, passed := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), time.Duration(0)
	w := &clockWatch{now: func() time.Time { return wall }, uptime: func() time.Duration { return passed }, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, step := range []struct {
		wall, passed time.Duration
		jumps        uint64
	}{
		{0, 0, 0}, {30 * time.Second, 30 * time.Second, 0}, {30*time.Second + 15*time.Millisecond, 30 * time.Second, 0},
		{90 * time.Second, 30 * time.Second, 1}, {30 * time.Second, 30 * time.Second, 1}, {-time.Hour, 30 * time.Second, 2}, {time.Second, time.Second, 2},
	} {
		wall, passed = wall.Add(step.wall), passed+step.passed
		if got := w.look(); got != step.jumps {
			t.Errorf("%+v: %d jumps", step, got)
		}
	}
	if said := log.String(); strings.Count(said, "the clock was set") != 2 || !strings.Contains(said, "by=1m0s") || !strings.Contains(said, "by=-1h0m30s") {
		t.Error(said)
	}
}

func TestClockState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state clockState
		good  bool
		text  string
	}{
		{clockState{}, true, "does not tell"},
		{clockState{known: true}, false, "not synchronised"},
		{clockState{known: true, kept: true, maximum: 250 * time.Millisecond}, true, "at most 250ms off"},
		{clockState{known: true, kept: true, maximum: 16 * time.Second}, false, "16s"},
	} {
		if c.state.good() != c.good || !strings.Contains(c.state.String(), c.text) {
			t.Errorf("%+v: %v, %s", c.state, c.state.good(), c.state)
		}
	}
}

// TestReadiness: the store is asked once a second, by one at a time, and not waited for longer than two seconds.
func TestReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, dead, hang := 0, error(nil), make(chan struct{})
		r := &readiness{now: time.Now, probe: func(context.Context) error {
			asked++
			if dead == errStoreSlow {
				<-hang
			}
			return dead
		}}
		check := func(want error, times int) {
			t.Helper()
			if err := r.check(t.Context()); !errors.Is(err, want) || asked != times {
				t.Errorf("%v, asked %d times; want %v, %d", err, asked, want, times)
			}
		}
		check(nil, 1)
		check(nil, 1)
		time.Sleep(readyFor)
		dead = errStoreWrite
		check(errStoreWrite, 2)
		r.committed(errors.New("disk full"))
		check(errCommit, 2)
		r.committed(nil)
		check(errStoreWrite, 2)
		r.committed(errors.New("disk full"))
		time.Sleep(failedLately)
		dead = errStoreSlow
		start := time.Now()
		check(errStoreSlow, 3)
		check(errStoreSlow, 3)
		if took := time.Since(start); took != 2*readyWithin {
			t.Errorf("two checks of a store that hangs took %v", took)
		}
		dead = nil
		close(hang)
		synctest.Wait()
		time.Sleep(readyFor)
		check(nil, 4)
	})
}

func TestMayKnow(t *testing.T) {
	t.Parallel()
	networks, err := caller.ParseProxies([]string{"192.0.2.0/24", "2001:db8::7"})
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{networks: networks}
	for _, c := range []struct {
		from, forwarded string
		may             bool
	}{
		{"127.0.0.1:1", "", true}, {"[::1]:1", "", true}, {"127.0.0.1:1", "203.0.113.1", false}, {"192.0.2.77:1", "", true}, {"[2001:db8::7]:1", "", true},
		{"[::ffff:192.0.2.1]:1", "", true}, {"203.0.113.1:1", "", false}, {"@", "", true}, {"nonsense", "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/readyz", nil)
		if r.RemoteAddr = c.from; c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if w.mayKnow(r) != c.may {
			t.Errorf("%+v", c)
		}
	}
}

// TestServeWatched: health, readiness and metrics of a server, its log as JSON with one line for each request, and no trace of what was
// typed or sent in a header.
func TestServeWatched(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	c := r.client("mail")
	if code := r.run("serve", "--log-format", "xml"); code != exitUsage {
		t.Errorf("--log-format xml: %d", code)
	}
	if code := r.run("serve", "--metrics", "everybody"); code != exitUsage {
		t.Errorf("--metrics everybody: %d", code)
	}
	plain := r.serve()
	if status, _, _ := fetch(t, plain, "/metrics"); status != http.StatusNotFound {
		t.Errorf("/metrics without --metrics: %d", status)
	}
	plain.stop(t, syscall.SIGTERM)
	s := r.serve("--log-format", "json", "--metrics", "127.0.0.0/8")
	otp := r.typed(2)
	if got := r.ask(c, s, otp); got != "OK" {
		t.Fatal(got)
	}
	if got := r.ask(c, s, otp); got != "REPLAYED_OTP" {
		t.Fatal(got)
	}
	if status, body, _ := fetch(t, s, "/healthz"); status != http.StatusOK || !strings.Contains(body, `{"status":"ok","details":{"version":`) {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if body := s.ready(t); !strings.Contains(body, `"waiting":0,"clock":{"good":`) {
		t.Errorf("/readyz: %s", body)
	}
	if status, _, id := fetch(t, s, "/no/such\n{path}"); status != http.StatusNotFound || id == "" {
		t.Errorf("%d, id %q", status, id)
	}
	body := ""
	for end := time.Now().Add(askTime); !strings.Contains(body, `tokendesk_requests_total{door="wsapi",outcome="REPLAYED_OTP"} 1`); { // counted when the answer is sent
		if time.Now().After(end) {
			t.Fatal(body)
		}
		_, body, _ = fetch(t, s, "/metrics")
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokendesk_requests_total", "tokendesk_store_transaction_seconds", "tokendesk_clock_synchronised", "tokendesk_connections", "tokendesk_build_info"} {
		if all[name] == nil {
			t.Errorf("%s is missing in\n%s", name, body)
		}
	}
	log, code := s.stop(t, syscall.SIGTERM)
	requests := 0
	for line := range strings.Lines(log) {
		var e struct{ Msg, ID, Door, Source, Reason, Route string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.Msg == "request" {
			requests++
			if e.ID == "" || e.Door == "" || e.Source != "127.0.0.1" {
				t.Errorf("%s", line)
			}
		}
	}
	if code != 0 || requests != 3 || strings.Contains(log, otp[len(otp)-32:]) || strings.Contains(log, "no/such") || strings.Contains(log, "secret-agent") {
		t.Errorf("exit code %d, %d lines of requests:\n%s", code, requests, log)
	}
}

// fetch asks a server for a path.
func fetch(t *testing.T, s *server, path string) (status int, body, id string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Path = path
	req.Header.Set("User-Agent", "secret-agent")
	req.Header.Set("X-Request-Id", "secret-agent")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Header.Get("X-Request-Id")
}
