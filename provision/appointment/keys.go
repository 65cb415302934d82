package appointment

import (
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/token"
)

// mostTries is how often a key is opened, or a conflict with another station waited for, before the key is put aside.
const mostTries = 40

func (e Arrived) apply(t *turn) {
	t.Ports = slices.DeleteFunc(t.Ports, func(p Port) bool { return p.Path == e.Port })
	t.Ports = append(t.Ports, Port{Path: e.Port, Product: e.Product, OTP: e.OTP})
	t.tell(DidArrive, on(e.Port))
	if !e.OTP {
		t.aside(e.Port, "it has no one-time passwords: a FIDO-only key, or its OTP interface is off")
	}
}

func (e Removed) apply(t *turn) {
	i := slices.IndexFunc(t.Ports, func(p Port) bool { return p.Path == e.Port })
	if i < 0 {
		return
	}
	spent := t.Ports[i].Spent
	t.Ports = slices.Delete(t.Ports, i, i+1)
	t.tell(DidRemove, on(e.Port))
	t.gone = t.gone || t.Key != nil && t.Key.Port == e.Port
	if t.tries > 0 && t.job == 0 {
		t.waiting, t.tries = 0, 0
	}
	if spent && t.Done != nil && t.printing == 0 && t.equipping == 0 && !t.Done.shownOnce() {
		t.turnOver()
	}
}

// turnOver begins the next appointment, or goes on with this one if it was another person's key that was finished.
func (t *turn) turnOver() {
	if t.Key != nil {
		t.free(t.Key.Port)
	}
	other := t.Person != nil && t.Person.Account != t.Done.Account
	t.tell(DidNext)
	t.Notice = ""
	if other {
		t.Done, t.printing = nil, 0
		return
	}
	t.fresh()
}

func (e Inspected) apply(t *turn) {
	if e.Job != t.job || t.Work != Inspecting {
		return
	}
	t.rest()
	t.up()
	t.tries = 0
	if !slices.ContainsFunc(t.Ports, func(p Port) bool { return p.Path == e.Key.Port && p.OTP }) { // pulled out meanwhile, or another one is there
		t.do(Free{e.Key.Port})
		return
	}
	t.Key, t.Rewrite = &e.Key, t.Rewrite && t.Left != nil
	t.tell(DidInspect)
	t.settleSuspect()
}

// settleSuspect: the key that is held may be the one whose issue the store took before its answer was lost.
func (t *turn) settleSuspect() {
	k, s := t.Key, t.suspect
	if k.Open != nil {
		return
	}
	if t.Left != nil && k.Have.Serial == t.Left.Serial && t.lost == "" { // settled elsewhere, or given up before anything was sent
		t.Left = nil
	}
	if s == nil || s.serial != k.Have.Serial {
		return
	}
	holder := k.Have.Token.Holder
	i := slices.IndexFunc(k.Have.Live, func(c token.Credential) bool {
		return c.State != token.Pending && c.Settings.Account == "" && (s.left == nil || c.ID == s.left.Credential)
	})
	if holder == nil || holder.Account != s.account || i < 0 {
		return
	}
	c := k.Have.Live[i]
	t.suspect, t.lost = nil, ""
	t.issued(Done{Token: k.Have.Token.ID, Account: s.account, Name: holder.Name, Serial: k.Have.Serial, Slot: c.Slot, PublicID: c.PublicID.String(), Proof: &c.Counters, Recovered: true})
}

// settleLoaded does the same by what the person holds now, whatever key is in.
func (t *turn) settleLoaded(e Loaded) {
	s := t.suspect
	if s == nil || s.account != e.Person.Account {
		return
	}
	t.suspect = nil
	for _, k := range e.Tokens {
		fresh := t.Person != nil && (s.serial == 0 || k.Serial == s.serial) && !slices.ContainsFunc(t.Person.Holds, func(h token.Token) bool { return h.ID == k.ID })
		written := s.left != nil && k.Serial == s.serial // one that they held before, written anew
		open := slices.ContainsFunc(e.Open, func(o Open) bool { return o.Serial == k.Serial })
		if !open && k.State != token.Pending && (fresh || written) {
			t.issued(Done{Token: k.ID, Account: e.Person.Account, Name: e.Person.Name, Serial: k.Serial, Label: k.Label, Recovered: true})
			return
		}
	}
	t.retry = s.otp
}

func (e Again) apply(t *turn) {
	if e.Job != t.waiting {
		return
	}
	t.waiting = 0
	switch {
	case t.lost != "" && t.loading == 0:
		t.load(t.lost)
	case t.Person == nil && t.Query != "":
		t.HitsOf = ""
		t.seek()
	case t.Down != nil && len(t.usable()) != 1:
		t.Down = nil
	}
}

// down notes that the store does not answer, and waits.
func (t *turn) down(why string) {
	if t.Down == nil {
		t.Down = &Down{t.now, why}
		t.tell(DidLose, because(why))
	}
	t.wait()
}

func (t *turn) up() {
	if t.Down != nil {
		t.Down = nil
		t.tell(DidFind)
	}
}

func (t *turn) wait() {
	if t.waiting == 0 {
		t.waiting = t.number()
		t.do(Wait{t.waiting})
	}
}

// later tries again after a while, and puts the key aside when that did not help often.
func (t *turn) later(port, why string) {
	if t.tries++; t.tries <= mostTries {
		t.wait()
		return
	}
	t.tries = 0
	t.aside(port, why)
}

func (e GaveUp) apply(t *turn) {
	if t.Left == nil || t.job != 0 || t.lost != "" || t.loading != 0 { // it may be issued: the store is asked first
		return
	}
	t.work(Giving)
	t.do(GiveUp{t.job, t.Left.Serial, fmt.Sprintf("half-written in appointment %d and given up", t.Number)})
}

func (e Touched) apply(t *turn) {
	switch {
	case t.Done != nil || t.Work == Giving || t.suspect != nil:
	case t.Work != NoWork && t.Work != Inspecting:
		t.Notice = "a touch came in as typing: it is of a key that this program does not hold"
	case t.Station.Cards: // which need the key itself
		t.Notice = "this desk puts more on a key than its slot: plug it in"
	case t.Station.Video: // bound by that touch, it would be active in the post
		t.Notice = "this desk sends keys by post: plug the key in"
	case !t.Ready() || t.Left != nil:
		t.Notice = "a key was touched: first say who it is for"
		if t.Left != nil {
			t.Notice = "first plug in key " + t.Left.Serial.String() + ", which was left half-written"
		}
	case t.job == 0:
		t.redeem(e.OTP)
	}
}

// redeem issues the key that an OTP is of.
func (t *turn) redeem(otp string) {
	t.work(Taking)
	t.otp, t.Refused, t.Notice = otp, "", ""
	t.do(Redeem{t.job, otp, t.order()})
}
