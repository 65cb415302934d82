package wsapi_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// TestLog runs every row and looks at what is in the log: one event for each, no OTP, no key, nothing raw.
func TestLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handler.Allow1x = true
	all := rows(t)
	n := 0
	for _, r := range all {
		if r.code != 0 {
			continue
		}
		n++
		target := "/wsapi/2.0/verify?" + fill(t, r.query)
		s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, target, nil))
	}
	s.handler.Wait()
	log := s.log.String()
	if lines := strings.Count(log, `"msg":"request"`); lines != n {
		t.Errorf("%d events for %d requests", lines, n)
	}
	for _, r := range all {
		values, _ := url.ParseQuery(fill(t, r.query))
		if otp := strings.TrimSpace(values.Get("otp")); len(otp) >= 32 && strings.Contains(strings.ToLower(log), strings.ToLower(otp[:len(otp)-32+5])) {
			t.Errorf("row %d: its OTP is in the log", r.n)
		}
	}
	for _, raw := range []string{clientKey, "%0D", "\\r", "\\u0000", "4yDvFhMnSOB"} {
		if strings.Contains(log, raw) {
			t.Errorf("%q is in the log", raw)
		}
	}
}

func TestLogEvent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		setup func(*site)
		otp   string
		level string
		want  map[string]any
	}{
		{"good", nil, press(t, 5, 0), "INFO", map[string]any{"door": "wsapi", "route": "/wsapi/2.0/verify", "outcome": "OK", "reason": "accepted", "client": 1.0, "source": "192.0.2.1", "use": 5.0, "session": 0.0, "public_id": "vvcccccccccb", "signed": false}},
		{"near the end", nil, press(t, 0x7000, 0), "INFO", map[string]any{"near_end": true}},
		{"caps", nil, worked().Press(t, yubiotp.Token{CapsFlag: true}), "INFO", map[string]any{"caps_flag": true}},
		{"dvorak", nil, dvorak(press(t, 1, 0)), "INFO", map[string]any{"dvorak": true, "public_id": "vvcccccccccb"}},
		{"blocked", block, press(t, 1, 0), "INFO", map[string]any{"outcome": "BAD_OTP", "reason": "blocked"}},
		{"dead store", func(s *site) { s.faults.find = errors.New("disk on fire") }, press(t, 1, 0), "ERROR", map[string]any{"outcome": "BACKEND_ERROR", "error": "find: disk on fire"}},
		{"limited", func(s *site) { s.handler.Limit = func(validate.Client, string) bool { return true } }, press(t, 1, 0), "INFO", map[string]any{"limited": true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if tc.setup != nil {
				tc.setup(s)
			}
			s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/wsapi/2.0/verify?id=1&nonce="+nonce+"&otp="+tc.otp, nil))
			s.handler.Wait()
			got := make(map[string]any)
			line, _, _ := strings.Cut(s.log.String(), "\n")
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			if got["level"] != tc.level || got["msg"] != "request" {
				t.Errorf("level %v, %v", got["level"], got["msg"])
			}
			for name, want := range tc.want {
				if got[name] != want {
					t.Errorf("%s: %v, want %v", name, got[name], want)
				}
			}
		})
	}
}

// TestLogDeadStore: that the store is dead is in the log whatever else is wrong with the request.
func TestLogDeadStore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.faults.client = errors.New("disk on fire")
	s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/wsapi/2.0/verify?id=1&nonce=short", nil))
	s.handler.Wait()
	if log := s.log.String(); !strings.Contains(log, "disk on fire") || !strings.Contains(log, "ERROR") {
		t.Error(log)
	}
}

// TestNoteAfterAnswer: a refusal is in the audit chain, and was not before the client had its answer.
func TestNoteAfterAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	w := httptest.NewRecorder()
	s.faults.noting = func() {
		if !w.Flushed || !strings.HasSuffix(w.Body.String(), "\r\n\r\n") {
			t.Error("noted before the answer was out")
		}
	}
	s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/wsapi/2.0/verify?id=1&nonce="+nonce+"&otp="+flip(press(t, 1, 0)), nil))
	s.handler.Wait()
	if e := s.store.Events(); len(e) != 1 || e[0].Result != bad || e[0].Reason != validate.ReasonCRC {
		t.Errorf("events %+v", e)
	}
}

// TestNoteHoldsUpNothing: while a refusal is noted, the next request on the same connection is answered. Otherwise its time would tell
// which public IDs are known. Nothing is lost when the server goes down meanwhile.
func TestNoteHoldsUpNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hold := make(chan struct{})
	s.faults.noting = func() { <-hold }
	server := httptest.NewServer(s.handler)
	release := sync.OnceFunc(func() { close(hold) })
	defer func() {
		release()
		server.Close()
	}()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: time.Minute}
	for _, otp := range []string{flip(press(t, 1, 0)), "cccccccccccc" + press(t, 1, 0)[12:]} {
		resp, err := client.Get(server.URL + "/wsapi/2.0/verify?id=1&nonce=" + nonce + "&otp=" + otp)
		if err != nil {
			t.Fatal("held up")
		}
		if got := read(t, resp); got.value["status"] != bad {
			t.Errorf("%v", got.value)
		}
	}
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	release()
	s.handler.Wait()
	if e := s.store.Events(); len(e) != 1 {
		t.Errorf("events %+v", e)
	}
}

// TestSource: a mapped address is the IPv4 one; who has none comes by a Unix socket.
func TestSource(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{"192.0.2.7:99": "192.0.2.7", "[::ffff:192.0.2.7]:99": "192.0.2.7", "[2001:db8::1]:99": "2001:db8::1", "@": "unix"} {
		s := newSite(t)
		req := httptest.NewRequest(http.MethodGet, "/wsapi/2.0/verify?id=1&nonce="+nonce+"&otp="+press(t, 1, 0), nil)
		req.RemoteAddr = remote
		s.handler.ServeHTTP(httptest.NewRecorder(), req)
		s.handler.Wait()
		if e := s.store.Events(); len(e) != 1 || e[0].Source != want || e[0].Client != 1 {
			t.Errorf("%s: %+v", remote, e)
		}
	}
}
