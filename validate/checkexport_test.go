package validate

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// CountHMACs counts the codes that c computes. It is not safe for concurrent use.
func (c *Checker) CountHMACs(n *int) {
	match := c.match
	c.match = func(k Candidate, at time.Time, code string) (int64, Match) {
		if k.Kind == token.TOTP {
			*n += 2*Window(k.Model, k.Row.Counters, at) + 1
		} else {
			*n += HOTPWindow + 2
		}
		return match(k, at, code)
	}
}
