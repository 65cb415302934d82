package provision

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// swapRounds is how often both slots are asked for a touch until one of them was of each.
const swapRounds = 3

// swapped says whether the slots were swapped: by which of them is in use, by challenges, or by what a touch for each types.
func (r *Runner) swapped(ctx context.Context, dev SlotDevice, c token.SlotChange, st ykslot.Status) (bool, error) {
	one, two := c.Credential, c.Other
	use := [2]bool{st.Configured(1), st.Configured(2)}
	switch {
	case use == [2]bool{true, false} && one != nil && two == nil, use == [2]bool{false, true} && two != nil && one == nil:
		return false, nil
	case use == [2]bool{false, true} && one != nil && two == nil, use == [2]bool{true, false} && two != nil && one == nil:
		return true, nil
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
	if one == nil || two == nil {
		if ours, ok := beside(ctx, dev); ok {
			return (ours == 1) != (one != nil), nil
		}
	}
	return r.touched(ctx, dev, one, two)
}

// beside is the slot that takes no challenges while the other one does, and so types nothing.
func beside(ctx context.Context, dev Device) (slot ykslot.Slot, ok bool) {
	one, knownOne := takesChallenges(ctx, dev, ykslot.Slot1)
	two, knownTwo := takesChallenges(ctx, dev, ykslot.Slot2)
	if slot = ykslot.Slot1; one {
		slot = ykslot.Slot2
	}
	return slot, knownOne && knownTwo && one != two
}

// takesChallenges reports whether a slot answers one, or would if it were touched; not known if it neither did nor refused.
func takesChallenges(ctx context.Context, dev Device, slot ykslot.Slot) (takes, known bool) {
	answer, err := dev.ChallengeHMAC(ctx, slot, []byte{1}, ykslot.PadYubikit, nil)
	if refused(err) {
		answer, err = dev.ChallengeYubico(ctx, slot, [ykslot.YubicoChallengeLen]byte{}, nil)
	}
	answer.Destroy()
	takes = err == nil || errors.Is(err, ykslot.ErrTouchNeeded)
	return takes, takes || refused(err)
}

// touched asks for a touch for slot 1 and one for slot 2. How long a touch was does not show, and a long one for a short one would tell the
// opposite: so each must type what the other did not, one of them something of ours, and both where both are ours.
//
//	what slot 1, what slot 2 typed       the slots are
//	one's, two's or nothing of ours      as before
//	two's or nothing of ours, one's      swapped
//	two's, nothing of ours               swapped
//	nothing of ours, two's               as before
//	the same for both                    not known: both are asked again
//	nothing of ours, where both are      likewise
func (r *Runner) touched(ctx context.Context, dev SlotDevice, one, two *token.Credential) (bool, error) {
	cs, err := candidates(dev, one, two)
	if err != nil {
		return false, err
	}
	if len(cs) == 0 {
		return false, ErrUnknownSlots
	}
	defer destroy(cs)
	for range swapRounds {
		var who [2]*token.Credential
		for i, step := range []Step{StepTouch1, StepTouch2} {
			err := r.eachPress(ctx, dev, step, due(cs), func(typed string) bool {
				who[i], _, _ = r.identify(typed, cs)
				return typed != ""
			})
			if err == nil && who[i] == nil { // what goes on behind an Enter is none of the next one
				err = dev.DropTyped(ctx)
			}
			if err != nil {
				return false, err
			}
		}
		switch first, second := who[0], who[1]; {
		case first == second:
			r.mispressed(SameSlot)
		case (first == nil || second == nil) && len(cs) == 2:
			r.mispressed(OtherOutput)
		case first != nil:
			return two != nil && first.ID == two.ID, nil
		default:
			return one != nil && second.ID == one.ID, nil
		}
	}
	return false, ErrUnknownSlots
}
