package token

import (
	"fmt"
	"time"
)

// State is where a token or a credential is in its life. A credential's OTP is accepted only if its own state and its token's
// both validate, and no unfinished write makes the slot uncertain.
type State string

// The states. Source of the words: PRODUCT.md §7.2, DESIGN.md "Model and decisions".
const (
	Pending    State = "pending"    // drawn or being written; nothing proven
	Programmed State = "programmed" // written, the first good OTP is the proof
	InStock    State = "in_stock"   // proven or imported, waiting to be issued
	Shipped    State = "shipped"    // posted to its holder, who has not shown yet that it arrived
	Active     State = "active"
	Suspended  State = "suspended" // forgotten, on leave: back with a fresh OTP
	Lost       State = "lost"      // lost, stolen, damaged
	Revoked    State = "revoked"   // replaced or given up; for ever
)

// Event is what happens to a token or a credential.
type Event string

// The events. Verbs mean the same in the command line, the API and the pages.
const (
	Write   Event = "write"   // a write was accepted and nothing pressed
	Prove   Event = "prove"   // a fresh OTP or code was seen
	Stock   Event = "stock"   // put on the shelf by an import or a batch
	Ship    Event = "ship"    // posted to a person
	Arrive  Event = "arrive"  // its holder showed that it arrived, with proof and the number
	Issue   Event = "issue"   // handed to a person, with proof
	Suspend Event = "suspend" // block with a reason that passes
	Lose    Event = "lose"    // block with a reason that may not
	Restore Event = "restore" // back, with an OTP newer than anything stored or seen
	Revoke  Event = "revoke"  // replaced, retired, or aborted before it was ever proven
	Return  Event = "return"  // taken back from its holder, with proof; nobody holds it then
	Empty   Event = "empty"   // taken back without a credential that could prove anything: to be written again
	Undo    Event = "undo"    // a block that was a slip, within UndoTime: back to the state before
)

// states is the column that says whether a state validates. Programmed does, because its first good OTP is the proof.
var states = map[State]struct{ validates bool }{
	Pending: {false}, Programmed: {true}, InStock: {false}, Shipped: {false}, Active: {true}, Suspended: {false}, Lost: {false},
	Revoked: {false},
}

// transitions is the whole table: what is not listed is impossible in every interface. Undo, as the end of a suspension, leads to the
// state before the block, of which Active stands for all: see Token.BlockedFrom. Restore leads what was in stock or on its way
// back there. Only what nobody holds is put on the shelf, or shipped.
var transitions = map[State]map[Event]State{
	Pending:    {Write: Programmed, Prove: Active, Stock: InStock, Lose: Lost, Suspend: Suspended, Revoke: Revoked},
	Programmed: {Write: Programmed, Prove: Active, Issue: Active, Stock: InStock, Ship: Shipped, Return: InStock, Empty: Pending, Lose: Lost, Suspend: Suspended, Revoke: Revoked},
	InStock:    {Write: Programmed, Issue: Active, Ship: Shipped, Lose: Lost, Suspend: Suspended, Revoke: Revoked},
	Shipped:    {Ship: Shipped, Arrive: Active, Return: InStock, Empty: Pending, Lose: Lost, Suspend: Suspended, Revoke: Revoked},
	Active:     {Write: Active, Prove: Active, Issue: Active, Stock: InStock, Ship: Shipped, Return: InStock, Empty: Pending, Lose: Lost, Suspend: Suspended, Revoke: Revoked},
	Suspended:  {Restore: Active, Return: InStock, Empty: Pending, Undo: Active, Lose: Lost, Revoke: Revoked},
	Lost:       {Restore: Active, Return: InStock, Empty: Pending, Undo: Active, Revoke: Revoked},
	Revoked:    {},
}

// States lists them in the order of a token's life.
func States() []State {
	return []State{Pending, Programmed, InStock, Shipped, Active, Suspended, Lost, Revoked}
}

// Events lists the events.
func Events() []Event {
	return []Event{Write, Prove, Stock, Ship, Arrive, Issue, Suspend, Lose, Restore, Revoke, Return, Empty, Undo}
}

// UndoTime is how long a block can be undone without proof, by who made it. Source: PRODUCT.md §3.d (L-8).
const UndoTime = 10 * time.Minute

// Valid reports whether s is one of the states.
func (s State) Valid() bool { _, ok := states[s]; return ok }

// Validates reports whether an OTP may be accepted in this state.
func (s State) Validates() bool { return states[s].validates }

// Blocked reports whether somebody blocked the token: Restore is the way back.
func (s State) Blocked() bool { return s == Suspended || s == Lost }

// Next is the state after e. The error is a *TransitionError when the table has no such line.
func (s State) Next(e Event) (State, error) {
	if n, ok := transitions[s][e]; ok {
		return n, nil
	}
	return s, &TransitionError{From: s, Event: e}
}

// TransitionError says that an event is impossible in a state.
type TransitionError struct {
	From  State
	Event Event
}

func (e *TransitionError) Error() string {
	return fmt.Sprintf("a token that is %s cannot be changed by %s", e.From, e.Event)
}

// Reason is why a token was blocked.
type Reason string

// The reasons of `token block --reason`.
const (
	ReasonLost      Reason = "lost"
	ReasonStolen    Reason = "stolen"
	ReasonDamaged   Reason = "damaged"
	ReasonForgotten Reason = "forgotten"
	ReasonLeft      Reason = "left"
)

// Reasons lists them in the order in which they are shown.
func Reasons() []Reason {
	return []Reason{ReasonLost, ReasonStolen, ReasonDamaged, ReasonForgotten, ReasonLeft}
}

// Event is Lose or Suspend; ok is false for a word that is no reason.
func (r Reason) Event() (e Event, ok bool) {
	switch r {
	case ReasonLost, ReasonStolen, ReasonDamaged:
		return Lose, true
	case ReasonForgotten, ReasonLeft:
		return Suspend, true
	}
	return "", false
}
