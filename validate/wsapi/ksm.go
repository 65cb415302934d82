package wsapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// KSM answers /wsapi/decrypt: what an OTP says, for another server that decides about it, such as yubikey-val.
//
//	GET /wsapi/decrypt?id=1&otp=vvccccccccc…&h=…
//
//	OK counter=0001 low=03e8 high=00 use=00
//
// It decides nothing and changes no counter: asked again it says the same, so whoever may ask learns the counters of any OTP and which
// public IDs exist. Three kinds of callers may: a client with the right to decrypt, whose id and h are as in
// /wsapi/2.0/verify, h not optional; who has a TLS certificate that this server asked for and verified; and, if Loopback is set, any
// process of this machine. Source: reference validation-protocol.md §12.
//
// The counter has 15 bits: the flag in bit 15, which old keys set with Caps Lock, would lock the key out at yubikey-val.
type KSM struct {
	Verifier *validate.Verifier
	Clients  validate.Clients
	Now      func() time.Time
	Observer validate.Observer // nil: none
	Loopback bool              // whoever asks from this machine for localhost or a loopback address may; never what was forwarded
	// Limit reports whether somebody who may ask does so too often; the zero Client has no number. nil: never.
	Limit func(c validate.Client, source string) bool
}

// The answers of a KSM. The first five are yubikey-ksm's own, with HTTP status 200; the others begin as those do.
const (
	ksmOK        = "OK"
	ksmNoOTP     = "ERR No OTP provided"
	ksmForm      = "ERR Invalid OTP format"
	ksmUnknown   = "ERR Unknown yubikey"
	ksmCorrupt   = "ERR Corrupt OTP"
	ksmDatabase  = "ERR Database error"
	ksmForbidden = "ERR Not allowed"
	ksmTooOften  = "ERR Too many requests"
)

// question is one request to a KSM.
type question struct {
	params   map[string]string
	broken   bool
	client   validate.Client
	result   validate.Result
	answered validate.Answered
}

// ServeHTTP implements http.Handler.
func (k *KSM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := question{answered: arrived(validate.DoorKSM, w, r, k.Now())}
	whole := context.WithoutCancel(r.Context())
	defer func() { tell(whole, k.Observer, q.answered, k.Now) }()
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		q.answered.Status = wrongMethod(w, "GET, POST")
		return
	}
	ctx, cancel := context.WithTimeout(whole, patience)
	defer cancel()
	text, read := paramText(r)
	q.params, q.broken = parameters(text)
	q.broken = q.broken || !read
	line := k.answer(ctx, r, &q)
	q.answered.Outcome = line
	if q.result.Opened {
		q.answered.Outcome = ksmOK // what the OTP says is nobody else's
	}
	switch line {
	case ksmForbidden:
		q.answered.Status = http.StatusForbidden
	case ksmTooOften:
		q.answered.Status = http.StatusTooManyRequests
	}
	writeLine(w, q.answered.Status, line)
	q.result.Opened = false
	q.answered.About(q.result)
}

// arrived is a request as an Observer is told of it.
func arrived(d validate.Door, w http.ResponseWriter, r *http.Request, now time.Time) validate.Answered {
	return validate.Answered{
		Door: d, ID: w.Header().Get(validate.RequestIDHeader), Start: now, Source: caller.Source(r.RemoteAddr), Route: r.URL.Path, Status: http.StatusOK,
	}
}

// tell tells it, if there is somebody to tell.
func tell(ctx context.Context, o validate.Observer, a validate.Answered, now func() time.Time) {
	if o != nil {
		a.Took = now().Sub(a.Start)
		o.Answered(ctx, a)
	}
}

// wrongMethod answers a request by another method than those allowed, and returns the status.
func wrongMethod(w http.ResponseWriter, allowed string) int {
	w.Header().Set("Allow", allowed)
	http.Error(w, "allowed: "+allowed, http.StatusMethodNotAllowed)
	return http.StatusMethodNotAllowed
}

// parameters are those of a query or a form; of a name that came twice, nothing.
func parameters(text string) (params map[string]string, broken bool) {
	params = make(map[string]string)
	if len(text) > maxText {
		return params, true
	}
	values, err := url.ParseQuery(text)
	broken = err != nil
	for name, all := range values {
		if len(all) == 1 {
			params[name] = all[0]
		} else {
			broken = true
		}
	}
	return params, broken
}

// writeLine sends a line of plain text.
func writeLine(w http.ResponseWriter, status int, line string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(line)+1))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n")) // a client that went away needs no answer
}

func (k *KSM) answer(ctx context.Context, r *http.Request, q *question) string {
	switch may, err := k.allowed(ctx, r, q); {
	case err != nil:
		q.answered.Err = err
		return ksmDatabase
	case !may:
		return ksmForbidden
	case k.Limit != nil && k.Limit(q.client, q.answered.Source):
		q.answered.Limited = true
		return ksmTooOften
	}
	otp := q.params["otp"]
	switch {
	case !q.broken && otp == "":
		return ksmNoOTP
	case q.broken, len(otp) < minOTP, len(otp) > maxOTP, !isModHex(otp):
		return ksmForm
	}
	readings := validate.Readings(otp) // of lower-case ModHex the first is as typed
	if len(readings) == 0 {            // an odd number of letters
		return ksmUnknown
	}
	q.result, q.answered.Err = k.Verifier.Open(ctx, readings[0], q.client.Groups)
	switch o := q.result.OTP; {
	case q.answered.Err != nil:
		return ksmDatabase
	case q.result.Opened:
		return fmt.Sprintf(ksmOK+" counter=%04x low=%04x high=%02x use=%02x", o.UseCounter, o.Timestamp&0xffff, o.Timestamp>>16, o.SessionCounter)
	case q.result.Reason == validate.ReasonCRC, q.result.Reason == validate.ReasonPrivateID:
		return ksmCorrupt
	}
	return ksmUnknown
}

// isModHex reports whether s has nothing but lower-case ModHex letters.
func isModHex(s string) bool { return strings.Trim(s, modhex.Alphabet) == "" }

// allowed reports whether the caller may ask.
func (k *KSM) allowed(ctx context.Context, r *http.Request, q *question) (bool, error) {
	switch {
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && !forwarded(r): // a proxy's certificate says nothing about who asks it
		q.answered.Signed = true
		return true, nil
	case q.params["id"] != "":
		return k.proven(ctx, q)
	}
	ip, err := netip.ParseAddr(q.answered.Source)
	local := q.answered.Source == caller.Local || err == nil && ip.IsLoopback()
	return k.Loopback && local && !forwarded(r) && forLoopback(r), nil
}

// forwarded reports whether a proxy says that it asks for somebody else.
func forwarded(r *http.Request) bool {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || name == "Forwarded" || name == "X-Real-Ip" || name == "Via" {
			return true
		}
	}
	return false
}

// forLoopback reports whether the request is for this machine by a name that it has only here. A proxy that says nothing passes on
// the name that was asked for, and so does a browser whose page made a name lead here.
func forLoopback(r *http.Request) bool {
	name := (&url.URL{Host: r.Host}).Hostname()
	ip, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// proven reports whether a client with the right to decrypt has signed.
func (k *KSM) proven(ctx context.Context, q *question) (bool, error) {
	asked := request{params: q.params}
	id, ok := asked.client()
	if !ok || q.broken {
		return false, nil
	}
	c, err := k.Clients.Client(ctx, id)
	if errors.Is(err, token.ErrNotFound) {
		return false, nil
	}
	if err != nil || !c.Active {
		return false, err
	}
	c.MustSig = true
	if _, right := proof(c, asked); !right {
		return false, nil
	}
	q.client, q.answered.Client, q.answered.Signed = c, c.ID, true
	return c.Decrypt && c.AllowsSource(q.answered.Source), nil
}
