package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// TestDenialsAreAlike: whatever the reason, the same typed text is answered byte for byte alike but for the support code, with the
// same headers, at both addresses.
func TestDenialsAreAlike(t *testing.T) {
	t.Parallel()
	reasons := []validate.Reason{
		validate.ReasonNobody, validate.ReasonWrong, validate.ReasonLocked, validate.ReasonThrottled, validate.ReasonBlocked, validate.ReasonBudget,
		validate.ReasonOtherHolder, validate.ReasonNotAllowed, validate.ReasonExpired, validate.ReasonOtherClient, validate.ReasonUnknown, validate.ReasonSame,
	}
	for path, body := range map[string]string{"/api/v1/verify": `{"person":"ada","factor":"123456"}`, "/validate/check": `{"user":"ada","pass":"123456"}`} {
		want := ""
		for _, reason := range reasons {
			s := newSite(t) // the same random source each time: the same support code
			s.checker.reason = reason
			w := ask(s, http.MethodPost, path, newerKey, body)
			got := w.Body.String() + w.Header().Get("Content-Length") + w.Header().Get("Content-Type")
			if w.Code != http.StatusOK || want != "" && got != want {
				t.Errorf("%s: %s: %d %s", path, reason, w.Code, got)
			}
			want = got
			if log := s.log.String(); !strings.Contains(log, string(reason)) || strings.Count(log, "\n") != 1 || strings.Contains(log, "123456") {
				t.Errorf("%s: %s: the log is %s", path, reason, log)
			}
		}
	}
}

// TestKeptUnderItsCode: each denial has a code of its own, under which the cause is kept, and is noted.
func TestKeptUnderItsCode(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	codes := map[string]bool{}
	for i := range 20 {
		var a verifyAnswer
		w := ask(s, http.MethodPost, "/api/v1/verify", newerKey, `{"person":"ada","factor":"123456"}`)
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		code, ok := token.NormaliseSpoken(a.Support)
		if !ok || len(code) != token.SupportLen || codes[code] || len(s.doctor.kept) != i+1 {
			t.Fatalf("code %q, %d kept", a.Support, len(s.doctor.kept))
		}
		codes[code] = true
		if k := s.doctor.kept[i]; k.Code != code || k.Client != 1 || k.Source != "203.0.113.9" || len(k.Findings) != 1 {
			t.Errorf("%+v", k)
		}
	}
	if s.checker.noted != 20 {
		t.Errorf("%d noted", s.checker.noted)
	}
}

// TestAnswerBeforeCause: the answer is there before the cause is looked for, and so is the next one on the connection; Wait waits until
// it is kept.
func TestAnswerBeforeCause(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.doctor.wait = make(chan struct{})
	server := httptest.NewServer(s)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/api/v1/verify", strings.NewReader(`{"person":"ada","factor":"123456"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", basic(newerKey))
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	res, err := client.Do(req)
	if err != nil {
		close(s.doctor.wait)
		t.Fatal(err)
	}
	var a verifyAnswer
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil || a.Result != denied {
		t.Fatalf("%+v, %v", a, err)
	}
	_ = res.Body.Close()
	next, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err = client.Do(next); err != nil {
		close(s.doctor.wait)
		t.Fatalf("the next request is held up: %v", err)
	}
	_ = res.Body.Close()
	down := make(chan error, 1)
	go func() {
		err := server.Config.Shutdown(t.Context())
		s.Wait()
		down <- err
	}()
	select {
	case err := <-down:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	close(s.doctor.wait)
	if err := <-down; err != nil {
		t.Fatal(err)
	}
	s.doctor.mu.Lock()
	defer s.doctor.mu.Unlock()
	if len(s.doctor.kept) != 1 {
		t.Errorf("%d kept", len(s.doctor.kept))
	}
}

// TestHungUp: a client that went away changes neither the decision nor what is kept.
func TestHungUp(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequest(http.MethodPost, "/api/v1/verify", strings.NewReader(`{"person":"ada","factor":"123456"}`)).WithContext(gone)
	req.Header.Set("Content-Type", "application/json")
	if w := do(s, req, newerKey); w.Code != http.StatusOK || len(s.doctor.kept) != 1 {
		t.Errorf("%d, %d kept: %s", w.Code, len(s.doctor.kept), s.log)
	}
}

// TestRemember: only what a token proved makes a browser trusted, and only when asked.
func TestRemember(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{
		"totp": true, "hotp": true, "yubico-otp": true, validate.KindRecovery: false, validate.KindTemp: false, validate.KindBrowser: false,
	} {
		for _, remember := range []bool{true, false} {
			s := newSite(t)
			body := `{"person":"ada","factor":"good ` + kind + `","remember":` + map[bool]string{true: "true", false: "false"}[remember] + `}`
			w := ask(s, http.MethodPost, "/api/v1/verify", newerKey, body)
			if got := strings.Contains(w.Body.String(), `"browser":"cookie"`); got != (want && remember) || !strings.Contains(w.Body.String(), accepted) {
				t.Errorf("%s: %s", body, w.Body)
			}
		}
	}
	s := newSite(t)
	s.desk.fail = errors.New("no trust")
	w := ask(s, http.MethodPost, "/api/v1/verify", newerKey, `{"person":"ada","factor":"good totp","remember":true}`)
	if !strings.Contains(w.Body.String(), accepted) || strings.Contains(w.Body.String(), "cookie") || !strings.Contains(s.log.String(), "no trust") {
		t.Errorf("%s %s", w.Body, s.log)
	}
}

// TestStoreFails: no decision is made up; the answer has a support code that is in the log, with the cause.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.checker.fail = errors.New("the disk is gone")
	for path, body := range map[string]string{"/api/v1/verify": `{"person":"ada","factor":"good totp"}`, "/validate/check": `{"user":"ada","pass":"good totp"}`} {
		w := ask(s, http.MethodPost, path, newerKey, body)
		if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "disk") || strings.Contains(w.Body.String(), "ccept") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if !strings.Contains(s.log.String(), "the disk is gone") || !strings.Contains(s.log.String(), "level=ERROR") || !strings.Contains(s.log.String(), "support_code=") {
			t.Errorf("%s: %s", path, s.log)
		}
	}
	if len(s.doctor.kept) != 0 {
		t.Error("something was kept")
	}
}

// TestTrace: what was sent through goes to the Checker as it is.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ask(s, http.MethodPost, "/api/v1/verify", newerKey, `{"serial":"C200-1","factor":" 123 456","browser":"b"}`)
	f := s.checker.last
	if f.Account != "" || f.Serial != "C200-1" || f.Text != " 123 456" || f.Browser != "b" || f.Client.ID != 1 || f.Source != "203.0.113.9" || !f.Signed {
		t.Errorf("%+v", f)
	}
}
