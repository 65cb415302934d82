package validate

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Observer is told of every request, at whatever door it came, after the answer was given. It must not wait, and may be called from
// any number of goroutines.
type Observer interface {
	Answered(ctx context.Context, a Answered)
}

// Observers tells several, in order.
type Observers []Observer

// Answered implements Observer.
func (list Observers) Answered(ctx context.Context, a Answered) {
	for _, o := range list {
		o.Answered(ctx, a)
	}
}

// Door is where a request came in.
type Door string

// The doors.
const (
	DoorWSAPI   Door = "wsapi"   // the Yubico validation protocol
	DoorVerify  Door = "verify"  // /api/v1/verify
	DoorCheck   Door = "check"   // /validate/check
	DoorStaff   Door = "staff"   // the rest of /api/
	DoorConsole Door = "console" // pages of the helpdesk
	DoorEnroll  Door = "enroll"  // the public page
	DoorKSM     Door = "ksm"     // /wsapi/decrypt
	DoorSync    Door = "sync"    // /wsapi/2.0/sync
	DoorRevoke  Door = "revoke"  // /wsapi/revoke
	DoorRADIUS  Door = "radius"
	DoorOther   Door = "other" // no door of ours: a path that nothing answers
)

// Doors are all of them.
func Doors() []Door {
	return []Door{DoorWSAPI, DoorVerify, DoorCheck, DoorStaff, DoorConsole, DoorEnroll, DoorKSM, DoorSync, DoorRevoke, DoorRADIUS, DoorOther}
}

// RequestIDHeader carries Answered.ID in answers by HTTP. A door reads it from the header of its own answer, where the server has
// put it; what a request carries in it does not count.
const RequestIDHeader = "X-Request-Id"

// Answered is one request that has its answer. It holds no OTP, no code, no secret and nothing as it came in: every text is one of
// this program's own words, an address, or a name that staff chose.
type Answered struct {
	Door   Door
	ID     string // of the request, in its answer too; "": the door has no place for one
	Start  time.Time
	Took   time.Duration // until the answer was given and what was left was done
	Source string        // the caller's address without port
	Route  string        // pattern of the address, of doors that have several
	Status int           // of HTTP; 0: none

	Outcome string // the door's own word, such as OK, BAD_OTP, accepted, denied; "": Status says it
	Reason  Reason
	Code    string // of a problem document
	Support string // support code, normalised

	Client   int64  // 0: none is known
	Operator string // login name
	Signed   bool   // the client has proven itself
	Limited  bool   // refused because too much was asked

	Kind     string         // of what was checked, as in Checked
	Person   token.PersonID // whom it is about; 0: unknown
	Token    token.ID       // 0: unknown
	PublicID token.PublicID // empty where it may be a part of an OTP
	Opened   bool           // Use and Session are known
	Use      int
	Session  int
	Marks    Marks

	Err   error // why it failed here
	After error // what went wrong after the answer
}

// About adds what a Verifier found. A public ID that nobody knows is told if validation servers take it: a longer one may be one OTP
// before another.
func (a *Answered) About(r Result) {
	a.Reason, a.Token, a.Marks = r.Reason, r.Token, r.Marks
	if r.Credential != 0 || r.PublicID.Len() <= token.ServerPublicID {
		a.PublicID = r.PublicID
	}
	if a.Opened = r.Opened; r.Opened {
		a.Use, a.Session = int(r.OTP.UseCounter), int(r.OTP.SessionCounter)
	}
}

// AboutCheck adds what a Checker found.
func (a *Answered) AboutCheck(c Checked) {
	if c.Result.Outcome != "" {
		a.About(c.Result)
	}
	a.Reason, a.Kind, a.Person, a.Token = c.Reason, c.Kind, c.Person, c.Token
}

// The remarks of an Answered.
const (
	MarkLimited  = "limited"
	MarkDvorak   = "dvorak"
	MarkLayout   = "layout"
	MarkCleaned  = "cleaned"
	MarkCapsFlag = "caps_flag"
	MarkDelayed  = "delayed"
	MarkNearEnd  = "near_end"
	MarkCopied   = "copied"
	MarkForeign  = "foreign" // the right key with another private ID
)

// Remarks names what is out of the ordinary, each as one of the constants.
func (a *Answered) Remarks() []string {
	var list []string
	for _, r := range []struct {
		name string
		set  bool
	}{
		{MarkLimited, a.Limited}, {MarkDvorak, a.Marks.Dvorak}, {MarkLayout, a.Marks.Layout != ""}, {MarkCleaned, a.Marks.Changes != ""},
		{MarkCapsFlag, a.Marks.CapsFlag}, {MarkDelayed, a.Marks.Delayed}, {MarkNearEnd, a.Marks.NearEnd}, {MarkCopied, a.Marks.Copied},
		{MarkForeign, a.Reason == ReasonPrivateID},
	} {
		if r.set {
			list = append(list, r.name)
		}
	}
	return list
}
