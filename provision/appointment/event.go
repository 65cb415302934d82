package appointment

import (
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Event is something that happened. The types are those of this file.
type Event interface{ apply(*turn) }

// What the operator does, or a scanner, which types and presses Enter.
type (
	// Opened begins the session; Open is how many keys are half-written.
	Opened struct{ Open int }
	// Typed is what the search field holds now.
	Typed struct{ Text string }
	// Move moves the selection.
	Move struct{ By int }
	// Submit is Enter, with what the search field holds. At H-1 it chooses a person, at H-8 it begins the next appointment. Whole text came
	// from a script or a scanner: it must be an account as it is.
	Submit struct {
		Text  string
		Whole bool
	}
	// Checked says how the person was known.
	Checked struct{ Check desk.IDCheck }
	// Witnessed names the second operator who knows the person.
	Witnessed struct{ Name string }
	// Chosen says what the key is to somebody who has one, and which token it replaces.
	Chosen struct {
		Use     Use
		Replace token.ID
	}
	// Agreed answers yes to what is asked: a grave warning, a key that is theirs already.
	Agreed struct{}
	// Finished says that a key that is theirs already gets what it lacks, and its slot stays as it is.
	Finished struct{}
	// Touched is a one-time password that came in by the terminal, from a key that is not held.
	Touched struct{ OTP string }
	// GaveUp says that the half-written key of this appointment will not come back.
	GaveUp struct{}
	// Escaped ends this appointment, or stops what goes on.
	Escaped struct{}
	// Quit ends the session.
	Quit struct{}
)

// What happens at the ports.
type (
	// Arrived is a key that was plugged in.
	Arrived struct {
		Port, Product string
		OTP           bool
	}
	// Removed is one that was pulled out.
	Removed struct{ Port string }
)

// What becomes of effects.
type (
	// Found answers Search.
	Found struct {
		Query string
		Hits  []desk.Hit
		Down  string // why the store does not answer; "" it did
	}
	// Loaded answers Load. A person without Account does not exist.
	Loaded struct {
		Job    Job
		Person token.Person
		Tokens []token.Token
		Open   []Open
	}
	// Inspected answers Inspect.
	Inspected struct {
		Job Job
		Key Key
	}
	// Passed is a point that Write, Resume or Bind has passed; Entry from the reservation on.
	Passed struct {
		Job  Job
		Step provision.Step
	}
	// Missed is a touch that proved nothing.
	Missed struct {
		Job Job
		Why provision.Mispress
	}
	// Ended answers Write, Resume, Bind, Redeem and GiveUp. Done is nil where nothing was issued: the slot holds what it held before, or the
	// key was given up.
	Ended struct {
		Job  Job
		Done *Done
	}
	// Failed answers any effect that has a Job.
	Failed struct {
		Job     Job
		Trouble Trouble
		Why     string // for people, without secrets
		Left    *Open  // what it left unfinished
	}
	// Carded is a point that Equip has passed. Card is "oath" or "piv"; Blinks: the key waits for a touch.
	Carded struct {
		Job        Job
		Card, Text string
		Blinks     bool
	}
	// Equipped answers Equip.
	Equipped struct {
		Job   Job
		Cards Cards
	}
	// Printed answers Print.
	Printed struct {
		Job    Job
		Number string // of the receipt
		Papers []string
	}
	// Again answers Wait.
	Again struct{ Job Job }
)

// Trouble is a kind of failure: what the operator can do differs.
type Trouble string

// The kinds of failures.
const (
	KeyGone    Trouble = "pulled out"
	KeyClosed  Trouble = "not open" // its node is being set up, or another program has it
	KeyRefused Trouble = "refused"  // by the key or by a rule: another one is needed
	StoreAway  Trouble = "store"    // it does not answer
	NotTouched Trouble = "not touched"
	Halted     Trouble = "stopped" // as Halt asked
	WrongTouch Trouble = "wrong touch"
	Fault      Trouble = "fault" // anything else
)
