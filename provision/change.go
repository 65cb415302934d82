package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Changes is the write-ahead record of what is done to slots beside writing them anew. Every method is durable before it returns, and
// writes its audit event in the same transaction.
type Changes interface {
	// BeginChange records the work, and seals the new access code. token.ErrUnsettled: an entry or a change of this key is open;
	// token.ErrConflict: the slots hold other credentials than c says.
	BeginChange(ctx context.Context, c token.SlotChange) (token.SlotChange, error)
	// EndChange says that it is done: flags and access code, slots or state of the credentials follow.
	EndChange(ctx context.Context, id token.ChangeID) error
	// DropChange says that the slots are as before.
	DropChange(ctx context.Context, id token.ChangeID, reason string) error
}

// SlotDevice is a Device whose slots are changed otherwise than by writing them. A Key is one.
type SlotDevice interface {
	Device
	Update(ctx context.Context, slot ykslot.Slot, f ykslot.Flags, code, current secret.Bytes) error
	Swap(ctx context.Context) error
	Delete(ctx context.Context, slot ykslot.Slot, current secret.Bytes) error
}

var _ SlotDevice = Key{}

// SecondHand is a Device whose presses come from where people type: text of none of its credentials may be anybody's, and says nothing
// about its slots.
type SecondHand interface{ SecondHand() }

// UnsettledError says that a slot may be as before a change or as after it. ResumeChange settles it.
type UnsettledError struct {
	Change token.SlotChange
	Err    error
}

func (e *UnsettledError) Error() string {
	return fmt.Sprintf("key %s: %s not settled: %v", e.Change.Serial, e.Change.Work, e.Err)
}

// Unwrap returns the cause.
func (e *UnsettledError) Unwrap() error { return e.Err }

// ErrUnknownSlots is the cause of an UnsettledError when no slot told what it holds.
var ErrUnknownSlots = errors.New("the slots did not tell what they hold")

// Change records a work, carries it out on dev, which must be its key, and settles it. current is the access code of a slot without
// record. After an *UnsettledError the slot may be either way; after any other it is as before, and so is the store.
func (r *Runner) Change(ctx context.Context, store Changes, dev SlotDevice, c token.SlotChange, current secret.Bytes) error {
	begun, err := store.BeginChange(ctx, c)
	if err != nil {
		return err
	}
	r.passed(StepReserved)
	return r.settle(ctx, store, begun, r.carryOut(ctx, dev, begun, guardOf(begun, current), begun.Code))
}

// settle is what follows a work: nil, a refusal, or an outcome that was not seen.
func (r *Runner) settle(ctx context.Context, store Changes, c token.SlotChange, err error) error {
	ctx = context.WithoutCancel(ctx)
	switch {
	case errors.Is(err, ykslot.ErrUnsettled):
		return &UnsettledError{c, err}
	case err != nil:
		if e := store.DropChange(ctx, c.ID, abortReason(err)); e != nil {
			return errors.Join(err, e)
		}
		return err
	}
	r.passed(StepWritten)
	if err := store.EndChange(ctx, c.ID); err != nil {
		return &UnsettledError{c, err}
	}
	r.passed(StepDone)
	return nil
}

// carryOut does the work, with each code that may guard the slot.
func (r *Runner) carryOut(ctx context.Context, dev SlotDevice, c token.SlotChange, codes ...secret.Bytes) error {
	slot := ykslot.Slot(c.Slot)
	switch c.Work {
	case token.Update:
		kind := token.Kind("")
		if c.Credential != nil {
			kind = c.Credential.Kind
		}
		f := updateBits(FlagsOf(c.After), kind)
		return r.insist(codes, func(code secret.Bytes) error { return dev.Update(ctx, slot, f, c.Code, code) })
	case token.Erase:
		err := r.insist(codes[:1], func(code secret.Bytes) error {
			err := dev.Delete(ctx, slot, code)
			if refused(err) && !dev.Status().Configured(slot) { // the first time it looked refused
				return nil
			}
			return err
		})
		if err == nil && dev.Status().Configured(slot) {
			return fmt.Errorf("read back %v: %w: the key took the deletion but says that the slot is in use", slot, ykslot.ErrUnsettled)
		}
		return err
	}
	err := dev.Swap(ctx) // once: a second one would undo the first
	var refusal *ykslot.RejectedError
	if !errors.As(err, &refusal) {
		return err
	}
	if now, e := dev.ReadStatus(ctx); e != nil || now != refusal.Before {
		return fmt.Errorf("%w: %w", ykslot.ErrUnsettled, errors.Join(err, e))
	}
	return err
}

// insist does something with each code that may guard the slot. A refusal is believed when every code was refused twice and the
// programming sequence stood still: a report may have been lost, or what looked refused may have gone through.
func (r *Runner) insist(codes []secret.Bytes, do func(code secret.Bytes) error) error {
	var first error // of all refusals it says most
	for _, code := range slices.Concat(codes, codes) {
		err := do(code)
		switch {
		case err == nil:
			return nil
		case first == nil && !refused(err):
			return err
		case first == nil:
			first = err
		case !refused(err):
			return fmt.Errorf("%w: %w", ykslot.ErrUnsettled, err)
		case !sameSequence(err, first):
			return fmt.Errorf("%w: the key refused it, but took a write meanwhile", ykslot.ErrUnsettled)
		}
	}
	return first
}

// ResumeChange settles a change with its key, which dev must be. An update and an erasure are done again: they come to the same. For a
// swap the slots are asked, by a challenge or a touch of slot 1, and the record follows what they say. done is false if the slots are
// as before, or if CodeLost; if the key refuses, the change is given up and the error says so.
func (r *Runner) ResumeChange(ctx context.Context, store Changes, dev SlotDevice, c token.SlotChange) (done bool, err error) {
	st, err := dev.ReadStatus(ctx)
	if err != nil {
		return false, &UnsettledError{c, err}
	}
	switch {
	case c.Work == token.Swap:
		swapped, err := r.swapped(ctx, dev, c, st)
		if err != nil {
			return false, &UnsettledError{c, err}
		}
		if !swapped {
			return false, store.DropChange(context.WithoutCancel(ctx), c.ID, "the slots are as before")
		}
		return true, r.settle(ctx, store, c, nil)
	case c.Work == token.Erase && !st.Configured(ykslot.Slot(c.Slot)):
		return true, r.settle(ctx, store, c, nil)
	case CodeLost(c):
		return false, store.DropChange(context.WithoutCancel(ctx), c.ID, "its access code is kept by nobody here, so it is not done again")
	}
	codes := []secret.Bytes{c.Code, guardOf(c, secret.Bytes{})}
	if c.Work == token.Erase {
		codes = codes[1:]
	}
	err = r.carryOut(ctx, dev, c, codes...)
	if err != nil && !refused(err) && !errors.Is(err, ykslot.ErrUnsettled) { // nothing was decided
		return false, &UnsettledError{c, err}
	}
	err = r.settle(ctx, store, c, err)
	return err == nil, err
}

// CodeLost reports whether a change was to leave a slot that is not ours with an access code, which nobody kept: doing it again would
// take the code away, so ResumeChange gives it up, and what the slot holds is for its owner to say.
func CodeLost(c token.SlotChange) bool {
	return c.Work == token.Update && c.Credential == nil && c.After.HasAccessCode
}

// swapped says whether the slots were swapped: by which of them is in use, by a challenge, or by what a touch of slot 1 types.
func (r *Runner) swapped(ctx context.Context, dev SlotDevice, c token.SlotChange, st ykslot.Status) (bool, error) {
	one, two := c.Credential, c.Other
	use := [2]bool{st.Configured(1), st.Configured(2)}
	switch {
	case use == [2]bool{true, false} && one != nil && two == nil, use == [2]bool{false, true} && two != nil && one == nil:
		return false, nil
	case use == [2]bool{false, true} && one != nil && two == nil, use == [2]bool{true, false} && two != nil && one == nil:
		return true, nil
	case one == nil && two == nil: // nothing in the store goes by it
		return false, nil
	}
	for i, was := range []*token.Credential{one, two} {
		if was == nil || was.Kind != token.ChallengeResponse {
			continue
		}
		before := token.Slot(1 + i)
		for _, slot := range []token.Slot{before, 3 - before} {
			asked := *was
			asked.Slot = slot
			ok, err := r.answers(ctx, dev, asked)
			if err != nil {
				return false, err
			}
			if ok {
				return slot != before, nil
			}
		}
	}
	return r.touched(ctx, dev, one, two)
}

// touched asks for a touch of slot 1. What neither is of ours, of which one is known, was of the other slot.
func (r *Runner) touched(ctx context.Context, dev SlotDevice, one, two *token.Credential) (bool, error) {
	cs, err := candidates(one, two)
	if err != nil {
		return false, err
	}
	if len(cs) == 0 {
		return false, ErrUnknownSlots
	}
	defer destroy(cs)
	var who *token.Credential
	tries := 0
	err = r.eachPress(ctx, dev, due(cs), func(typed string) bool {
		var why Mispress
		if who, _, why = r.identify(typed, cs); who == nil {
			r.mispressed(why)
		}
		tries++
		return who != nil || tries == 2
	})
	_, anybody := dev.(SecondHand)
	switch {
	case err != nil:
		return false, err
	case who == nil && (anybody || one != nil && two != nil):
		return false, ErrUnknownSlots
	case who == nil:
		return one != nil, nil
	}
	return two != nil && who.ID == two.ID, nil
}
