package metrics_test

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/metrics"
)

// BenchmarkAnswered is what counting costs a request.
func BenchmarkAnswered(b *testing.B) {
	m := metrics.New("v", "r")
	a := validate.Answered{Door: validate.DoorWSAPI, Status: 200, Outcome: "OK", Reason: validate.ReasonAccepted, Took: time.Millisecond}
	for b.Loop() {
		m.Answered(b.Context(), a)
	}
}
