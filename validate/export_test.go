package validate

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// CountOpens counts the blocks that v decrypts. It is not safe for concurrent use.
func (v *Verifier) CountOpens(n *int) {
	open := v.open
	v.open = func(c yubiotp.Cipher, block [yubiotp.BlockLen]byte) (yubiotp.Token, yubiotp.Verdict) {
		*n++
		return open(c, block)
	}
}

// Noted reports whether Note has something to do.
func (r Result) Noted() bool { return r.note != nil }

// Judge is judge.
func (m Marks) Judge(stored token.Counters, otp yubiotp.Token, at time.Time) Marks {
	return m.judge(stored, otp, at)
}
