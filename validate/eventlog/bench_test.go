package eventlog_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/eventlog"
)

// BenchmarkLine is what one line of the log costs a request, without the writing of it.
func BenchmarkLine(b *testing.B) {
	l := eventlog.New(slog.New(slog.NewTextHandler(io.Discard, nil)))
	a := validate.Answered{
		Door: validate.DoorWSAPI, ID: "0123abcd-1z", Start: start, Took: time.Millisecond, Source: "192.0.2.1", Route: "/wsapi/2.0/verify", Status: 200, Outcome: "OK",
		Reason: validate.ReasonAccepted, Client: 1, Signed: true, Token: 7, PublicID: publicID(b, "vvccccccccce"), Opened: true, Use: 5, Session: 1,
	}
	for b.Loop() {
		l.Answered(b.Context(), a)
	}
}
