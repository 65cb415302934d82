package validate

import "github.com/tokendesk/tokendesk/ykslot/yubiotp"

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

// ReadOnly is the part of ReadOnlyFactors that a Verifier needs.
func ReadOnly(c Counters) Counters { return readOnly{c} }
