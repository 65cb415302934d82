package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRoles: what a server answers in each role; everything else is not there.
func TestRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	for _, tc := range []struct {
		method, path       string
		all, validate, ksm int
	}{
		{"GET", "/healthz", 200, 200, 200},
		{"GET", "/wsapi/2.0/verify?id=1", 200, 200, 404},
		{"POST", "/api/v1/verify", 401, 401, 404},
		{"POST", "/validate/check", 401, 401, 404},
		{"GET", "/api/v1/search?q=ada", 401, 404, 404},
		{"POST", "/api/v1/diagnose", 401, 404, 404},
		{"GET", "/console/login", 200, 404, 404},
		{"GET", "/enroll/x", 404, 404, 404},
		{"GET", "/", 404, 404, 404},
	} {
		for role, want := range map[serveRole]int{roleAll: tc.all, roleValidate: tc.validate, roleKSM: tc.ksm} {
			_, h := r.serving(func(s *serving) { s.role = role })
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
			if w.Code != want {
				t.Errorf("%s: %s %s: %d, want %d", role, tc.method, tc.path, w.Code, want)
			}
		}
	}
}

// TestDrain: after SIGTERM a server goes on answering for --drain, and says by /readyz that it ends; SIGHUP does not end it.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	const drain = time.Second
	s := r.serve("--drain", drain.String())
	get := func(path string) (status int) {
		res, err := http.Get(s.url(path))
		if err != nil {
			return 0
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close() // read only
		return res.StatusCode
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.ready(t)
	start := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for get("/readyz") == http.StatusOK {
		if time.Since(start) > askTime {
			t.Fatal("/readyz never says no")
		}
	}
	if got := get("/readyz"); got != http.StatusServiceUnavailable && time.Since(start) < drain/2 {
		t.Errorf("/readyz: %d", got)
	}
	if got := get("/wsapi/2.0/verify?id=1"); got != http.StatusOK && time.Since(start) < drain/2 {
		t.Errorf("verify: %d", got)
	}
	log := <-s.log
	if err := s.cmd.Wait(); err != nil || time.Since(start) < drain || !strings.Contains(log, "SIGHUP") || !strings.Contains(log, "msg=stopping") {
		t.Errorf("%v after %v\n%s", err, time.Since(start), log)
	}
}
