package appointment

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

// turn is one call of Next.
type turn struct {
	State
	now time.Time
	out []Effect
}

// Next is the state after an event, and what is to be done. It changes nothing that s holds.
func Next(s State, now time.Time, e Event) (State, []Effect) {
	t := &turn{State: s, now: now}
	t.Ports = slices.Clone(s.Ports)
	if t.busy() && now.After(t.seen) {
		t.Machine += now.Sub(t.seen)
	}
	t.seen = now
	if !t.Over {
		e.apply(t)
		t.goOn()
	}
	return t.State, t.out
}

// busy: person and operator wait for the machine.
func (s State) busy() bool {
	return s.Person != nil && s.Down == nil && (s.job != 0 && !s.Touching || s.waiting != 0 || s.printing != 0 || s.equipping != 0 && !s.Blinking)
}

func (t *turn) do(e Effect) { t.out = append(t.out, e) }

// number is a new Job.
func (t *turn) number() Job {
	t.last++
	return t.last
}

// tell records what happened at this place of the appointment.
func (t *turn) tell(what Happening, more ...func(*Record)) {
	r := Record{Schema: Schema, Time: t.now, Event: what, Step: t.Step(), Appointment: t.Number}
	if t.Person != nil {
		r.Account = t.Person.Account
	}
	if t.Key != nil {
		r.Serial, r.Port = t.Key.Have.Serial, t.Key.Port
	}
	if step, ok := done[what]; ok {
		r.Step = step
		t.Steps = append(slices.DeleteFunc(slices.Clone(t.Steps), func(p Passing) bool { return p.Step == step }), Passing{step, t.now})
	}
	for _, m := range more {
		m(&r)
	}
	t.do(Tell{r})
}

func because(why string) func(*Record) { return func(r *Record) { r.Why = why } }

func on(port string) func(*Record) { return func(r *Record) { r.Port = port } }

// goOn begins what can begin by itself.
func (t *turn) goOn() {
	if t.job != 0 || t.Over {
		return
	}
	if t.gone && t.Key != nil {
		t.free(t.Key.Port)
		t.Rewrite = false
	}
	if t.Leaving {
		if t.printing == 0 && t.equipping == 0 {
			t.end()
		}
		return
	}
	if t.Done != nil || t.waiting != 0 {
		return
	}
	if t.lost != "" && t.loading == 0 {
		t.load(t.lost)
	}
	if t.Left != nil && !t.Left.Phase.Uncertain() { // nothing was sent: its key is not needed
		t.resume(*t.Left)
		return
	}
	if otp := t.retry; otp != "" && t.Ready() && t.Left == nil {
		t.retry = ""
		t.redeem(otp)
		return
	}
	usable := t.usable()
	if t.Key == nil {
		if len(usable) == 1 {
			t.work(Inspecting)
			t.do(Inspect{t.job, usable[0].Path})
		}
		return
	}
	switch {
	case len(usable) != 1: // two are in: which one is meant?
	case t.Key.Open != nil:
		t.resume(*t.Key.Open)
	case t.Left != nil: // that key must come back first
	case t.refused():
	case !t.Ready():
	case t.fromStock():
		t.work(Taking)
		t.do(Bind{t.job, t.order()})
	case t.theirs() && !t.Rewrite:
	default:
		t.work(Programing)
		t.do(Write{t.job, t.order()})
	}
}

// work begins something with the key.
func (t *turn) work(w Work) {
	t.Work, t.job, t.Passed, t.Touching, t.Missed, t.halting, t.otp = w, t.number(), "", false, "", false, ""
}

// rest ends it.
func (t *turn) rest() {
	t.Work, t.job, t.Touching, t.Missed, t.halting = NoWork, 0, false, "", false
}

func (t *turn) resume(o Open) {
	t.work(Resuming)
	t.resumed = o.Entry
	t.tell(DidResume, func(r *Record) { r.Slot, r.Account = o.Slot, o.Account })
	t.do(Resume{t.job, o.Entry})
}

// order is what this appointment issues.
func (t *turn) order() Order {
	o := Order{Account: t.Person.Account, Check: t.Check, Use: t.Use, Replace: t.Replace, Place: t.Station.Place, Witness: t.Witness}
	if t.Key != nil && t.Key.Have.Token.ID == o.Replace { // it is written anew: nothing else is revoked
		o.Replace = 0
	}
	return o
}

// fromStock: the key that is held was written before and only needs a holder.
func (s State) fromStock() bool {
	return s.Key.Have.Token.State == token.InStock && s.Key.Class == provision.Ours
}

// refused puts the key aside that may not be written. What depends on the person waits for one.
func (t *turn) refused() bool {
	if t.fromStock() {
		return false
	}
	if t.Key.Have.Token.State == token.Revoked {
		t.aside(t.Key.Port, "it was given up: retired, replaced, or left half-written")
		return true
	}
	want := t.Station.Spec
	if t.Person != nil {
		want.Holder = &t.Person.Person
	}
	_, err := provision.BuildPlan(want, t.Key.Have)
	if err == nil {
		return false
	}
	t.aside(t.Key.Port, refusal(err))
	return true
}

// refusal says why a plan was refused, to somebody who has other keys in a box.
func refusal(err error) string {
	var r *provision.RefusedError
	if !errors.As(err, &r) {
		return err.Error()
	}
	switch {
	case errors.Is(err, provision.ErrHeld):
		return "it belongs to " + r.Detail
	case errors.Is(err, provision.ErrBlocked):
		return "it is blocked (" + r.Detail + ")"
	case errors.Is(err, provision.ErrOccupied):
		return slotName(r.Slot) + " holds something that this store did not write"
	case errors.Is(err, provision.ErrNoSerial):
		return "it hides its serial number"
	}
	return cmp.Or(r.Err, err).Error()
}

// aside keeps a port's key out of it until it is pulled out.
func (t *turn) aside(port, why string) {
	for i := range t.Ports {
		if t.Ports[i].Path == port {
			t.Ports[i].Aside = why
		}
	}
	t.tell(DidAside, on(port), because(why))
	t.free(port)
}

// free gives the key of a port back.
func (t *turn) free(port string) {
	if t.Key != nil && t.Key.Port == port {
		t.Key, t.gone = nil, false
	}
	t.do(Free{port})
}

// fresh begins the next appointment.
func (t *turn) fresh() {
	t.State = State{
		Station: t.Station, Number: t.Number + 1, Next: t.Next, Ports: t.Ports, Key: t.Key, Recent: t.Recent, Count: t.Count, Began: t.Began,
		Leaving: t.Leaving, Notice: t.Notice, Down: t.Down, Work: t.Work, Passed: t.Passed, Touching: t.Touching, Missed: t.Missed,
		gone: t.gone, last: t.last, job: t.job, resumed: t.resumed, waiting: t.waiting, searching: t.searching, sought: t.sought, halting: t.halting, tries: t.tries, seen: t.seen,
	}
}

// end closes the desk.
func (t *turn) end() {
	if t.Key != nil {
		t.free(t.Key.Port)
	}
	t.Over = true
	t.tell(DidLeave)
	t.do(Leave{})
}
