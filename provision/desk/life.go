package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Life keeps what happens to a token between its first proof and its end. Where Evidence is given, its counters are raised in the
// transaction of the change, by a statement that is guarded by the stored ones: false means that they are not newer, and nothing was
// changed. A change that the state forbids is a *token.TransitionError, one while a write of a slot is open token.ErrUnsettled.
type Life interface {
	// Block moves the token as the reason says; from then on no process accepts a code of it. Its holder's trusted browsers and
	// open links end with it, and the codes of one who left. A blocked token never becomes less blocked: a reason as hard as the former replaces it, a softer one is
	// only written to the audit chain, a suspension gets no shorter, and the same again by the same actor without a note changes nothing.
	Block(ctx context.Context, id token.ID, b Block) (Effects, error)
	// Restore takes the block away. A token that was in stock is in stock again, any other active.
	Restore(ctx context.Context, id token.ID, e Evidence) (bool, error)
	// Undo takes a block away without proof, back to the state before. What forbids it is an *UndoError.
	Undo(ctx context.Context, id token.ID) error
	// Issue hands a token to a person, and revokes the one that it replaces. ErrHeld while somebody else holds it.
	Issue(ctx context.Context, id token.ID, h Handing, e Evidence) (bool, error)
	// Confirm notes a proof: a credential that waited for it is active then, and so is its token. name "" keeps the
	// former; a *TextError for one that another token of the holder has.
	Confirm(ctx context.Context, id token.ID, name string, e Evidence) (bool, error)
	// Resync stores measured counters and clock of a HOTP or TOTP credential.
	Resync(ctx context.Context, id token.ID, e Evidence) (bool, error)
	// ResetClock forgets what was learned about the clocks of a token's TOTP credentials.
	ResetClock(ctx context.Context, id token.ID) error
	// Return takes a token back: nobody holds it, and it is in stock; an app is revoked.
	Return(ctx context.Context, id token.ID, note string, e Evidence) (bool, error)
	// Empty takes a token without a live credential back, to be written again. token.ErrConflict if there is one.
	Empty(ctx context.Context, id token.ID, note string) error
	// Retire ends a token and all on it, and every open write of its slots.
	Retire(ctx context.Context, id token.ID, note string) error
	// OATH are the live HOTP and TOTP credentials of a token, with 0 of all that are in stock, with their secrets, which the caller
	// destroys.
	OATH(ctx context.Context, id token.ID) ([]token.Credential, error)
	// CountProof counts a try in the row that throttles the token's holder, or the token if nobody holds it, before the try is made:
	// if the row permits one at that time. It returns the row before. Every change that takes Evidence of a code clears the row.
	CountProof(ctx context.Context, id token.ID, at time.Time) (validate.Throttle, error)
	// UncountProof takes a counted try back, to the time of the row before.
	UncountProof(ctx context.Context, id token.ID, before validate.Throttle) error
	// Sweep ends what is over.
	Sweep(ctx context.Context) (Swept, error)
	// History are a token's last events, newest first, most of them at most.
	History(ctx context.Context, id token.ID, most int) ([]Happened, error)
}

// Evidence is a code or OTP that was seen: the counters that its credential is raised to, (Use, Session) for a Yubico OTP and Moving
// for the others, of which Clock is stored too. The secrets are not in it.
type Evidence struct {
	Credential token.CredentialID
	Counters   token.Counters
	PublicID   token.PublicID // of a Yubico OTP
}

// Handing is an Issue as the store keeps it.
type Handing struct {
	To      token.PersonID
	IDCheck IDCheck
	Replace token.ID // 0: none
	Note    string
}

// Happened is an event in a token's history.
type Happened struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"`
	Detail string    `json:"detail"` // JSON, without secrets
}

// Swept is what Sweep ended.
type Swept struct {
	Suspensions int // that were over
	Drawn       int // secrets of links that nobody proved in time
	Secrets     int // of revoked credentials
	ClientKeys  int // former ones that were over
	Shared      int // secrets of RADIUS devices, likewise
	Attempts    int
	Sessions    int
	Codes       int
	Browsers    int
}

// ErrHeld is a token that somebody else holds.
var ErrHeld = errors.New("somebody else holds it")

// ErrNoClock is a token without a TOTP credential.
var ErrNoClock = errors.New("it has no TOTP credential")

// UndoError says why a block cannot be undone.
type UndoError struct{ Cause string }

func (e *UndoError) Error() string { return "the block cannot be undone: " + e.Cause }

// changed reads a token anew after a change for which a proof was asked; ok is whether it was newer than what is stored.
func (d *Desk) changed(ctx context.Context, verb string, t token.Token, ok bool, err error) (token.Token, Proof, error) {
	if err != nil {
		return t, "", fmt.Errorf("%s %s: %w", verb, Name(t), err)
	}
	if !ok {
		return t, NotNewer, nil
	}
	t, err = d.again(ctx, t)
	return t, Proven, err
}

// allowed is a *token.TransitionError unless the token may go through the event.
func allowed(verb string, t token.Token, e token.Event) error {
	if _, err := t.State.Next(e); err != nil {
		return fmt.Errorf("%s %s: %w", verb, Name(t), err)
	}
	return nil
}
