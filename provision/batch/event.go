package batch

import (
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Schema is the version of Event as JSON. Fields may be added under the same number.
const Schema = 1

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	Begun   EventKind = "begun"   // the batch begins or goes on
	Lane    EventKind = "lane"    // a lane has another state
	Paused  EventKind = "paused"  // the store is away: nothing more is written
	Resumed EventKind = "resumed" // it is back
	Ended   EventKind = "ended"   // this run is over
)

// State is where a lane is.
type State string

// The states of a lane.
const (
	Waiting   State = "waiting" // for a free lane, for the same key in another port, or for a free place
	Opening   State = "opening"
	Sealing   State = "sealing"
	Writing   State = "writing"
	Written   State = "written"
	Touch     State = "touch" // somebody must touch the key
	Proven    State = "proven"
	Done      State = "done"
	Again     State = "again" // done already in this batch
	Aside     State = "aside"
	Uncertain State = "uncertain" // what the slot holds is settled when the key comes back
	Failed    State = "failed"    // the station cannot open the key
	Removed   State = "removed"   // the port is empty
)

// The steps of PRODUCT.md §3.b.
const (
	StepPlan  = "B-1"
	StepFill  = "B-2"
	StepWrite = "B-3"
	StepTouch = "B-4"
	StepLabel = "B-5"
	StepClose = "B-6"
	StepNote  = "B-7"
)

// step is that of a lane's state.
func (s State) step() string {
	switch s {
	case Sealing, Writing, Written, Uncertain:
		return StepWrite
	case Touch, Proven:
		return StepTouch
	case Done:
		return StepLabel
	}
	return StepFill
}

// Settled reports whether nothing more is done with the key in the port.
func (s State) Settled() bool {
	switch s {
	case Done, Again, Aside, Uncertain, Failed, Removed:
		return true
	}
	return false
}

// Totals are the numbers of the batch, of all its runs.
type Totals struct {
	Wanted    int `json:"wanted"`
	Done      int `json:"done"`
	Uncertain int `json:"uncertain"` // interrupted, and not in work now
	Aside     int `json:"put_aside"`
}

// Event is one thing that happened. As JSON it is a line of a log; it carries no secret and no OTP.
type Event struct {
	Schema      int           `json:"schema"`
	Time        time.Time     `json:"time"`
	Event       EventKind     `json:"event"`
	Step        string        `json:"step"`
	Batch       token.BatchID `json:"batch"`
	Port        string        `json:"port,omitempty"`
	State       State         `json:"state,omitempty"`
	Serial      token.Serial  `json:"serial,omitempty"`
	PublicID    string        `json:"public_id,omitempty"`
	Position    int           `json:"position,omitempty"`
	StockNumber string        `json:"stock_number,omitempty"`
	Reason      token.Aside   `json:"reason,omitempty"`
	Detail      string        `json:"detail,omitempty"`
	Totals
}

// stateOf is the state that a step of a Runner leads to.
func stateOf(s provision.Step) State {
	switch s {
	case provision.StepReserved:
		return Sealing
	case provision.StepSealed:
		return Writing
	case provision.StepWritten:
		return Written
	case provision.StepTouch:
		return Touch
	case provision.StepProven:
		return Proven
	}
	return Done
}
