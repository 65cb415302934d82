package main

import (
	"database/sql"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadyStore: while somebody else holds the store, the server lives and is not ready, says so in time, and to a stranger no more than
// that; then it is ready again by itself.
func TestReadyStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	s := r.serve()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(r.dataDir, "tokendesk.db")+"?_txlock=immediate&_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s.ready(t)
	held, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body := s.says(t, http.StatusServiceUnavailable); !strings.Contains(body, `"status":"not ready"`) || !strings.Contains(body, `"reason":"the store does not answer"`) {
		t.Error(body)
	}
	if status, _, _ := fetch(t, s, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "203.0.113.9")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ContentLength > int64(len(`{"status":"not ready"}`)+1) {
		t.Errorf("a stranger is told %d bytes", res.ContentLength)
	}
	if err := held.Rollback(); err != nil {
		t.Fatal(err)
	}
	s.ready(t)
	s.stop(t, syscall.SIGTERM)
}

// ready waits until the server is: on a machine that is too busy it may not be for a while.
func (s *server) ready(t *testing.T) (body string) {
	t.Helper()
	return s.says(t, http.StatusOK)
}

// says waits until /readyz has a status.
func (s *server) says(t *testing.T, want int) (body string) {
	t.Helper()
	for end := time.Now().Add(askTime); ; {
		status, body, _ := fetch(t, s, "/readyz")
		if status == want {
			return body
		}
		if time.Now().After(end) {
			t.Fatalf("/readyz: %d %s", status, body)
		}
	}
}
