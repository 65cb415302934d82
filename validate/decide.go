package validate

import (
	"cmp"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Outcome is what the relying server is told. The values are the words of the validation protocol: reference
// validation-protocol.md §5.
type Outcome string

// The outcomes of an OTP. A BadOTP never says outside why.
const (
	Accepted        Outcome = "OK"
	BadOTP          Outcome = "BAD_OTP"
	Replayed        Outcome = "REPLAYED_OTP"
	ReplayedRequest Outcome = "REPLAYED_REQUEST"
)

// Reason is why, for the audit chain and for staff.
type Reason string

// The reasons.
const (
	ReasonAccepted   Reason = "accepted"
	ReasonMalformed  Reason = "not an OTP"         // length or alphabet
	ReasonUnknown    Reason = "unknown public ID"  // no live credential has it
	ReasonCRC        Reason = "does not decrypt"   // another key, or a changed character
	ReasonPrivateID  Reason = "wrong private ID"   // right key, other identity: a security event
	ReasonBlocked    Reason = "blocked"            // the token is lost or suspended
	ReasonRevoked    Reason = "revoked"            // replaced while the OTP was being decided
	ReasonPending    Reason = "not proven yet"     // drawn, maybe written, never pressed
	ReasonInStock    Reason = "in stock"           // never issued
	ReasonUnsettled  Reason = "unsettled write"    // an interrupted write of this slot waits to be resumed
	ReasonCautious   Reason = "cautious"           // fresh, but the counters are those of a backup and not trusted yet
	ReasonSame       Reason = "same OTP again"     // the counters are the stored ones
	ReasonOlder      Reason = "older OTP"          // the counters are below the stored ones
	ReasonRetry      Reason = "same request again" // the stored counters and the stored nonce
	ReasonNotAllowed Reason = "not allowed"        // the client may not ask about this person
)

// Decision is what Decide says.
type Decision struct {
	Outcome Outcome
	Reason  Reason
}

// Decide says what an intact OTP is worth against the row as it was read. Nothing but the pair (UseCounter, SessionCounter)
// decides: not the timestamp, not the random field. Source: reference validation-protocol.md §6. Accepted is a proposal:
// Counters.Accept has the last word. An empty nonce (protocol 1.x) is never a retry.
func Decide(row Row, otp yubiotp.Token, nonce string) Decision {
	order := compare(otp, row.Counters)
	why := disabled(row)
	switch {
	case !row.Enabled && (why != ReasonCautious || order > 0):
		return Decision{BadOTP, why}
	case order > 0:
		return Decision{Accepted, ReasonAccepted}
	case order < 0:
		return Decision{Replayed, ReasonOlder}
	case nonce != "" && nonce == row.Counters.Nonce:
		return Decision{ReplayedRequest, ReasonRetry}
	}
	return Decision{Replayed, ReasonSame}
}

// compare orders an OTP against stored counters: -1 older, 0 the same, +1 newer. (-1, -1) is stored for a fresh key, so
// that (0, 0) is newer.
func compare(otp yubiotp.Token, stored token.Counters) int {
	return cmp.Or(cmp.Compare(int(otp.UseCounter), stored.Use), cmp.Compare(int(otp.SessionCounter), stored.Session))
}

// disabled says why a row that is not enabled is not.
func disabled(row Row) Reason {
	switch {
	case row.Token.Blocked() || row.State.Blocked():
		return ReasonBlocked
	case row.Token == token.Revoked || row.State == token.Revoked:
		return ReasonRevoked
	case row.State == token.Pending || row.Token == token.Pending || row.Token == token.Shipped:
		return ReasonPending
	case row.State == token.InStock || row.Token == token.InStock:
		return ReasonInStock
	case row.Caution > 0:
		return ReasonCautious
	}
	return ReasonUnsettled
}
