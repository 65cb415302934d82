// Package appointment is an enrolment appointment as a pure state machine: what happened comes in, what is to be done goes out.
//
//	H-1 person → H-2 identity → H-3 insert → H-4 write → H-5 touch → H-6 bind → H-7 receipt → H-8 next
//
// Next takes a State, the time and an Event, and returns the next State and the Effects to perform; it reads no clock, no device and no
// store. Whoever performs an effect answers with events that carry its Job; an answer to a job that is over changes nothing, so nothing is
// done twice. Steps may come in another order than their numbers: a key may be in before the person is known. Writing begins by itself
// when person, identity check and exactly one usable key are there. What a key gets beside its slot comes between H-6 and H-7, on the key that is
// issued already: cards.go.
//
// Reading order: appointment.go (the state), event.go, effect.go, next.go (what happens by itself), person.go, keys.go, work.go, cards.go (how each
// event changes the state), words.go (what the operator reads). Source of steps and failures: PRODUCT.md §3.a.
package appointment

import (
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Step is the place in an appointment, as screens, events and receipts name it.
type Step string

// The steps. Source: PRODUCT.md §3.a.
const (
	Who      Step = "H-1" // person
	Identity Step = "H-2"
	Insert   Step = "H-3"
	Writing  Step = "H-4"
	Touch    Step = "H-5"
	Binding  Step = "H-6"
	Receipt  Step = "H-7"
	Removal  Step = "H-8" // the key's removal begins the next appointment
)

// Steps lists them in order, with their names.
func Steps() []struct {
	Step Step
	Name string
} {
	return []struct {
		Step Step
		Name string
	}{{Who, "person"}, {Identity, "identity"}, {Insert, "insert"}, {Writing, "write"}, {Touch, "touch"}, {Binding, "bind"}, {Receipt, "receipt"}, {Removal, "next"}}
}

// Station is what holds for all appointments of a session.
type Station struct {
	Spec     provision.Spec // what is written; without Holder
	Operator string
	Place    string
	Video    bool // keys are sent by post: the identity is checked in a call
	Offline  bool // without the store: what is issued is pending until the journal is imported
	Paper    bool // receipts are printed
	Cards    bool // a key gets more than its slot: accounts, certificates
}

// Use is what a key is to a person who holds one already.
type Use string

// The uses.
const (
	First       Use = ""
	Second      Use = "second"
	Replacement Use = "replacement"
)

// Order is what an issue is recorded with, in the transaction that binds the key.
type Order struct {
	Account string
	Check   desk.IDCheck
	Use     Use
	Replace token.ID // 0: none
	Place   string
	Witness string // second operator, of a person who is known
}

// Note is what is kept with the issue.
func (o Order) Note() string {
	if o.Witness == "" {
		return o.Place
	}
	return strings.TrimPrefix(o.Place+"; second operator: "+o.Witness, "; ")
}

// Job numbers an effect whose answer is waited for; 0 is none.
type Job int64

// Work is what is done with a key.
type Work string

// The works.
const (
	NoWork     Work = ""
	Inspecting Work = "inspect"
	Programing Work = "write"
	Resuming   Work = "resume"
	Taking     Work = "bind" // of a key from stock
	Giving     Work = "give up"
)

// Person is the one who sits at the desk.
type Person struct {
	token.Person
	Holds    []token.Token // not revoked
	Open     []Open        // unfinished writes of keys for this person
	Warnings []Warning
}

// Open is an unfinished write.
type Open struct {
	Entry      token.EntryID
	Credential token.CredentialID
	Serial     token.Serial
	Slot       token.Slot
	Phase      token.Phase
	Account    string // of its holder to be; "" nobody
}

// Port is where something of Yubico's is plugged in.
type Port struct {
	Path    string
	Product string
	OTP     bool
	Aside   string // why this one is not used; "" it may be
	Spent   bool   // issued already: it waits to be pulled out
}

// Key is what was read of the key that is held.
type Key struct {
	Port    string
	Product string
	Have    provision.Have // without secrets
	Open    *Open          // of the slot that is to be written
	Class   provision.Class
	Lacks   bool // somebody holds it, and not all is on it that this desk puts beside a slot
}

// Done is a key that was issued.
type Done struct {
	Number    int
	Token     token.ID
	Account   string
	Name      string
	Serial    token.Serial
	Label     string // of a token without serial
	Slot      token.Slot
	PublicID  string
	Check     desk.IDCheck
	Witness   string
	Replaced  string   // name of the token that was revoked with it
	Revoke    []string // its certificates that are valid at others
	Proof     *token.Counters
	Stocked   bool // it was written before
	Shipped   bool
	Call      string // the number that is told in the call, with a key that is shipped
	Pending   bool   // until the journal is imported
	Recovered bool   // what an interruption left was finished
	Receipt   string
	At        time.Time
	Machine   time.Duration // how long person and operator waited for the machine
	Cards     Cards
	Papers    []string // where the receipt went
	Steps     []Passing
}

// Passing is when a step was done.
type Passing struct {
	Step Step
	At   time.Time
}

// Down says that the store does not answer.
type Down struct {
	Since time.Time
	Why   string
}

// State is one desk. Its zero value but for Station is a desk that opens. States do not share what may change: a former one stays as it was.
type State struct {
	Station Station
	Number  int // of this appointment, from 1; 0 before the first person

	Query   string // H-1
	Hits    []desk.Hit
	Cursor  int
	HitsOf  string // the query that Hits belong to
	Unknown string // an account that was submitted and does not exist
	Next    []Planned
	Person  *Person

	Check   desk.IDCheck // H-2
	Witness string       // second operator, who knows the person too
	Checked time.Time
	Use     Use
	Replace token.ID
	Chosen  bool   // Use was said
	Agreed  bool   // to go on in spite of a grave warning
	Rewrite bool   // to write a key anew that this person holds
	Refused string // why the key from stock that was touched is not issued

	Ports []Port // H-3
	Key   *Key

	Work     Work // H-4, H-5
	Passed   provision.Step
	Touching bool
	Missed   string // what was wrong with the last touch
	Left     *Open  // what an interruption of this appointment left

	Done     *Done  // H-6 to H-8
	Card     string // what is done on its smart card
	Blinking bool   // which waits for a touch
	Notice   string
	Down     *Down
	Recent   []Done // newest first
	Count    int
	Began    time.Time     // of the session
	Machine  time.Duration // of this appointment
	Leaving  bool
	Over     bool
	Steps    []Passing // that were done

	last      Job           // the last number
	job       Job           // of Work
	resumed   token.EntryID // by Resume
	loading   Job
	equipping Job
	printing  Job
	waiting   Job // for a pause to end
	searching bool
	sought    string // what the search in flight asks
	picking   bool   // Query was submitted: choose when its hits are there
	lost      string // account to be loaded when the store answers again
	suspect   *suspect
	halting   bool
	gone      bool   // the key that is held was pulled out while it was worked with
	otp       string // of Redeem, while it is under way
	retry     string // the OTP of a Redeem that the store did not take
	tries     int
	seen      time.Time
}

// suspect is an issue of which is not known whether the store took it, because its answer was lost.
type suspect struct {
	account string
	serial  token.Serial // 0: of a key whose OTP was typed
	left    *Open        // nil: nothing was sent to the key
	otp     string       // "": the key was held
}

// recent is how many receipts a screen remembers.
const recent = 20

// Planned is a person whom the calendar names.
type Planned struct {
	Account string
	Time    string // as the calendar writes it
}

// New is a desk before its first person.
func New(s Station, next []Planned, now time.Time) State {
	return State{Station: s, Number: 1, Next: next, Began: now, seen: now}
}

// Step is where the appointment is.
func (s State) Step() Step {
	switch {
	case s.Done != nil && s.equipping != 0:
		return Binding
	case s.Done != nil && s.printing != 0:
		return Receipt
	case s.Done != nil:
		return Removal
	case s.Touching:
		return Touch
	case s.Work == Taking:
		return Binding
	case s.Work == Programing && s.Passed == provision.StepProven, s.Work == Resuming && s.Passed == provision.StepProven:
		return Binding
	case s.Work == Programing, s.Work == Resuming:
		return Writing
	case s.Person == nil:
		return Who
	case !s.known():
		return Identity
	}
	return Insert
}

// Wants is what the operator is asked for.
type Wants string

// What can be asked for.
const (
	Nothing     Wants = ""
	WantPerson  Wants = "person"
	WantCheck   Wants = "identity check"
	WantWitness Wants = "second operator" // the name of one
	WantUse     Wants = "use"             // second key, replacement or cancel
	WantGrave   Wants = "grave"           // agree in spite of a warning
	WantAnew    Wants = "anew"            // agree to write a key anew
	WantKey     Wants = "key"             // a key, or a touch of one from stock
	WantPull    Wants = "pull"            // the key out
)

// Wants says it.
func (s State) Wants() Wants {
	switch {
	case s.Over || s.Leaving:
		return Nothing
	case s.Done != nil && (s.printing != 0 || s.equipping != 0):
		return Nothing
	case s.Done != nil:
		return WantPull
	case s.Work != NoWork && s.Work != Inspecting:
		return Nothing
	case s.Person == nil && (s.loading != 0 || s.picking):
		return Nothing
	case s.Person == nil:
		return WantPerson
	case s.Person.grave() && !s.Agreed:
		return WantGrave
	case s.needsUse() && !s.Chosen:
		return WantUse
	case s.Check == "":
		return WantCheck
	case s.needsWitness():
		return WantWitness
	case s.Down == nil && s.Left == nil && s.theirs() && !s.Rewrite:
		return WantAnew
	}
	return WantKey
}

// Ready reports whether all is known of the person that must be before a key is issued.
func (s State) Ready() bool {
	return s.known() && s.loading == 0 && s.lost == ""
}

// known: the operator has said all that is asked about the person.
func (s State) known() bool {
	return s.Person != nil && s.Check != "" && !s.needsWitness() && (s.Chosen || !s.needsUse()) && (s.Agreed || !s.Person.grave())
}

// needsWitness: two operators must know a person who shows nothing. PRODUCT.md §3.a, H-2.
func (s State) needsWitness() bool { return s.Check == desk.ByAcquaintance && s.Witness == "" }

// needsUse: the person has a key.
func (s State) needsUse() bool { return s.Person != nil && len(s.Person.Keys()) > 0 }

// Keys are the tokens that a new key is second to, or replaces.
func (p Person) Keys() []token.Token {
	return slices.DeleteFunc(slices.Clone(p.Holds), func(k token.Token) bool {
		return k.Model != token.YubiKey && k.Model != token.Hardware || k.State == token.Pending
	})
}

// theirs reports whether the key that is held is one of the person's already.
func (s State) theirs() bool {
	return s.Key != nil && s.Key.Open == nil && s.Person != nil && s.Key.Have.Token.Holder != nil && s.Key.Have.Token.Holder.Account == s.Person.Account
}

// Aside is why the key that is in is not used; "" where one may be, or none is in.
func (s State) Aside() (why string) {
	for _, p := range s.Ports {
		if p.OTP && !p.Spent && p.Aside == "" {
			return ""
		}
		if p.Aside != "" {
			why = p.Aside
		}
	}
	return why
}

// usable are the ports whose key may be written.
func (s State) usable() (out []Port) {
	for _, p := range s.Ports {
		if p.OTP && !p.Spent && p.Aside == "" {
			out = append(out, p)
		}
	}
	return out
}
