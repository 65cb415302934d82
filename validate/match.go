package validate

import (
	"crypto/subtle"
	"math"
	"time"

	"github.com/tokendesk/tokendesk/validate/oath"
)

// HOTPWindow is how far ahead of the next moving factor a code is looked for. Source: reference validation-protocol.md §15 rule 1.
const HOTPWindow = 10

// How far two consecutive codes are looked for. Source: reference validation-protocol.md §15 rule 4.
const (
	ResyncWindow = 1000 // HOTP, ahead
	ResyncTime   = day  // TOTP, either way
)

// Match says what a code is to a credential.
type Match string

// The matches. A code that is Spent is never Fresh, even if a step ahead has the same digits: no text counts twice.
const (
	NoMatch Match = "none"
	Fresh   Match = "fresh" // past everything accepted or seen
	Spent   Match = "spent" // that of the last one, or of one before it within the window
)

// MatchHOTP looks for a code from the moving factor after the stored one to window further, and compares with the stored one's. Of
// several that fit, the last is taken.
func MatchHOTP(g oath.Generator, row Row, window int, code string) (moving int64, how Match) {
	next := row.Counters.Moving + 1
	return find(g, code, next-1, next+int64(window), row.Counters.Moving)
}

// MatchTOTP looks for a code window steps either way of the one that the token is believed to show now. Steps up to the stored
// one are Spent.
func MatchTOTP(g oath.Generator, row Row, period time.Duration, window int, now time.Time, code string) (moving int64, how Match) {
	n := row.Counters
	expected := oath.Step(now, period) + Offset(n.Clock, period, now)
	return find(g, code, expected-int64(window), expected+int64(window), n.Moving)
}

// last is the highest moving factor that is looked at, so that counting ends: a damaged or hostile counter may be next to the largest.
const last = math.MaxInt64 - 1

// find computes all codes from low to high and compares in constant time.
func find(g oath.Generator, code string, low, high, stored int64) (moving int64, how Match) {
	fresh, spent := int64(-1), false
	high = min(high, last)
	for m := max(0, low); m <= high; m++ {
		same := subtle.ConstantTimeCompare([]byte(g.Code(m)), []byte(code)) == 1
		switch {
		case same && m > stored:
			fresh = m
		case same:
			spent = true
		}
	}
	switch {
	case spent:
		return stored, Spent
	case fresh >= 0:
		return fresh, Fresh
	}
	return stored, NoMatch
}

// MatchPairHOTP looks for two consecutive codes up to ResyncWindow ahead; moving is that of the second.
func MatchPairHOTP(g oath.Generator, row Row, first, second string) (moving int64, how Match) {
	low := row.Counters.Moving + 1
	return findPair(g, first, second, low, low+ResyncWindow)
}

// MatchPairTOTP looks for two consecutive codes of up to a day either way of now, past the stored step; moving is the step of the second.
func MatchPairTOTP(g oath.Generator, row Row, period time.Duration, now time.Time, first, second string) (moving int64, how Match) {
	here, reach := oath.Step(now, period), int64(ResyncTime/period)
	return findPair(g, first, second, max(row.Counters.Moving+1, here-reach), here+reach)
}

// findPair looks for the first code from low to high. Two codes that are the same show nothing.
func findPair(g oath.Generator, first, second string, low, high int64) (moving int64, how Match) {
	moving, how = low-1, NoMatch
	low, high = max(0, low), min(high, last)
	before := g.Code(low)
	for m := low; m <= high; m++ {
		after := g.Code(m + 1)
		same := subtle.ConstantTimeCompare([]byte(before), []byte(first)) & subtle.ConstantTimeCompare([]byte(after), []byte(second))
		if same == 1 && first != second {
			moving, how = m+1, Fresh
		}
		before = after
	}
	return moving, how
}
