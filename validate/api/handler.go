// Package api answers programs in JSON: relying servers that have a code or an OTP checked, and the tools of staff.
//
// A relying server asks about one person and what that person typed:
//
//	POST /api/v1/verify
//	Authorization: Basic MzpzM2NyZXQ=
//	Content-Type: application/json
//
//	{"person":"ada","factor":"123456"}
//
//	{"result":"accepted","message":"The code is right.","type":"totp"}
//
// An operator sends the API token that `operator add` showed once, as Authorization: Bearer td_…, and may do what the roles behind
// it include: the table in routes.go says which right each address needs, drives the server and is what the test of all rights
// goes through. What is done there is the same verb of package desk as in the command line and the pages.
//
// /validate/check is the part of privacyIDEA's interface that its plugins use.
//
// Errors are problem documents: application/problem+json with status, code and message. No answer and no log line repeats what
// was typed. Requests with an Idempotency-Key are refused, because none is remembered.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// patience bounds how long one request waits, whether or not the client still does: a decision that has begun is finished. What is
// done after the answer has as long again.
const patience = 8 * time.Second

// proxied is how many times as many wrong API tokens may come from this machine, where a proxy may stand for all.
const proxied = 10

// Handler answers /api/ and /validate/check. Make it with New.
type Handler struct {
	Config
	mux     *http.ServeMux
	wrong   caller.Wrongs
	guesses diagnose.Guesses
	later   validate.Later

	patience time.Duration
}

// Config is what a Handler works with. All but Observer, the limits and Settle must be set.
type Config struct {
	Checker Checker
	Clients Clients
	Desk    Desk
	Doctor  Doctor
	Now     func() time.Time
	Rand    io.Reader // crypto/rand.Reader outside tests
	// Observer is told of every request; nil: none.
	Observer validate.Observer
	// Limit reports whether an address asks too often; nil: never.
	Limit func(source string) bool
	// ClientLimit reports whether a relying server asks too often, wherever it asks from; nil: never.
	ClientLimit func(c validate.Client) bool
	// Settle has the servers asked that a token was given to for what is wanted there, and does not wait for them; nil: there are none.
	// It is called after the answer.
	Settle func(id token.ID)
}

// New returns the handler. It is safe for concurrent use.
func New(c Config) *Handler {
	h := &Handler{Config: c, mux: http.NewServeMux(), wrong: caller.Wrongs{Local: proxied}, patience: patience}
	allow := make(map[string]string)
	for _, r := range routes() {
		h.mux.HandleFunc(r.method+" "+r.path, h.serve(r))
		if allow[r.path] != "" {
			allow[r.path] += ", "
		}
		allow[r.path] += r.method
	}
	for path, methods := range allow {
		h.mux.HandleFunc(path, h.serve(route{path: path, run: func(c *call) (any, error) {
			c.w.Header().Set("Allow", methods)
			return nil, errMethod
		}}))
	}
	h.mux.HandleFunc("/", h.serve(route{path: "/", run: func(*call) (any, error) { return nil, errNoSuchPath }}))
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// call is one request on its way.
type call struct {
	*Handler
	w        http.ResponseWriter
	r        *http.Request
	ctx      context.Context // with the actor, when an operator is known
	start    time.Time
	source   string            // the caller's address without port
	client   validate.Client   // of a relying server's request
	proven   bool              // client showed its key
	operator desk.Operator     // of a request of staff
	checked  *validate.Checked // of a decision, for the Observer
	support  string            // code of a denial or a failure, normalised
	failed   error             // beside the answer, for the log
	after    func(context.Context) error
}

// serve makes the handler of one route: limit, rights, the work, the answer, what is left to do, the log.
func (h *Handler) serve(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), h.patience)
		defer cancel()
		c := &call{Handler: h, w: w, r: req, ctx: ctx, start: h.Now(), source: caller.Source(req.RemoteAddr)}
		answer, err := c.run(r)
		status, code := c.answer(r, answer, err)
		if c.after == nil {
			c.observe(r, status, code, err)
			return
		}
		_ = http.NewResponseController(w).Flush()
		h.later.Do(func() { // neither the client nor its next request on the connection must feel what follows
			ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), h.patience)
			defer cancel()
			if err := c.after(ctx); err != nil {
				c.failed = err
			}
			c.observe(r, status, code, err)
		})
	}
}

// Wait returns when all is done that was left to do after answers: after the server was shut down, before the store is closed.
func (h *Handler) Wait() { h.later.Wait() }

// run does what the route is for, if the caller may.
func (c *call) run(r route) (any, error) {
	if c.Limit != nil && c.Limit(c.source) {
		return nil, errTooOften
	}
	if c.r.Header.Get("Idempotency-Key") != "" {
		return nil, errIdempotency
	}
	var err error
	switch r.who {
	case relying:
		err = c.knowClient()
	case staff:
		err = c.knowOperator(r.right)
	}
	if err == nil && r.who == relying && c.ClientLimit != nil && c.ClientLimit(c.client) {
		err = errTooOften
	}
	if err != nil {
		return nil, err
	}
	return r.run(c)
}

// answer sends it, and returns the status and, of a problem, the code.
func (c *call) answer(r route, v any, err error) (int, string) {
	if err != nil {
		return c.refuse(r, problemOf(err))
	}
	body, err := json.Marshal(v)
	if err != nil { // a secret in an answer, which a test would meet
		c.failed = err
		return c.refuse(r, problemOf(err))
	}
	send(c.w, http.StatusOK, "application/json", body)
	return http.StatusOK, ""
}

// refuse sends a problem. What failed here gets a support code, by which it is found in the log.
func (c *call) refuse(r route, p *problem) (int, string) {
	switch {
	case p.Status == http.StatusUnauthorized:
		c.w.Header().Set("WWW-Authenticate", r.who.challenge())
	case p.Status >= http.StatusInternalServerError:
		if err := c.drawSupport(); err != nil {
			c.failed = err
		}
		p.Support = token.ShowSpoken(c.support)
	}
	if r.problem != nil {
		send(c.w, p.Status, "application/json", r.problem(c, p))
	} else {
		p.write(c.w)
	}
	return p.Status, p.Code
}

// drawSupport draws the support code of the call. It is no secret: it is read out on the telephone.
func (c *call) drawSupport() error {
	drawn, err := token.NewSpoken(c.Rand, token.SupportLen)
	if err != nil {
		return fmt.Errorf("draw a support code: %w", err)
	}
	defer drawn.Destroy()
	c.support = string(drawn.Reveal())
	return nil
}

// send writes an answer that no cache keeps and no browser takes for something else.
func send(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away needs no answer
}
