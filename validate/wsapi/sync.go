package wsapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Sync answers /wsapi/2.0/sync: the servers of a running yubikey-val pool tell which OTP one of them has accepted, while relying
// servers move from the pool to this one. This server is asked and never asks: what it accepts itself the pool learns only from
// its answers, so a relying server is moved as a whole.
//
//	GET /wsapi/2.0/sync?otp=vvccccccccc…&modified=1359470658&nonce=…&yk_publicname=vvccccccccc&yk_counter=2&yk_use=1&yk_high=4&yk_low=32729
//
// The counters rise to what is told and never fall; the answer has those from before. The caller's address is the only proof that
// there is. For a public ID that is not here nothing is made, and the answer is BACKEND_ERROR: the pool keeps the request in its queue
// and repeats it, so that nothing is lost if the key is imported later; after BAD_OTP it would not. Source: reference
// validation-protocol.md §10.
type Sync struct {
	Raiser   validate.Raiser
	From     []netip.Prefix // who is listened to; none: nobody
	Now      func() time.Time
	Observer validate.Observer // nil: none
}

// The bounds of what a sync says. Source: reference validation-protocol.md §2, §10.
const (
	maxPublicName = 16     // letters
	maxUse        = 0xffff // 16 bits at yubikey-val: with the flag that is no part of the counter
	useBits       = 0x7fff
	maxSession    = 0xff
	maxLow        = 0xffff
	maxHigh       = 0xff
	neverUsed     = -1
	noNonce       = "0000000000000000" // of a key that was never used
)

// ServeHTTP implements http.Handler.
func (s *Sync) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	told := arrived(validate.DoorSync, w, r, s.Now())
	whole := context.WithoutCancel(r.Context())
	defer func() { tell(whole, s.Observer, told, s.Now) }()
	if r.Method != http.MethodGet {
		told.Status = wrongMethod(w, "GET")
		return
	}
	ctx, cancel := context.WithTimeout(whole, patience)
	defer cancel()
	status, before := s.answer(ctx, r, &told)
	told.Outcome = string(status)
	list := append([]field{{"t", timestamp(told.Start)}}, before...)
	writeMessage(w, message(secret.Bytes{}, append(list, field{"status", string(status)})))
}

// answer checks in yubikey-val's order.
func (s *Sync) answer(ctx context.Context, r *http.Request, told *validate.Answered) (status, []field) {
	params, broken := parameters(r.URL.RawQuery)
	switch {
	case r.URL.RawQuery == "":
		return missingParameter, nil
	case !listed(s.From, told.Source):
		return operationNotAllowed, nil
	case broken:
		return missingParameter, nil
	}
	raise, sound := syncRaise(params, s.Now())
	if !sound {
		return missingParameter, nil
	}
	told.Signed = true
	raise.Source = told.Source
	name := params["yk_publicname"]
	id, err := token.ParsePublicID(name)
	if err != nil { // an odd number of letters
		told.Reason = validate.ReasonUnknown
		return backendError, nil
	}
	raise.PublicID, told.PublicID = id, id
	before, raised, err := s.Raiser.Raise(ctx, raise)
	switch {
	case errors.Is(err, token.ErrNotFound):
		told.Reason = validate.ReasonUnknown
		return backendError, nil
	case err != nil:
		told.Err = err
		return backendError, nil
	case raised:
		told.Reason = validate.ReasonElsewhere
	}
	told.Opened, told.Use, told.Session = true, raise.Use, raise.Session
	if !before.Enabled {
		return badOTP, nil
	}
	return ok, syncFields(before.Counters, name)
}

// syncFields are the counters as yubikey-val tells them.
func syncFields(n token.Counters, name string) []field {
	nonce, modified, high, low := n.Nonce, int64(neverUsed), neverUsed, neverUsed
	if n.Use != neverUsed {
		high, low = n.Timestamp>>16, n.Timestamp&maxLow
	}
	if !n.At.IsZero() {
		modified = n.At.Unix()
	}
	if nonce == "" {
		nonce = noNonce
	}
	return []field{
		{"modified", strconv.FormatInt(modified, 10)}, {"nonce", nonce}, {"yk_publicname", name}, {"yk_counter", strconv.Itoa(n.Use)},
		{"yk_use", strconv.Itoa(n.Session)}, {"yk_high", strconv.Itoa(high)}, {"yk_low", strconv.Itoa(low)},
	}
}

// listed reports whether an address is in the list. An empty list has nobody.
func listed(list []netip.Prefix, source string) bool {
	return len(list) > 0 && validate.Client{Networks: list}.AllowsSource(source)
}

// syncRaise reads the parameters; false if one is absent or malformed.
func syncRaise(params map[string]string, now time.Time) (validate.Raise, bool) {
	var r validate.Raise
	name, otp := params["yk_publicname"], params["otp"]
	if name == "" || len(name) > maxPublicName || !isModHex(name) || len(otp) < minOTP || len(otp) > maxOTP || !isModHex(otp) || !nonceForm(params["nonce"]) {
		return r, false
	}
	modified, err := strconv.ParseUint(params["modified"], 10, 62)
	if err != nil {
		return r, false
	}
	var high, low int
	for _, f := range []struct {
		name string
		most int
		to   *int
	}{{"yk_counter", maxUse, &r.Use}, {"yk_use", maxSession, &r.Session}, {"yk_high", maxHigh, &high}, {"yk_low", maxLow, &low}} {
		if *f.to, err = syncNumber(params[f.name], f.most); err != nil {
			return r, false
		}
	}
	switch {
	case r.Use == neverUsed != (r.Session == neverUsed): // half of the counters says nothing
		return r, false
	case r.Use != neverUsed:
		r.Use &= useBits
	}
	r.Timestamp = max(high, 0)<<16 | max(low, 0)
	r.Nonce, r.At = params["nonce"], time.Unix(int64(min(modified, uint64(now.Unix()))), 0).UTC()
	return r, true
}

// syncNumber reads -1 or a decimal number without sign.
func syncNumber(s string, most int) (int, error) {
	if s == strconv.Itoa(neverUsed) {
		return neverUsed, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err == nil && int(n) > most {
		err = strconv.ErrRange
	}
	return int(n), err
}
