package validate

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// NearEnd is the UseCounter from which staff are told to replace the key: about 4,000 power-ups are left. Source: reference
// validation-protocol.md §14.
const NearEnd = 0x7000

// The key's clock. Source: reference validation-protocol.md §7.
const (
	tick      = time.Second / 8
	clockWrap = 1 << 24 * tick // 24.3 days
)

// When an OTP is called delayed. Source: reference validation-protocol.md §7.
const (
	maxDeviation      = 20 * time.Second
	maxDeviationRatio = 0.3
)

// maxAhead is how far our own clock may have been set back without a key being called copied.
const maxAhead = 10 * time.Minute

// Marks are remarks about an OTP for staff. They decide nothing.
type Marks struct {
	Dvorak   bool   // typed on a Dvorak layout
	Layout   string // typed on another layout, with Verifier.Layouts: which, in words
	Changes  string // what modhex.Clean undid, with Verifier.Layouts, in words
	CapsFlag bool   // bit 15 of the use counter was set
	NearEnd  bool   // the use counter is nearly used up
	Delayed  bool   // it seems to have been pressed long before it was sent
	Copied   bool   // two keys have this secret: the stored counters with another timestamp, or a clock that went too fast
}

// Judge adds what an OTP says against the stored counters, and the clocks; at is now.
func (m Marks) Judge(stored token.Counters, otp yubiotp.Token, at time.Time) Marks {
	m.CapsFlag = otp.CapsFlag
	m.NearEnd = otp.UseCounter >= NearEnd
	m.Copied = compare(otp, stored) == 0 && int(otp.Timestamp) != stored.Timestamp || ahead(stored, otp, at)
	m.Delayed = delayed(stored, otp, at)
	return m
}

// ahead reports whether the key's clock went further than ours since the stored OTP of the same power-up, which the clock
// of one key does not. A clock step of ours, or a key whose clock is off by its tolerance, is no reason.
func ahead(stored token.Counters, otp yubiotp.Token, at time.Time) bool {
	ours := at.Sub(stored.At)
	if int(otp.UseCounter) != stored.Use || int(otp.SessionCounter) <= stored.Session || ours < 0 || ours > clockWrap/4 {
		return false
	}
	keys := time.Duration((int(otp.Timestamp)-stored.Timestamp)&(1<<24-1)) * tick
	return keys > ours+time.Duration(maxDeviationRatio*float64(ours))+maxAhead
}

// delayed compares how far the key's clock and ours went since the stored OTP of the same power-up. The key's clock is
// known modulo 2^24 ticks only, so the deviation is too: the smaller way round counts.
func delayed(stored token.Counters, otp yubiotp.Token, at time.Time) bool {
	if int(otp.UseCounter) != stored.Use || int(otp.SessionCounter) <= stored.Session || stored.At.IsZero() {
		return false
	}
	ours := at.Sub(stored.At)
	keys := time.Duration(int(otp.Timestamp)-stored.Timestamp) * tick
	deviation := (ours - keys) % clockWrap
	if deviation < 0 {
		deviation += clockWrap
	}
	deviation = min(deviation, clockWrap-deviation)
	return deviation > maxDeviation && (ours <= 0 || float64(deviation) > maxDeviationRatio*float64(ours))
}
