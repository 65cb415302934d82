package validate

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// Factors is the part of a store that a Checker decides with. All methods may be called from any number of goroutines and
// processes.
type Factors interface {
	Counters
	// Attempt reads what req asks for, calls decide with it and applies the Ruling by guarded statements: all in one write
	// transaction, durable when it returns. So whatever is tried at once, each try sees the failures before it. decide is pure; where a
	// transaction has to be repeated it is called again, and the last call counts. If the Ruling has no Event, nothing is written.
	Attempt(ctx context.Context, req AttemptRequest, decide func(Holding) Ruling) error
	// Look reads the same and writes nothing.
	Look(ctx context.Context, req AttemptRequest) (Holding, error)
}

// AttemptRequest says whose factors an Attempt reads, and which of them.
type AttemptRequest struct {
	Account string // exactly one of both; of a token's serial, its label or its serial number
	Serial  string
	OATH    bool   // read the HOTP and TOTP credentials
	Spoken  string // a temporary or recovery code, normalised; "": none
	Browser string // a trusted browser's value; "": none
	Client  int64  // 0: none
	At      time.Time
}

// Holding is what a store knows about the subject of an Attempt. For an unknown subject, or one that several tokens fit, Known is false
// and the throttle is that of all unknown ones.
type Holding struct {
	Known       bool
	Person      token.PersonID // 0: nobody holds the token
	Token       token.ID       // that the serial named
	Groups      []string       // of the person, sorted
	Subject     string         // of the throttle: "person 7", "token 9" or "unknown"
	Throttle    Throttle
	Budget      Budget // of the client; for a temporary or recovery code, of the subject
	Credentials []Candidate
	Codes       []Code // of the person; none if a serial was named
	Browser     int64  // the trusted browser whose value was presented; 0: none of this person, at this client and time
}

// Candidate is a HOTP or TOTP credential that a code may be of. The generator belongs to the store, as in Credential.
type Candidate struct {
	ID        token.CredentialID
	Token     token.ID
	Kind      token.Kind
	Model     token.Model
	TypedID   string        // of HOTP: what a YubiKey types before its codes, token.Credential.TypedID; "" for most
	Label     string        // of the token; ""
	Period    time.Duration // TOTP
	Generator oath.Generator
	Row       Row
}

// Code is a temporary or recovery code.
type Code struct {
	ID       int64
	Kind     string // KindTemp or KindRecovery
	Right    bool   // it is the one that was presented
	UsesLeft int
	Expires  time.Time // zero: never
	Client   int64     // the only one that may use it; 0: any
	Revoked  bool
}

// Ruling is what becomes of an Attempt.
type Ruling struct {
	Throttle Throttle  // the subject's from now on; the zero Throttle forgets all failures
	Budget   Budget    // that of the Holding
	Accept   []Advance // of enabled credentials; what was programmed becomes active
	Spend    []Advance // of credentials that are not enabled
	Code     int64     // the code of which one use is spent; 0: none
	Browser  int64     // the trusted browser that was used; 0: none
	Event    *Event    // nil: nothing is written at all
}
