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
		return Insist(codes, func(code secret.Bytes) error { return dev.Update(ctx, slot, f, c.Code, code) })
	case token.Erase:
		err := Insist(codes[:1], func(code secret.Bytes) error {
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

// Insist does something with each code that may guard the slot. A refusal is believed when every code was refused twice and the
// programming sequence stood still: a report may have been lost, or what looked refused may have gone through.
func Insist(codes []secret.Bytes, do func(code secret.Bytes) error) error {
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
// swap the slots are asked, by a challenge or a touch for each, and the record follows what they say. done is false if the slots are
// as before, or if Unknowable; if the key refuses, the change is given up and the error says so.
func (r *Runner) ResumeChange(ctx context.Context, store Changes, dev SlotDevice, c token.SlotChange) (done bool, err error) {
	st, err := dev.ReadStatus(ctx)
	if err != nil {
		return false, &UnsettledError{c, err}
	}
	switch {
	case c.Work == token.Swap && Unknowable(c):
		return false, store.DropChange(context.WithoutCancel(ctx), c.ID, "nothing of this store is in either slot, so which way they are is not known")
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
	case Unknowable(c):
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

// Unknowable reports whether nobody here can say what came of a change, so that ResumeChange gives it up: it was to leave a slot that is
// not ours with an access code, which nobody kept, and doing it again would take the code away; or neither of the slots that were
// swapped is ours.
func Unknowable(c token.SlotChange) bool {
	if c.Credential != nil || c.Other != nil {
		return false
	}
	return c.Work == token.Swap || c.Work == token.Update && c.After.HasAccessCode
}
