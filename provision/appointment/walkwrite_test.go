package appointment

import (
	"slices"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

// write goes through the runner's steps: reserve, seal, mark, write, touch, commit.
func (w *world) write(j *running, end func(Event), away func(*entry)) {
	if j.halt && j.stage != 3 {
		w.stopped(j, end)
		return
	}
	if j.stage == 0 {
		w.reserve(j, end, away)
		return
	}
	o := j.entry
	gone := !w.plugged(o.key)
	switch j.stage {
	case 1: // seal and mark
		if w.away {
			if w.r.IntN(2) == 0 {
				o.Phase = token.Writing // the answer was lost
			}
			away(o)
			return
		}
		o.Phase, o.secret, j.stage = token.Writing, w.r.Int64()|1, 2
		w.give(Passed{j.job, provision.StepSealed})
	case 2: // the device
		if gone {
			if w.r.IntN(2) == 0 {
				o.key.slot = o.secret
			}
			end(Failed{Job: j.job, Trouble: KeyGone, Why: "pulled", Left: &o.Open})
			return
		}
		if o.key.locked {
			w.abort(o)
			end(Failed{Job: j.job, Trouble: KeyRefused, Why: "locked by an unknown access code"})
			return
		}
		o.key.slot, o.key.foreign, j.stage = o.secret, false, 3
	case 3:
		if w.away {
			away(o)
			return
		}
		o.Phase, j.stage = token.Written, 4
		w.give(Passed{j.job, provision.StepWritten})
	case 4:
		j.stage = 5
		w.give(Passed{j.job, provision.StepTouch})
	case 5: // the touch
		switch n := w.r.IntN(6); {
		case gone:
			end(Failed{Job: j.job, Trouble: KeyGone, Why: "pulled", Left: &o.Open})
		case n == 0:
			w.give(Missed{j.job, provision.OtherOutput})
		case n == 1:
			end(Failed{Job: j.job, Trouble: NotTouched, Why: "nobody touched", Left: &o.Open})
		default:
			j.stage, j.proven = 6, true
			w.give(Passed{j.job, provision.StepProven})
		}
	case 6:
		w.commit(j, end, away)
	}
}

func (w *world) stopped(j *running, end func(Event)) {
	var left *Open
	if j.entry != nil && j.entry.Phase.Uncertain() {
		left = &j.entry.Open
	} else if j.entry != nil {
		w.abort(j.entry)
	}
	end(Failed{Job: j.job, Trouble: Halted, Why: "stopped", Left: left})
}

func (w *world) reserve(j *running, end func(Event), away func(*entry)) {
	if e, ok := j.e.(Resume); ok {
		i := slices.IndexFunc(w.open, func(o *entry) bool { return o.Entry == e.Entry })
		if i < 0 {
			w.fail("resume of an entry that is settled")
		}
		j.entry = w.open[i]
		if w.away {
			away(j.entry)
			return
		}
		if !j.entry.Phase.Uncertain() {
			w.abort(j.entry)
			end(Ended{Job: j.job})
			return
		}
		if j.entry.secret == 0 {
			j.entry.secret = w.r.Int64() | 1
		}
		j.stage = 2 // the same sealed secret again
		return
	}
	if w.away {
		if w.r.IntN(2) == 0 { // the answer was lost
			w.reserved(j)
		}
		away(nil)
		return
	}
	if j.key == nil {
		w.fail("a write without a key")
	}
	w.reserved(j)
	j.stage = 1
	w.give(Passed{j.job, provision.StepReserved})
}

func (w *world) reserved(j *running) {
	order := j.e.(Write).Order
	k := j.key
	for _, o := range w.open {
		if o.key == k {
			w.fail("two open entries for one slot")
		}
	}
	w.next++
	if k.tok.ID == 0 {
		k.tok.ID, k.tok.State = w.next, token.Pending
	}
	j.entry = &entry{Open: Open{Entry: token.EntryID(w.next), Credential: token.CredentialID(w.next), Serial: k.serial, Slot: 2, Phase: token.Reserved, Account: order.Account}, order: order, key: k}
	w.open = append(w.open, j.entry)
}

func (w *world) abort(o *entry) {
	w.open = slices.DeleteFunc(w.open, func(x *entry) bool { return x == o })
}

func (w *world) commit(j *running, end func(Event), away func(*entry)) {
	o := j.entry
	if w.away && w.r.IntN(2) == 0 {
		away(o)
		return
	}
	w.abort(o)
	p := person(o.Account)
	o.key.tok.State, o.key.tok.Holder, o.key.cred = token.Active, &p, o.Credential
	if o.secret != o.key.slot {
		w.fail("the slot holds another secret than what is committed")
	}
	w.issued(o.order, o.key, j.proven)
	if w.away { // it was done, and the answer is lost
		away(o)
		return
	}
	end(Ended{Job: j.job, Done: &Done{Account: o.Account, Serial: o.Serial}})
}

func (w *world) issued(o Order, k *thing, proven bool) {
	if !proven || o.Check == "" {
		w.fail("issued without proof or identity check: %+v", o)
	}
	for _, i := range w.issue {
		if i.order.Account == o.Account && i.number == w.s.Number && w.s.Person != nil && w.s.Person.Account == o.Account {
			w.fail("appointment %d issued two keys to %s: %+v %+v", w.s.Number, o.Account, i, *i.key)
		}
	}
	w.issue = append(w.issue, issued{w.s.Number, o, k, proven})
	for _, old := range w.keys {
		if o.Replace != 0 && old.tok.ID == o.Replace && old != k {
			old.tok.State, old.tok.Holder, old.cred = token.Revoked, nil, 0
		}
	}
}
