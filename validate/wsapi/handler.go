// Package wsapi answers the Yubico validation protocol, version 2.0 and, where asked for, 1.0 and 1.1.
//
// A relying server sends an OTP and a nonce, perhaps signed; the answer is a status, signed with the key that the two
// share:
//
//	GET /wsapi/2.0/verify?id=1&otp=vvccccccccc…&nonce=askjdnkajsndjkasndkjsnad
//
//	h=2qKAahCrHB6EZevi/D8pq7dgvQ8=
//	t=2024-05-06T07:08:09Z0123
//	otp=vvccccccccc…
//	nonce=askjdnkajsndjkasndkjsnad
//	sl=0
//	status=OK
//
// Where the known servers are wrong or silent the rules marked [own] of reference validation-protocol.md hold: the client is
// looked up first, so that every answer to a known client is signed with its key; the OTP is echoed as it was received.
package wsapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
)

// patience bounds how long one request waits, whether or not the client still does: a decision that has begun is finished. It must
// be shorter than the WriteTimeout of the http.Server, after which no answer is sent.
const patience = 8 * time.Second

// Handler answers /wsapi/2.0/verify. Verifier, Clients and Now must be set. It is safe for concurrent use.
type Handler struct {
	Verifier *validate.Verifier
	Clients  validate.Clients
	Now      func() time.Time
	Observer validate.Observer // nil: none
	Allow1x  bool              // also answer versions 1.0 and 1.1, whose answers are bound to no OTP
	// Limit reports whether a proven client asks too often; nil: never.
	Limit func(c validate.Client, source string) bool

	later validate.Later
}

// Wait returns when everything is noted that was answered: after the server was shut down, before the store is closed.
func (h *Handler) Wait() { h.later.Wait() }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v, found := h.version(r.URL.Path)
	switch {
	case !found:
		http.NotFound(w, r)
		h.turnedAway(w, r, http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
		h.turnedAway(w, r, http.StatusMethodNotAllowed)
		return
	}
	whole := context.WithoutCancel(r.Context())
	ctx, cancel := context.WithTimeout(whole, patience)
	defer cancel()
	e := event{start: h.Now(), id: w.Header().Get(validate.RequestIDHeader), route: r.URL.Path, source: caller.Source(r.RemoteAddr)}
	text, read := paramText(r)
	e.request = parse(v, text, h.Verifier.Layouts)
	e.request.broken = e.request.broken || !read
	a := h.answer(ctx, &e)
	a.write(w)
	_ = http.NewResponseController(w).Flush()
	h.later.Do(func() { // neither the client nor its next request on the connection must feel the note
		ctx, cancel := context.WithTimeout(whole, patience)
		defer cancel()
		e.noteErr = h.Verifier.Note(ctx, e.result)
		h.observe(ctx, &e, a.status)
	})
}

// version reads the path. Source: reference validation-protocol.md §1.
func (h *Handler) version(path string) (version, bool) {
	switch path {
	case "/wsapi/2.0/verify":
		return v2, true
	case "/wsapi/verify", "/wsapi/1.0/verify", "/wsapi/1.1/verify":
		return v1, h.Allow1x
	}
	return 0, false
}

// answer accepts on what the store keeps in memory, if that is enough; everything else is decided on what is read anew.
func (h *Handler) answer(ctx context.Context, e *event) answer {
	if c, g := h.kept(e.request); g != 0 {
		if a := h.decide(ctx, e, c, g); a.status == ok || e.err != nil {
			return a
		}
	}
	var c validate.Client
	c, e.err = h.client(ctx, e.request)
	return h.decide(ctx, e, c, 0)
}

// decide judges form, client, signature, rights, throttle, OTP. Nothing is spent before the client is proven, and every answer to a
// known client is signed with its key. With a client that was kept, nothing but ok is final. Source: reference
// validation-protocol.md §17.
func (h *Handler) decide(ctx context.Context, e *event, c validate.Client, kept validate.Generation) answer {
	q := e.request
	a := answer{at: e.start, status: q.fault()}
	e.client = c.ID
	key, right := proof(c, q)
	e.signed = right && q.params["h"] != ""
	if c.Active {
		a.key = key
		if q.echoes() {
			a.otp, a.nonce = q.otp, q.nonce()
		}
	}
	switch {
	case a.status != "":
	case e.err != nil:
		a.status = backendError
	case !c.Active:
		a.status = noSuchClient
	case !right:
		a.status = badSignature
	case !c.AllowsSource(e.source):
		a.status = operationNotAllowed
	case h.limits(e, c):
		a.status = backendError
	default:
		h.verify(ctx, e, c.Groups, kept, &a)
	}
	return a
}

// limits asks Limit once for each request.
func (h *Handler) limits(e *event, c validate.Client) bool {
	if !e.counted && h.Limit != nil {
		e.counted, e.limited = true, h.Limit(c, e.source)
	}
	return e.limited
}

// kept is the client of the request, if the store keeps it in memory; otherwise the generation is 0.
func (h *Handler) kept(q request) (validate.Client, validate.Generation) {
	id, known := q.client()
	keeper, keeps := h.Clients.(validate.Keeper)
	if !known || !keeps {
		return validate.Client{}, 0
	}
	return keeper.KeptClient(id)
}

// client finds the client of the request; the zero Client, which is not active, if there is none.
func (h *Handler) client(ctx context.Context, q request) (validate.Client, error) {
	id, ok := q.client()
	if !ok {
		return validate.Client{}, nil
	}
	c, err := h.Clients.Client(ctx, id)
	if errors.Is(err, token.ErrNotFound) {
		return validate.Client{}, nil
	}
	return c, err
}

// proof reports whether the signature is right, or absent where it may be, and with which key the answer is signed: the one that
// the request was signed with. A request that says nothing about that is answered with the oldest key that is still valid: a
// client that is between two keys has the former until somebody has put the new one into its configuration, and a client that
// signs nothing is the one that nobody has touched.
func proof(c validate.Client, q request) (key secret.Bytes, right bool) {
	if len(c.Keys) == 0 {
		return secret.Bytes{}, false
	}
	key = c.Keys[len(c.Keys)-1]
	h := q.params["h"]
	if h == "" {
		return key, !c.MustSig
	}
	for _, k := range c.Keys { // all of them, so that the time does not tell which
		if signed(k, q.params, h) {
			key, right = k, true
		}
	}
	return key, right
}

// verify asks the Verifier and puts what it says into the answer.
func (h *Handler) verify(ctx context.Context, e *event, groups []string, kept validate.Generation, a *answer) {
	q := e.request
	verify := h.Verifier.Verify
	if kept != 0 {
		verify = h.Verifier.VerifyKept
	}
	r, err := verify(ctx, validate.Request{
		OTP: q.otp, Nonce: q.nonce(), Client: e.client, Source: e.source, Signed: q.params["h"] != "", Groups: groups, Kept: kept,
	})
	e.result = r
	if err != nil {
		e.err, a.status = err, backendError
		return
	}
	a.status = status(r.Outcome)
	if r.Reason == validate.ReasonNotAllowed {
		a.status = operationNotAllowed
	}
	if a.status != ok {
		return
	}
	a.sl = q.version == v2
	if q.wantsCounters() {
		a.counters = &r.OTP
	}
}
