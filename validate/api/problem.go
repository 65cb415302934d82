package api

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// problem is an answer that is not what was asked for: a problem document, RFC 9457 with members of our own. It never holds
// text that came in.
type problem struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`    // stable, for programs
	Message string `json:"message"` // one sentence, for people
	Support string `json:"support_code,omitempty"`
	cause   error  // for the log
}

func (p *problem) Error() string { return p.Code }
func (p *problem) Unwrap() error { return p.cause }

func refuse(status int, code, message string) *problem {
	return &problem{Status: status, Code: code, Message: message}
}

// The problems that have no error behind them.
var (
	errNoSuchPath   = refuse(http.StatusNotFound, "no_such_path", "There is nothing at this address.")
	errMethod       = refuse(http.StatusMethodNotAllowed, "method_not_allowed", "This address takes other methods: see Allow.")
	errIdempotency  = refuse(http.StatusBadRequest, "idempotency_key_unsupported", "Requests are not remembered: send none with Idempotency-Key.")
	errContentType  = refuse(http.StatusUnsupportedMediaType, "content_type", "The body must be of the type application/json.")
	errTooLarge     = refuse(http.StatusRequestEntityTooLarge, "too_large", "The body is longer than 16 KiB.")
	errBody         = refuse(http.StatusBadRequest, "bad_body", "The body is not one JSON object of the fields that this address takes.")
	errFormType     = refuse(http.StatusUnsupportedMediaType, "content_type", "The body must be a form or application/json.")
	errForm         = refuse(http.StatusBadRequest, "bad_body", "The body is not a form with user or serial, and pass.")
	errQuery        = refuse(http.StatusBadRequest, "bad_query", "The query has parameters that this address does not take.")
	errUnknown      = refuse(http.StatusUnauthorized, "unknown_client", "No relying server is known by this key or from this address.")
	errNoToken      = refuse(http.StatusUnauthorized, "unknown_operator", "An operator's API token is needed: Authorization: Bearer td_…")
	errNoRight      = refuse(http.StatusForbidden, "no_right", "The operator's roles do not include this.")
	errTooOften     = refuse(http.StatusTooManyRequests, "too_often", "This address asks too often.")
	errWrongTokens  = refuse(http.StatusTooManyRequests, "too_many_wrong_tokens", "This address sent too many wrong API tokens: wait a minute.")
	errGuesses      = refuse(http.StatusTooManyRequests, "too_many_codes", "Too many codes were looked at for you: ask for support codes, or wait an hour.")
	errPersonSerial = refuse(http.StatusBadRequest, "person_or_serial", "Name either a person or a serial.")
	errNotFound     = refuse(http.StatusNotFound, "not_found", "There is none of that name or number.")
	errUsesOTP      = refuse(http.StatusBadRequest, "otp_in_url", "A one-time password belongs in a body: POST /api/v1/search.")
)

// fieldNames are the names here of what the verbs call otherwise.
var fieldNames = map[string]string{"id-check": "id_check", "valid": "valid_seconds", "period": "period_seconds", "query": "q"}

// problemOf says what an error means to the caller. What is not listed is a failure of ours, of which the log tells more.
func problemOf(err error) *problem {
	var p *problem
	var text *desk.TextError
	var state *token.TransitionError
	var locked *desk.LockedError
	var undo *desk.UndoError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &text):
		named := *text
		named.Field = cmp.Or(fieldNames[text.Field], text.Field)
		p = refuse(http.StatusBadRequest, "bad_field", named.Error()+".")
	case errors.As(err, &state):
		p = refuse(http.StatusConflict, "impossible_now", state.Error()+".")
	case errors.As(err, &locked):
		p = refuse(http.StatusTooManyRequests, "locked", locked.Error()+".")
	case errors.As(err, &undo):
		p = refuse(http.StatusConflict, "impossible_now", undo.Error()+".")
	case errors.Is(err, desk.ErrHeld):
		p = refuse(http.StatusConflict, "held", "Somebody else holds the token.")
	case errors.Is(err, desk.ErrReason):
		p = refuse(http.StatusBadRequest, "bad_field", err.Error()+".")
	case errors.Is(err, token.ErrNotFound):
		p = errNotFound
	case errors.Is(err, token.ErrDuplicate):
		p = refuse(http.StatusConflict, "exists", "It exists already.")
	case errors.Is(err, token.ErrConflict), errors.Is(err, token.ErrUnsettled), errors.Is(err, validate.ErrContended):
		p = refuse(http.StatusConflict, "conflict", "Something else is changing it: try again.")
	default:
		p = refuse(http.StatusServiceUnavailable, "unavailable", "The server cannot do this now: try again.")
	}
	with := *p
	with.cause = err
	return &with
}

// write sends the problem.
func (p *problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and a number
	}
	send(w, p.Status, "application/problem+json", body)
}
