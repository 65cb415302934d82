package validate

import (
	"context"
	"net/netip"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// PasswordRule says what a NAS sends as the password, and who checks what stands before the code.
type PasswordRule string

// The rules.
const (
	PasswordNone     PasswordRule = "none"     // nothing stands before the code
	PasswordIgnore   PasswordRule = "ignore"   // a password that nobody checks
	PasswordUpstream PasswordRule = "upstream" // a password that another RADIUS server checks
)

// PasswordRules are all of them.
func PasswordRules() []PasswordRule {
	return []PasswordRule{PasswordNone, PasswordIgnore, PasswordUpstream}
}

// How long the code is at the end of a password: digits, and characters of a Yubico OTP with its public ID of 6 bytes.
const (
	DefaultCodeLen = 6
	DefaultOTPLen  = 44
	MinOTPLen      = 32 // without public ID
	MaxOTPLen      = 48 // as the validation protocol has it: reference validation-protocol.md §18 rows 9 to 12
)

// NAS is a device that asks by RADIUS: a network access server, RFC 2865 §1.2.
type NAS struct {
	ID     int64
	Name   string
	Client int64 // what it may ask is the right of this client
	// Secrets are what it shares with this server and are valid now, newest first: one, or two while it changes; none when it is not
	// active. They are printable text.
	Secrets  []secret.Bytes
	Until    time.Time // when the older of two secrets ends; zero: there is one
	Active   bool
	Networks []netip.Prefix // where it asks from, at least one; IPv4 as IPv4. No two have the same
	NASRules
	UpstreamSecret secret.Bytes // shared with Upstream
}

// NASRules say how a NAS's requests are read.
type NASRules struct {
	Password   PasswordRule `json:"password"`
	CodeLen    int          `json:"code_length"` // digits of a code behind a password: 6 or 8
	OTPLen     int          `json:"otp_length"`  // characters of a Yubico OTP behind a password: 32 to 48
	StripRealm bool         `json:"strip_realm"` // ada@example.org and EXAMPLE\ada are ada
	Upstream   string       `json:"upstream"`    // HOST:PORT of the RADIUS server that checks the password; "" unless Password is PasswordUpstream
}

// ReasonPassword is why somebody with a right code was denied: the upstream server did not say that the password is right.
const ReasonPassword Reason = "wrong password"

// NASes finds the devices that ask by RADIUS.
type NASes interface {
	// NASes are the active ones with their secrets, by number. The secrets belong to the store, as in Credential.
	NASes(ctx context.Context) ([]NAS, error)
}

// FindNAS is the one with the longest prefix that holds the address; false if there is none. An IPv4-mapped IPv6 address is the IPv4
// one.
func FindNAS(list []NAS, ip netip.Addr) (NAS, bool) {
	ip = ip.Unmap().WithZone("") // a prefix never contains an address with a zone
	found, best := -1, -1
	for i, n := range list {
		for _, p := range n.Networks {
			if p.Contains(ip) && p.Bits() > best {
				found, best = i, p.Bits()
			}
		}
	}
	if found < 0 {
		return NAS{}, false
	}
	return list[found], true
}
