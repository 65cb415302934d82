package main

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// askTime bounds one question of a test, with all its repetitions, and whatever else it waits for: more than a busy machine takes.
const askTime = 2 * time.Minute

// serverPatience is how long a server waits for its store before it answers BACKEND_ERROR; a little less than wsapi's.
const serverPatience = 7 * time.Second

// errSilent: the server took no request or gave no whole answer, as one that was killed.
var errSilent = errors.New("the server is silent")

// asker is a relying server under load: it keeps its connections, and tells a silent server from a wrong answer. It is safe
// for concurrent use.
type asker struct {
	relying
	key    []byte
	http   *http.Client
	nonces atomic.Int64
	again  atomic.Int64 // repetitions
}

func newAsker(t testing.TB, c relying) *asker {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(c.key)
	if err != nil {
		t.Fatal(err)
	}
	connections := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(connections.CloseIdleConnections)
	return &asker{relying: c, key: key, http: &http.Client{Transport: connections}}
}

// hangUp closes the connections, so that a server that stops need not wait for those that never carried a request (5 s,
// http.Server.Shutdown).
func (a *asker) hangUp() { a.http.CloseIdleConnections() }

// nonce is one that was not used before.
func (a *asker) nonce() string { return fmt.Sprintf("nonce%015d", a.nonces.Add(1)) }

// status submits an OTP and returns the status of the answer, whose signature was right. The error is errSilent, or says what
// is wrong with the answer. A server that lost its patience, because the machine is too busy, is asked again, as relying
// servers do: it has decided nothing. A BACKEND_ERROR that comes sooner is a status like others.
func (a *asker) status(ctx context.Context, s *server, otp, nonce string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for {
		start := time.Now()
		status, err := a.once(ctx, s, otp, nonce)
		if status != "BACKEND_ERROR" || time.Since(start) < serverPatience {
			return status, err
		}
		a.again.Add(1)
	}
}

func (a *asker) once(ctx context.Context, s *server, otp, nonce string) (string, error) {
	q := map[string]string{"id": strconv.FormatInt(a.id, 10), "nonce": nonce, "otp": otp}
	v := url.Values{"h": {signature(a.key, q)}}
	for name, value := range q {
		v.Set(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/wsapi/2.0/verify?"+v.Encode()), nil)
	if err != nil {
		return "", err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return "", errSilent
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read only
	if err != nil {
		return "", errSilent
	}
	answer := parseAnswer(strings.NewReader(string(body)))
	h := answer["h"]
	delete(answer, "h")
	if status := answer["status"]; status == "BACKEND_ERROR" && hmac.Equal([]byte(h), []byte(signature(nil, answer))) {
		return status, nil // the server could not read the client's key either: reference validation-protocol.md §4
	}
	if !hmac.Equal([]byte(h), []byte(signature(a.key, answer))) || answer["otp"] != otp || answer["nonce"] != nonce {
		return "", fmt.Errorf("HTTP %d, wrong signature, OTP or nonce, status %s", res.StatusCode, answer["status"])
	}
	return answer["status"], nil
}
