package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	requestTime = 15 * time.Second
	maxAnswer   = 1 << 20 // bytes
	maxToken    = 16 << 10
)

// Web sends requests to one server and signs in when it must. One goroutine uses it at a time.
type Web struct {
	Server    string // its name in errors
	Base      *url.URL
	Transport http.RoundTripper // nil: http.DefaultTransport
	// Login signs in, with Send. It is called before the first request, and once more when the server answers 401.
	Login func(ctx context.Context) (Grant, error)

	grant *Grant
}

// Grant is what signing in gave: it goes into each request.
type Grant struct {
	Header http.Header
	Form   url.Values // added to each body that is a form
}

// Call is one request. Its body is JSON or Form, whichever is not nil; secrets are in nothing else.
type Call struct {
	Method string
	Path   string // below Base; what it is made of is escaped
	Query  url.Values
	Header http.Header
	JSON   any
	Form   url.Values
}

// Answer is the whole of a response below 500 that is no redirection.
type Answer struct {
	Status  int
	Body    []byte
	Cookies []*http.Cookie
}

// Do sends a request signed in.
func (w *Web) Do(ctx context.Context, c Call) (Answer, error) {
	for range 2 {
		if w.grant == nil {
			g, err := w.Login(ctx)
			if err != nil {
				return Answer{}, err
			}
			w.grant = &g
		}
		a, err := w.Send(ctx, c, *w.grant)
		if err != nil || a.Status != http.StatusUnauthorized {
			return a, err
		}
		w.grant = nil // it ran out
	}
	return Answer{}, &AuthError{w.Server, "it asks again at once"}
}

// Send sends a request with what g adds. The errors are *UnreachableError, *RefusedError for a redirection, and ctx's.
func (w *Web) Send(ctx context.Context, c Call, g Grant) (Answer, error) {
	limited, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	body, err := c.body(g)
	if err != nil {
		return Answer{}, &RefusedError{w.Server, "", "the request cannot be written"}
	}
	r, err := w.request(limited, c, g, body)
	if err != nil {
		return Answer{}, &RefusedError{w.Server, "url", "no request can be made of it"}
	}
	client := http.Client{Transport: w.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return Answer{}, w.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	out := Answer{Status: resp.StatusCode, Cookies: resp.Cookies()}
	switch s := resp.StatusCode; {
	case s >= 300 && s < 400:
		return Answer{}, &RefusedError{w.Server, "url", fmt.Sprintf("it redirects (%d), which is not followed", s)}
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests, s >= 500:
		return Answer{}, &UnreachableError{w.Server, fmt.Sprintf("it answered %d", s)}
	}
	out.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, w.unreachable(ctx, err)
	}
	if len(out.Body) > maxAnswer {
		return Answer{}, &UnreachableError{w.Server, "its answer is too long"}
	}
	return out, nil
}

func (w *Web) unreachable(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil {
		return fmt.Errorf("%s: %w", w.Server, e)
	}
	return &UnreachableError{w.Server, broken(err)}
}

func (c Call) body(g Grant) ([]byte, error) {
	switch {
	case c.JSON != nil:
		return json.Marshal(c.JSON)
	case c.Form != nil:
		all := url.Values{}
		for _, part := range []url.Values{c.Form, g.Form} {
			for k, v := range part {
				all[k] = v
			}
		}
		return []byte(all.Encode()), nil
	}
	return nil, nil
}

func (w *Web) request(ctx context.Context, c Call, g Grant, body []byte) (*http.Request, error) {
	u := w.Base.JoinPath(c.Path)
	u.RawQuery = c.Query.Encode()
	r, err := http.NewRequestWithContext(ctx, c.Method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, part := range []http.Header{g.Header, c.Header} {
		for k, v := range part {
			r.Header[k] = v
		}
	}
	r.Header.Set("Accept", "application/json")
	if c.JSON != nil {
		r.Header.Set("Content-Type", "application/json")
	} else if c.Form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r, nil
}

// Decode reads a JSON answer. What is none is an *UnreachableError below 400, since something else than the server answered, and a
// *RefusedError from there on.
func (w *Web) Decode(a Answer, into any) error {
	if json.Unmarshal(a.Body, into) == nil {
		return nil
	}
	return w.Strange(a)
}

// Strange is the error of an answer that is not this server's.
func (w *Web) Strange(a Answer) error {
	if a.Status >= 400 {
		return &RefusedError{w.Server, "", fmt.Sprintf("it answered %d", a.Status)}
	}
	return &UnreachableError{w.Server, "its answer is not one of this kind of server"}
}

// ParseURL reads a server's URL: https, or http to this machine only; no user, query or fragment.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, errors.New("url: write it as https://host/path")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("url: has a user, a query or a fragment")
	case u.Scheme == "http" && loopback(u.Hostname()), u.Scheme == "https":
		return u, nil
	}
	return nil, errors.New("url: keys are sent over https only")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Sendable reports whether a token or password may stand in a header: visible ASCII characters, not too many.
func Sendable(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
