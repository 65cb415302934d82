package desk

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/provision/token"
)

// PushID names a Push in one store.
type PushID int64

// Wanted is what a credential is to be at a target.
type Wanted string

// What may be wanted. Restore wants Enabled of what was there before the block, and Enrolled of what never arrived.
const (
	WantEnrolled Wanted = "enrolled"
	WantDisabled Wanted = "disabled"
	WantEnabled  Wanted = "enabled"
)

// Push is one credential at one target.
type Push struct {
	ID         PushID
	Target     Target
	Token      token.Token
	Credential token.CredentialID
	Place      push.Place
	Wanted     Wanted
	Done       Wanted // what the target last confirmed; "": not known
	Enrolled   bool   // the target confirmed once that it has the token
	Attempts   int
	Error      string // of the last try; "" after one that succeeded
	Changed    time.Time
	Tried      time.Time // when the last try began; zero: never
	DoneAt     time.Time
	// Doubt is until when a request that makes the token valid may still be on its way to the target, because nobody saw its
	// answer. A token that is not there before is not known to stay away.
	Doubt time.Time
}

// Settled reports whether the target confirmed what is wanted.
func (p Push) Settled() bool { return p.Done == p.Wanted }

// StillValid reports whether the target may accept a token that is blocked or replaced here.
func (p Push) StillValid() bool { return p.Wanted == WantDisabled && p.Done != WantDisabled }

// How long a request may be on its way to a target: after its try began, as long as the try is not known to be over, since a
// patient one has up to twelve requests of 15 s and 7 s of pauses; and after a try that ended without an answer.
const (
	DoubtBegun      = 5 * time.Minute
	DoubtUnanswered = time.Minute
)

// PushEnd is what a try came to.
type PushEnd struct {
	Push   Push // as BeginPush gave it: what was tried
	Done   bool
	Handle string // what the target calls the holder; "": as before
	Error  string // why it is not done; never a secret
	Doubt  time.Duration
}

// PushFilter selects rows; its zero value selects all.
type PushFilter struct {
	Tokens  []token.ID
	Target  int64
	Pending bool // not settled
}

// NotPushableError says why a credential is not given to another server.
type NotPushableError struct{ Cause string }

func (e *NotPushableError) Error() string { return "not pushed: " + e.Cause }

// PushStatus lists what was pushed where: of the tokens that the queries name, or of all.
func (d *Desk) PushStatus(ctx context.Context, queries ...string) ([]Push, error) {
	tokens, err := d.named(ctx, queries)
	if err != nil {
		return nil, err
	}
	return d.Store.Pushes(ctx, PushFilter{Tokens: tokens})
}
