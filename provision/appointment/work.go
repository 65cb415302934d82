package appointment

import (
	"slices"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

// passing says what a step of the runner is called in records.
var passing = map[provision.Step]Happening{
	provision.StepReserved: DidReserve, provision.StepSealed: DidSeal, provision.StepWritten: DidWrite, provision.StepTouch: DidAsk, provision.StepProven: DidProve,
}

func (e Passed) apply(t *turn) {
	if e.Job != t.job {
		return
	}
	t.Passed, t.Touching = e.Step, e.Step == provision.StepTouch
	if e.Step == provision.StepProven {
		t.Missed = ""
	}
	if what, ok := passing[e.Step]; ok {
		t.tell(what)
	}
}

func (e Missed) apply(t *turn) {
	if e.Job != t.job {
		return
	}
	t.Missed = missed(e.Why, t.slot())
	t.tell(DidMiss, because(string(e.Why)))
}

// slot is the one that is being written.
func (s State) slot() token.Slot {
	if s.Key != nil && s.Key.Open != nil {
		return s.Key.Open.Slot
	}
	return s.Station.Spec.Slot
}

func (e Ended) apply(t *turn) {
	if e.Job != t.job {
		return
	}
	work := t.Work
	t.rest()
	t.up()
	t.tries = 0
	if x := t.suspect; x != nil && work != Giving && (work != Resuming || x.left != nil && x.left.Entry == t.resumed) {
		t.suspect = nil
	}
	switch {
	case work == Giving:
		t.tell(DidGiveUp, func(r *Record) { r.Serial = t.Left.Serial })
		t.Left = nil
		t.drop() // what was read of it is old
		t.load(t.Person.Account)
	case e.Done != nil && e.Done.Account != "":
		d := *e.Done
		d.Recovered = d.Recovered || work == Resuming
		d.Stocked = work == Taking
		t.issued(d)
	default: // the slot is settled, and the key may be written
		if t.Left != nil && t.Left.Entry == t.resumed {
			t.Left = nil
		}
		t.tell(DidUndo)
		if t.Key != nil {
			t.free(t.Key.Port)
		}
	}
}

// issued ends what this appointment is for.
func (t *turn) issued(d Done) {
	if t.Person != nil && t.Person.Account == d.Account {
		t.Left = nil
		d.Name = t.Person.Name
		if d.Check == "" { // otherwise as the store has it: an earlier appointment may have checked
			d.Check, d.Witness = t.Check, t.Witness
		}
	}
	d.Number, d.At, d.Machine = t.Number, t.now, t.Machine
	d.Pending = d.Pending || t.Station.Offline
	t.Notice, t.Missed = "", ""
	for i := range t.Ports {
		if t.Key != nil && t.Ports[i].Path == t.Key.Port {
			t.Ports[i].Spent = true
		}
	}
	t.Done = &d
	t.Count++
	t.tell(DidIssue, d.record, func(r *Record) { r.Revoke = d.Revoke })
	d.Steps = t.Steps
	t.Done = &d
	t.Recent = slices.Insert(slices.Clone(t.Recent), 0, d)[:min(len(t.Recent)+1, recent)]
	if t.Station.Cards && !d.Shipped {
		t.equip()
		return
	}
	t.receipt()
}

// receipt prints it, where one is.
func (t *turn) receipt() {
	if t.Station.Paper {
		t.printing = t.number()
		t.do(Print{t.printing, *t.Done})
		return
	}
	t.onward()
}

// remember replaces what is known of the key that was just issued.
func (t *turn) remember(d Done) {
	t.Done = &d
	t.Recent = slices.Clone(t.Recent)
	t.Recent[0] = d
}

func (d Done) record(r *Record) {
	r.Account, r.Serial, r.Slot, r.PublicID, r.Check, r.Receipt = d.Account, d.Serial, d.Slot, d.PublicID, d.Check, d.Receipt
	r.Witness = d.Witness
	r.Machine, r.Pending, r.Shipped, r.Number, r.Recovered, r.Papers = d.Machine.Milliseconds(), d.Pending, d.Shipped, d.Call, d.Recovered, d.Papers
}

// shownOnce: the screen shows what no other place does, a call's number or what finishes the key. Enter says that it was read.
func (d Done) shownOnce() bool { return d.Call != "" || d.Cards.Why != "" }

// onward begins the next appointment where no key waits to be pulled out, and nothing to be read.
func (t *turn) onward() {
	if t.Key == nil && !t.Done.shownOnce() {
		t.turnOver()
	}
}

func (e Printed) apply(t *turn) {
	if e.Job != t.printing || t.Done == nil {
		return
	}
	t.printed(e.Number, e.Papers)
	t.tell(DidPrint, t.Done.record)
	t.arrivedAtEnd()
}

// printed notes where the receipt is.
func (t *turn) printed(number string, papers []string) {
	d := *t.Done
	if number != "" {
		d.Receipt = number
	}
	d.Papers = papers
	d.Machine = t.Machine
	t.remember(d)
	t.printing = 0
}

// arrivedAtEnd goes on, also if the key was pulled out while its receipt was printed.
func (t *turn) arrivedAtEnd() {
	if !t.Done.shownOnce() && !slices.ContainsFunc(t.Ports, func(p Port) bool { return p.Spent && t.Key != nil && p.Path == t.Key.Port }) {
		t.turnOver()
	}
}

func (e Failed) apply(t *turn) {
	switch e.Job {
	case 0:
	case t.loading:
		t.loading = 0
		t.failedLoad(e)
	case t.printing:
		t.printed("", nil)
		notice := "the receipt of " + t.Done.Account + " was not printed: " + e.Why
		t.tell(DidNotPrint, because(e.Why))
		t.arrivedAtEnd()
		t.Notice = notice // also where the next appointment has begun by that
	case t.equipping:
		Equipped{e.Job, Cards{Why: e.Why}}.apply(t)
	case t.job:
		work := t.Work
		t.rest()
		if e.Left != nil {
			t.interrupted(e)
		}
		t.failed(work, e)
	}
}

func (t *turn) failedLoad(e Failed) {
	if e.Trouble == StoreAway {
		t.down(e.Why)
		return
	}
	t.lost, t.Notice = "", e.Why
	t.tell(DidRefuse, because(e.Why))
}

// interrupted notes what is open, if it is this person's.
func (t *turn) interrupted(e Failed) {
	if t.Person != nil && e.Left.Account == t.Person.Account {
		t.Left = e.Left
	}
	t.tell(DidInterr, because(e.Why), func(r *Record) { r.Serial, r.Slot, r.Account = e.Left.Serial, e.Left.Slot, e.Left.Account })
}

// failed says what follows when the work with a key failed.
func (t *turn) failed(work Work, e Failed) {
	port := t.port()
	switch e.Trouble {
	case KeyGone:
		t.drop()
		if t.present(port) { // or it is back already
			t.later(port, e.Why)
		}
	case StoreAway:
		t.suspicious(work, e.Left)
		t.drop()
		t.down(e.Why)
	case NotTouched:
		t.drop()
	case KeyClosed:
		t.drop()
		t.later(port, e.Why)
	case Halted:
		t.halted(work, port, e)
	case WrongTouch:
		t.Notice, t.Refused = e.Why, e.Why
		t.tell(DidMiss, because(e.Why))
	default:
		t.fault(work, port, e.Why)
	}
}

// suspicious notes that it is not known what the store took of what was being done.
func (t *turn) suspicious(work Work, left *Open) {
	if work == Inspecting || work == Giving {
		return
	}
	s := suspect{left: left, otp: t.otp}
	if t.Key != nil && t.otp == "" { // an OTP that was typed is of another key than the one that is held
		s.serial = t.Key.Have.Serial
		if t.Key.Open != nil {
			s.account, s.left = t.Key.Open.Account, t.Key.Open
		}
	}
	if s.account == "" && t.Person != nil {
		s.account = t.Person.Account
	}
	if old := t.suspect; old != nil && t.Person != nil && old.account == t.Person.Account && s.account != old.account {
		return // the doubt about this person matters more
	}
	t.suspect = &s
	if t.Person != nil && s.account == t.Person.Account {
		t.lost = s.account
	}
}

// fault puts the key aside that cannot be used.
func (t *turn) fault(work Work, port, why string) {
	if port == "" || work == Giving {
		t.Notice = why
		t.tell(DidRefuse, because(why))
		return
	}
	t.aside(port, why)
}

// halted ends the appointment that the operator stopped. A key that was left half-written is not taken up again before it was pulled out.
func (t *turn) halted(work Work, port string, e Failed) {
	if t.Leaving {
		return
	}
	left := e.Left
	if left == nil && work == Resuming && t.Key != nil {
		left = t.Key.Open
	}
	if left != nil {
		t.aside(port, "it was left half-written for "+nameOf(left.Account)+": plug it in again to finish")
		if t.Person != nil && left.Account != t.Person.Account { // another person's, found in between
			return
		}
	}
	t.tell(DidCancel)
	t.fresh()
}

func nameOf(account string) string {
	if account == "" {
		return "nobody"
	}
	return account
}

// port is the one of the key that is worked with.
func (t *turn) port() string {
	if t.Key != nil {
		return t.Key.Port
	}
	if u := t.usable(); len(u) > 0 && t.otp == "" {
		return u[0].Path
	}
	return ""
}

func (t *turn) present(port string) bool {
	return slices.ContainsFunc(t.Ports, func(p Port) bool { return p.Path == port })
}

// drop gives back the key that is held, to be looked at again.
func (t *turn) drop() {
	if t.Key != nil {
		t.free(t.Key.Port)
	}
}
