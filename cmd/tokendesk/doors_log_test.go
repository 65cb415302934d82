package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// countedDoors are the metrics, once each door is counted: that is done when an answer is on its way.
func countedDoors(t *testing.T, s *server, want map[string]int) (counted string) {
	t.Helper()
	for door := range want {
		for end := time.Now().Add(askTime); !strings.Contains(counted, fmt.Sprintf(`tokendesk_requests_total{door=%q`, door)); {
			if time.Now().After(end) {
				t.Fatalf("door %s is not counted", door)
			}
			_, counted, _ = fetch(t, s, "/metrics")
		}
	}
	return counted
}

// TestEveryDoorIsOneLine: whatever is asked, at whatever door, is one line of the log with the door's name, a metric, and none of it
// repeats what was sent: neither in the path nor in the query, a header, or the body.
func TestEveryDoorIsOneLine(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	s := r.serve("--log-format", "json", "--metrics", "127.0.0.1", "--ksm", "--ksm-loopback", "--sync-from", "127.0.0.1", "--revoke-from", "127.0.0.1")
	otp := r.typed(2)
	const evil = "evil\u2028%0d%0aevil"
	asked := []struct{ method, path, door string }{
		{"GET", "/wsapi/2.0/verify?id=1&nonce=0123456789abcdef&otp=" + otp, "wsapi"},
		{"GET", "/wsapi/2.0/verify?id=1&nonce=" + evil + "&otp=" + evil, "wsapi"},
		{"GET", "/wsapi/evil" + otp, "other"},
		{"PUT", "/wsapi/2.0/verify", "other"},
		{"GET", "/wsapi/decrypt?otp=" + otp, "ksm"},
		{"GET", "/wsapi/2.0/sync?otp=" + otp + "&yk_publicname=" + evil, "sync"},
		{"GET", "/wsapi/revoke?yk=" + evil + "&do=disable", "revoke"},
		{"POST", "/api/v1/verify", "verify"},
		{"POST", "/validate/check", "check"},
		{"GET", "/api/v1/search?q=" + otp, "staff"},
		{"GET", "/api/v1/persons/" + otp, "staff"},
		{"GET", "/api/evil" + otp, "other"},
		{"GET", "/console/login?to=" + evil, "console"},
		{"POST", "/console/login", "console"},
		{"GET", "/console/persons/" + otp, "console"},
		{"GET", "/enroll/" + otp, "enroll"},
		{"GET", "/" + evil, "other"},
		{"GET", "/metrics/" + otp, "other"},
	}
	keep := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, a := range asked {
		body := fmt.Sprintf(`{"person":%q,"factor":%q}`, "evil", otp)
		req, err := http.NewRequestWithContext(t.Context(), a.method, "http://"+s.address+a.path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("User-Agent", "evil"+otp)
		req.Header.Set("Cookie", "tokendesk=evil"+otp)
		req.Header.Set("Authorization", "Bearer td_evil"+otp)
		res, err := keep.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no ID in the answer", a.path)
		}
	}
	want := map[string]int{}
	for _, a := range asked {
		want[a.door]++
	}
	counted := countedDoors(t, s, want)
	log, _ := s.stop(t, syscall.SIGTERM)
	lines := map[string]int{}
	for line := range strings.Lines(log) {
		var e struct{ Msg, Door string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.Msg == "request" {
			lines[e.Door]++
		}
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("lines %v, want %v\n%s", lines, want, log)
	}
	for _, what := range []string{"evil", otp[12:], otp[:32]} {
		if strings.Contains(log, what) || strings.Contains(counted, what) {
			t.Errorf("%q is in the log or the metrics:\n%s", what, log)
		}
	}
}
