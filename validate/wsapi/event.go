package wsapi

import (
	"context"
	"net/http"
	"time"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
)

// event is what one request to verify leaves for the Observer.
type event struct {
	start   time.Time
	id      string
	route   string
	source  string
	request request
	client  int64
	signed  bool // and the signature is right
	counted bool // Limit was asked
	limited bool
	result  validate.Result
	err     error
	noteErr error
}

// observe tells of a request. Of an OTP that nobody looked at, the public ID is told: it is still good. Source: reference
// validation-protocol.md §16.
func (h *Handler) observe(ctx context.Context, e *event, s status) {
	if h.Observer == nil {
		return
	}
	a := validate.Answered{
		Door: validate.DoorWSAPI, ID: e.id, Start: e.start, Source: e.source, Route: e.route, Status: http.StatusOK, Outcome: string(s),
		Client: e.client, Signed: e.signed, Limited: e.limited, Err: e.err, After: e.noteErr,
	}
	r := e.result
	if r.Reason == "" && len(e.request.readings) > 0 {
		r.PublicID = e.request.readings[0].PublicID
	}
	a.About(r)
	a.Took = h.Now().Sub(e.start)
	h.Observer.Answered(ctx, a)
}

// turnedAway tells of a request that was no question: another path or method.
func (h *Handler) turnedAway(w http.ResponseWriter, r *http.Request, status int) {
	if h.Observer == nil {
		return
	}
	now := h.Now()
	h.Observer.Answered(r.Context(), validate.Answered{
		Door: validate.DoorOther, ID: w.Header().Get(validate.RequestIDHeader), Start: now, Source: caller.Source(r.RemoteAddr), Status: status,
	})
}
