package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestOneFactorThreeDoors: one OTP that is sent at once by the Yubico protocol, as JSON and as a plugin of privacyIDEA sends it is
// accepted once.
func TestOneFactorThreeDoors(t *testing.T) {
	t.Parallel()
	const callers, rounds = 16, 5
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada")
	r.must("provision", "--slot", "2", "--to", "ada")
	a := newAsker(t, r.client("mail"))
	here, h := r.serving()
	served := httptest.NewServer(h)
	t.Cleanup(func() {
		a.hangUp()
		served.Close()
		here.wait()
	})
	s := &server{address: strings.TrimPrefix(served.URL, "http://")}
	for round := range rounds {
		otp, nonce := r.typed(2), a.nonce()
		form := url.Values{"user": {"ada"}, "pass": {otp}}.Encode()
		var yes, no atomic.Int64
		count := func(ok bool, err error) {
			switch {
			case err != nil:
				t.Error(err)
			case ok:
				yes.Add(1)
			default:
				no.Add(1)
			}
		}
		var done sync.WaitGroup
		for range callers {
			done.Go(func() {
				status, err := a.status(t.Context(), s, otp, nonce)
				count(status == "OK", err)
			})
			done.Go(func() {
				count(a.says(t, served.URL+"/api/v1/verify", "application/json", `{"person":"ada","factor":"`+otp+`"}`, `"accepted"`))
			})
			done.Go(func() {
				count(a.says(t, served.URL+"/validate/check", "application/x-www-form-urlencoded", form, `"ACCEPT"`))
			})
		}
		if done.Wait(); yes.Load() != 1 || no.Load() != 3*callers-1 {
			t.Errorf("round %d: accepted %d times, refused %d times", round, yes.Load(), no.Load())
		}
	}
}

// says posts a body with the client's key and reports whether the answer, of status 200, holds a text.
func (a *asker) says(t *testing.T, to, kind, body, text string) (bool, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", kind)
	req.SetBasicAuth(fmt.Sprint(a.id), a.relying.key)
	res, err := a.http.Do(req)
	if err != nil {
		return false, err
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read only
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d", to, res.StatusCode)
	}
	return strings.Contains(string(answer), text), err
}
