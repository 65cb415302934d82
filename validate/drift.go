package validate

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// What is believed about clocks. Sources: reference validation-protocol.md §15 rules 2, 3 and 7.
const (
	day         = 24 * time.Hour
	MaxWindow   = 10             // steps either way
	windowStep  = 30 * day       // without use, after which the window of a hardware token is a step wider
	learnPause  = 12 * time.Hour // between two single codes from which a clock is learned
	ratePeriod  = 30 * day       // between two measurements that give a rate; one step of 30 s is then one second a day
	maxRate     = 10 * time.Second
	maxRateDays = 3650 // for which a rate is extrapolated
)

// Offset is how many steps the token's clock is believed to be ahead of now: what was learned, and what it gained since.
func Offset(c token.Clock, period time.Duration, now time.Time) int64 {
	if c.At.IsZero() || !now.After(c.At) {
		return c.Drift
	}
	hours := min(int64(now.Sub(c.At)/time.Hour), maxRateDays*24)
	gained := int64(c.Rate/time.Millisecond) * hours / 24
	return c.Drift + gained/int64(period/time.Millisecond)
}

// Window is how many steps either way of the expected one are tried, for TOTP. A phone's clock is set by the network. That of
// a hardware token is not: its window is a step wider for each 30 days without use, and MaxWindow before its first use.
func Window(m token.Model, n token.Counters, now time.Time) int {
	switch {
	case m != token.Hardware:
		return 1
	case n.Moving < 0:
		return MaxWindow
	}
	return int(min(max(1, 1+now.Sub(n.At)/windowStep), MaxWindow))
}

// Learn is the clock after a code of step matched was accepted in a window of that size at now: it moves towards the step, as far
// as the window reaches, and not twice in 12 hours. So a token of which a code was found comes back into the normal window,
// and codes that somebody delays move it by a step at most.
func Learn(c token.Clock, period time.Duration, matched int64, window int, now time.Time) token.Clock {
	here := oath.Step(now, period)
	was := Offset(c, period, now)
	off := matched - here - was
	if off == 0 || !c.At.IsZero() && now.Sub(c.At) < learnPause {
		return c
	}
	reach := int64(window)
	return token.Clock{Drift: was + max(-reach, min(off, reach)), Rate: c.Rate, At: now}
}

// Measure is the clock after two consecutive codes, or one at issue, showed that the token is at step matched. Two
// measurements 30 days apart give the rate.
func Measure(c token.Clock, period time.Duration, matched int64, now time.Time) token.Clock {
	out := token.Clock{Drift: matched - oath.Step(now, period), Rate: c.Rate, At: now}
	if passed := now.Sub(c.At); !c.At.IsZero() && passed >= ratePeriod {
		gained := time.Duration(out.Drift-c.Drift) * period
		rate := (gained / time.Duration(passed/time.Hour) * 24).Round(time.Millisecond)
		out.Rate = max(-maxRate, min(rate, maxRate))
	}
	return out
}
