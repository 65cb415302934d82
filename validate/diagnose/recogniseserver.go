package diagnose

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/validate"
)

// The recognisers of servers and clients, and the words of all.

// maxBehind is from when on a clock that is behind the store's newest event is called unhealthy.
const maxBehind = 5 * time.Second

func serverClock(e *Evidence) sign {
	if e.Health.Clock <= maxBehind {
		return sign{}
	}
	return sign{evidence: "the server's clock is " + duration(e.Health.Clock) + " behind the newest event of the store"}
}

func client(e *Evidence) sign {
	switch {
	case e.Status == "BACKEND_ERROR" || e.Status == "NOT_ENOUGH_ANSWERS":
	case e.Status != "" && e.Status != "OK" && e.Status != string(validate.BadOTP) && !strings.HasPrefix(e.Status, "REPLAYED"):
		return sign{evidence: "the request was refused with " + word(e.Status)}
	case e.Reason == validate.ReasonNotAllowed || e.Reason == validate.ReasonBudget:
		return sign{evidence: string(e.Reason)}
	}
	return sign{}
}

// word is a status of a protocol, or nothing that somebody else wrote.
func word(s string) string {
	if len(s) > 30 || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return "an unknown status"
	}
	return s
}

func server(e *Evidence) sign {
	switch {
	case e.Health.ReadOnly:
		return sign{evidence: "nothing can be written to the store"}
	case e.Status == "BACKEND_ERROR" || e.Status == "NOT_ENOUGH_ANSWERS":
		return sign{evidence: "the server answered " + e.Status}
	}
	return sign{}
}

// when is a time in a line of evidence.
func when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05 MST")
}

// offset is how far a clock is off, in words.
func offset(d time.Duration) string {
	if d < 0 {
		return duration(-d) + " behind"
	}
	return duration(d) + " ahead"
}

// duration is like "4 min 30 s".
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.size
		}
	}
	if parts == nil {
		return "0 s"
	}
	return strings.Join(parts, " ")
}
