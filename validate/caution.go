package validate

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// A backup that was put back has counters behind those of the keys: what was accepted since would be accepted again. Which
// one-time passwords those were, the store does not know. So a Yubico OTP or HOTP credential begins at the Caution of 2 and must show
// that somebody has the key at hand: two fresh one-time passwords that Pair, of which none is accepted. The third is.
//
// Who has written down one of those that were used since, or many that were pressed hours apart as people do, gains nothing: two
// presses of one power-up within a minute are rare in normal use. Who has a pair and a later one does; HOTP codes carry no time, so any
// three in a row are that. Nothing that a key
// types without being asked anything rules that out: the log of what was accepted does (package spentlog), and where that is
// missing, another secret in the key.
const Cautious = 2

// What makes two one-time passwords a pair. They are part of the statements of stores.
const (
	PairTicks     = 60 * 8           // of the key's clock, between two Yubico OTPs of one power-up. Source: reference validation-protocol.md §7
	PairDeviation = 20 * time.Second // by which our clock may tell another time between them
	PairHOTP      = 5 * time.Minute  // by our clock, between two codes of which one follows the other
)

// Pairs reports whether an OTP or code that is newer than the stored one makes a pair with it: of a Yubico OTP the same power-up, at
// most PairTicks later by the key's clock, and within PairDeviation of that by ours; of a HOTP code the next one, within PairHOTP.
func Pairs(stored Row, a Advance) bool {
	n, ours := stored.Counters, a.At.Sub(stored.Counters.At)
	if a.Use < 0 {
		return a.Moving == n.Moving+1 && ours >= 0 && ours <= PairHOTP
	}
	ticks := (a.Timestamp - n.Timestamp) & (1<<24 - 1)
	return a.Use == n.Use && ticks <= PairTicks && (ours-time.Duration(ticks)*tick).Abs() <= PairDeviation
}

// CautiousStep is the step that a TOTP credential of a backup is raised to when it is put back at now: codes of up to then, and of as
// many steps later as the token's clock may have been ahead, do not count any more. It allows for a clock that was learned anew
// since, by as much as a window: so nobody logs in by that token for twice its window, which is a minute with a phone.
func CautiousStep(m token.Model, n token.Counters, period time.Duration, now time.Time) int64 {
	return oath.Step(now, period) + Offset(n.Clock, period, now) + 2*int64(Window(m, n, now))
}
