package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// factorClient is a relying server that uses the JSON API. It is safe for concurrent use, and shares no code with package api.
type factorClient struct {
	relying
	http *http.Client
}

func (r *rig) factorClient(name string) *factorClient {
	r.t.Helper()
	connections := &http.Transport{MaxIdleConnsPerHost: 64}
	r.t.Cleanup(connections.CloseIdleConnections)
	return &factorClient{r.client(name), &http.Client{Transport: connections}}
}

// decision is an answer of POST /api/v1/verify, with the body as it came but for the support code, which no two answers share.
type decision struct {
	Result  string
	Type    string
	Support string `json:"support_code"`
	Left    *int   `json:"codes_left"`
	Browser string // the value of a browser that is trusted from now on
	status  int
	header  http.Header
	body    string
}

func (d decision) accepted() bool { return d.Result == "accepted" }

// verify asks about what a person typed.
func (c *factorClient) verify(ctx context.Context, s *server, account, factor string) (decision, error) {
	return c.ask(ctx, s, map[string]any{"person": account, "factor": factor})
}

// ask asks any question. The error is errSilent, or says what is wrong with the answer.
func (c *factorClient) ask(ctx context.Context, s *server, fields map[string]any) (decision, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	question, err := json.Marshal(fields)
	if err != nil {
		return decision{}, err
	}
	for {
		start := time.Now()
		d, err := c.post(ctx, s, question)
		if err != nil || d.status != http.StatusServiceUnavailable || time.Since(start) < serverPatience {
			return d, err
		}
	}
}

func (c *factorClient) post(ctx context.Context, s *server, question []byte) (decision, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/api/v1/verify", bytes.NewReader(question))
	if err != nil {
		return decision{}, err
	}
	req.SetBasicAuth(strconv.FormatInt(c.id, 10), c.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return decision{}, errSilent
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read only
	if err != nil {
		return decision{}, errSilent
	}
	d := decision{status: res.StatusCode, header: res.Header}
	if err := json.Unmarshal(body, &d); err != nil {
		return d, fmt.Errorf("HTTP %d without JSON", res.StatusCode)
	}
	if d.body = string(body); d.Support != "" {
		d.body = strings.ReplaceAll(d.body, d.Support, "SUPPORT")
	}
	if res.StatusCode == http.StatusOK && d.Result != "accepted" && d.Result != "denied" {
		return d, fmt.Errorf("result %q", d.Result)
	}
	return d, nil
}

// expect asks and fails the test unless the answer is as wanted.
func (c *factorClient) expect(t *testing.T, s *server, what, account, factor string, accepted bool) decision {
	t.Helper()
	return c.expectOf(t, s, what, map[string]any{"person": account, "factor": factor}, accepted)
}

// expectOf is expect of any question.
func (c *factorClient) expectOf(t *testing.T, s *server, what string, fields map[string]any, accepted bool) decision {
	t.Helper()
	d, err := c.ask(t.Context(), s, fields)
	if err != nil || d.status != http.StatusOK {
		t.Fatalf("%s: HTTP %d %s, %v", what, d.status, d.body, err)
	}
	if d.accepted() != accepted {
		t.Errorf("%s: %s, want accepted: %v", what, d.body, accepted)
	}
	return d
}
