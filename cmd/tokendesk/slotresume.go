package main

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

// changes settles what was left of updates, swaps and erasures. The error is one that ends the whole run.
func (r *resumption) changes(ctx context.Context) error {
	open, err := r.openChanges(ctx)
	if err != nil {
		return err
	}
	defer destroyChanges(open)
	for _, c := range open {
		if r.choice.serial != 0 && c.Serial != token.Serial(r.choice.serial) {
			continue
		}
		settle := r.change
		if c.Work.OfAccounts() {
			settle = r.changeAccounts
		}
		done, err := settle(ctx, c)
		w := written{Serial: c.Serial, Slot: c.Slot, Account: printable(c.Account), Outcome: provision.Undone, AccessCode: "as before", Proof: string(c.Work)}
		if c.Credential != nil {
			w.Kind, w.PublicID = c.Credential.Kind, c.Credential.TypedID()
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			still, lookErr := r.stillOpen(ctx, c.ID)
			if lookErr != nil {
				return lookErr
			}
			if still {
				r.left, r.last = r.left+1, err
				continue
			}
			w.Proof = "the key refused the " + string(c.Work)
			r.gaveUp++
			if r.left == 0 {
				r.last = err
			}
		case !done && provision.Unknowable(c) && c.Work == token.Swap:
			w.Outcome = provision.Unknown
			r.a.say("key %s: nothing of this store is in either slot: which way they are now is for their owner to say", c.Serial)
		case !done && provision.Unknowable(c):
			w.Outcome, w.AccessCode = provision.Unknown, "kept by nobody here"
			r.a.say("key %s, slot %d is not ours, so its access code is kept nowhere: its flags and its code are as before or the new ones", c.Serial, c.Slot)
		case done:
			w.Outcome = provision.Programmed
			if c.Work == token.Update {
				w.AccessCode = "none"
				if c.After.HasAccessCode {
					w.AccessCode = "kept in the store"
				}
			}
		}
		r.done = append(r.done, w)
	}
	return nil
}

// openChanges are those of the store: a station has none.
func (r *resumption) openChanges(ctx context.Context) ([]token.SlotChange, error) {
	if r.st == nil {
		return nil, nil
	}
	return r.st.OpenChanges(ctx)
}

// change settles one with its key.
func (r *resumption) change(ctx context.Context, c token.SlotChange) (done bool, err error) {
	at := r.choice
	at.serial = uint32(c.Serial)
	k, err := at.open(ctx, r.a)
	if err != nil {
		return false, err
	}
	defer k.close()
	if err := learnMap(ctx, r.st, k); err != nil {
		return false, err
	}
	r.a.say("%s: the %s was interrupted", k.name(), c.Work)
	defer r.a.quiet(k)()
	slot := c.Slot
	if slot == 0 {
		slot = 1
	}
	run := r.a.runner(r.st, slot, kindIn(c))
	asked := run.Progress
	run.Progress = func(s provision.Step) {
		switch s {
		case provision.StepTouch:
			asked(s)
		case provision.StepTouch1:
			r.a.say("what does slot 1 type? %s", touches[1])
		case provision.StepTouch2:
			r.a.say("and slot 2? %s", touches[2])
		}
	}
	run.Mispress = func(why provision.Mispress) { r.a.say("%s", why) }
	return run.ResumeChange(ctx, r.st, k.device(), c)
}

func (r *resumption) stillOpen(ctx context.Context, id token.ChangeID) (bool, error) {
	open, err := r.st.OpenChanges(ctx)
	defer destroyChanges(open)
	for _, c := range open {
		if c.ID == id {
			return true, err
		}
	}
	return false, err
}

func unsettledChange(c token.SlotChange) unsettled {
	if c.Work.OfAccounts() {
		return unsettledAccounts(c)
	}
	u := unsettled{Serial: c.Serial, Slot: c.Slot, Phase: c.Phase}
	if c.Credential != nil {
		u.PublicID = c.Credential.TypedID()
	}
	switch c.Work {
	case token.Update:
		u.Holds, u.Next = "the flags and the access code of before, or the new ones", "writes the new ones again"
		if provision.Unknowable(c) {
			u.Next = "gives it up: the slot is not ours, and its code is kept nowhere"
		}
	case token.Erase:
		u.Holds, u.Next = "nothing, or what it held before", "erases it"
	default:
		u.Holds, u.Next = "what it held before, or what the other slot held", "asks the slots what they hold"
		if provision.Unknowable(c) {
			u.Next = "gives it up: neither slot is ours, so nobody here can say"
		}
	}
	return u
}

// slotText is "1", or "1+2" for both.
func slotText(s token.Slot) string {
	if s == 0 {
		return "1+2"
	}
	return fmt.Sprint(s)
}
