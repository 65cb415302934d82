package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// tries is how often one key is begun anew while it is in its port: after an undo, a report that was lost, or a change by somebody
// else.
const tries = 3

// work brings the key to a settled state, or to ctx's end.
func (v *visit) work(ctx context.Context) {
	if !v.at.OTP {
		why, text := AsideModel(v.at.Model)
		v.putAside(why, text)
		return
	}
	v.say(Waiting, "")
	if !v.enter(ctx) {
		return
	}
	defer v.leave()
	v.say(Opening, "")
	if !v.open(ctx) || !v.claim(ctx) {
		return
	}
	defer v.release(false)
	v.left = tries
	for ctx.Err() == nil && v.once(ctx) {
	}
}

// anew reports whether the key may be looked up and begun once more.
func (v *visit) anew() bool {
	v.left--
	return v.left > 0
}

// open opens the key and reads its serial.
func (v *visit) open(ctx context.Context) bool {
	key, err := v.Bus.Open(ctx, v.at)
	var unwanted *UnwantedError
	switch {
	case errors.Is(err, usbhid.ErrGone), ctx.Err() != nil:
		if err == nil {
			_ = key.Close() // nothing was asked of it
		}
		return false
	case errors.Is(err, usbhid.ErrPermission), errors.Is(err, usbhid.ErrBusy), errors.Is(err, usbhid.ErrNotBuiltIn):
		v.fail(ctx, err)
		return false
	case errors.As(err, &unwanted):
		v.serial = unwanted.Serial
		v.putAside(unwanted.Reason, unwanted.Err.Error())
		return false
	case err != nil:
		v.putAside(token.AsideSilent, err.Error())
		return false
	}
	v.key, v.serial = key, key.Serial()
	if v.serial == 0 {
		v.putAside(token.AsideNoSerial, "a key without a visible serial number cannot be found again after an interruption")
		return false
	}
	return true
}

// once looks the key up and does what is due; true: look again.
func (v *visit) once(ctx context.Context) (again bool) {
	v.mu.Lock()
	v.seen = v.changed
	v.mu.Unlock()
	var st token.Standing
	err := v.try(ctx, func(ctx context.Context) (err error) {
		st, err = v.Store.Standing(ctx, v.Batch.ID, v.serial, v.Spec.Slot)
		return err
	})
	if err != nil {
		v.fail(ctx, err)
		return false
	}
	defer st.Destroy()
	if st.Item != nil {
		v.item = *st.Item
	}
	why, text := asideStanding(st, v.Spec.Slot)
	switch {
	case st.Item != nil && st.Item.State == token.ItemDone:
		v.say(Again, "")
		return false
	case st.Item != nil && st.Entry != nil:
		return v.resume(ctx, *st.Entry)
	case why != "":
		v.putAside(why, text)
		return false
	}
	return v.write(ctx, st)
}

// write makes the plan and runs it.
func (v *visit) write(ctx context.Context, st token.Standing) (again bool) {
	status := v.key.Status()
	spec := v.Spec
	spec.Holder, spec.Verify = nil, token.NoProof // the store decides by the position
	plan, err := provision.BuildPlan(spec, provision.Have{
		Serial: v.serial, Version: status.Version, InUse: [2]bool{status.Configured(1), status.Configured(2)}, Token: st.Token, Live: st.Live,
	})
	if err != nil {
		return v.refused(ctx, err)
	}
	if ctx.Err() != nil {
		return false
	}
	res, err := v.runner(ctx, 0).Run(v.abandon, drive{v.key, ctx}, plan)
	return v.ended(ctx, res, err)
}

// resume settles an interrupted write of this batch, by a touch. A slot that something foreign was overwritten in may not type at all:
// there, if nothing was confirmed, the wait is bounded and the sealed secret is written again.
func (v *visit) resume(ctx context.Context, e token.Entry) (again bool) {
	wait := v.TouchWait
	if e.Phase == token.Written || e.Reason == "" {
		wait = 0
	}
	res, err := v.runner(ctx, wait).Resume(v.abandon, drive{v.key, ctx}, e)
	return v.ended(ctx, res, err)
}

// runner is one Runner for one write.
func (v *visit) runner(ctx context.Context, wait time.Duration) *provision.Runner {
	return &provision.Runner{
		Ledger: &ledger{visit: v, here: ctx}, Rand: v.Rand, Now: v.Now, TouchWait: wait,
		Progress: func(s provision.Step) {
			if s != provision.StepDone { // the totals change with it
				v.say(stateOf(s), "")
			}
		},
		Mispress: func(why provision.Mispress) { v.say(Touch, string(why)) },
	}
}

// ended tells how a run or a resume ended; true: look again.
func (v *visit) ended(ctx context.Context, res provision.Result, err error) (again bool) {
	var open *provision.UncertainError
	switch {
	case errors.As(err, &open):
		if ctx.Err() == nil && v.abandon.Err() == nil && !errors.Is(err, usbhid.ErrGone) && v.anew() {
			return true
		}
		v.release(true)
		v.say(Uncertain, uncertainText(open))
		return false
	case err != nil:
		v.item = token.BatchItem{}
		return v.refused(ctx, err)
	case res.Outcome == provision.Undone: // the slot holds what it held before: begin anew
		v.item = token.BatchItem{}
		v.mu.Lock()
		v.change()
		v.mu.Unlock()
		return v.anew()
	}
	v.mu.Lock()
	v.done[v.item.Position] = true
	v.mu.Unlock()
	v.say(Done, "")
	v.finishIfAll()
	return false
}

// uncertainText is what the operator must do.
func uncertainText(open *provision.UncertainError) string {
	if errors.Is(open.Err, context.Canceled) {
		return fmt.Sprintf("interrupted: plug key %s in again", open.Entry.Serial)
	}
	return fmt.Sprintf("plug key %s in again: %v", open.Entry.Serial, open.Err)
}

// refused is an error after which nothing of ours is on the key.
func (v *visit) refused(ctx context.Context, err error) (again bool) {
	why, text := asideOf(err)
	switch {
	case errors.Is(err, usbhid.ErrGone), errors.Is(err, context.Canceled), why == token.AsideSilent && ctx.Err() != nil:
		return false
	case errors.Is(err, token.ErrBatchFull):
		if _, err := v.count(ctx); err != nil {
			v.fail(ctx, err)
			return false
		}
		v.finishIfAll()
		return v.waitPlace(ctx)
	case errors.Is(err, token.ErrBatchClosed), errors.Is(err, provision.ErrBadSpec), permanent(err):
		v.stop(err)
		return false
	case (why == token.AsideSilent || why == token.AsideUnsettled) && v.anew():
		return true
	}
	v.putAside(why, text)
	return false
}

// waitPlace lets the lane go while all places are taken, until one may be free.
func (v *visit) waitPlace(ctx context.Context) bool {
	v.say(Waiting, "all places of the batch are taken")
	v.leave()
	return waitChange(ctx, v.seen) && v.enter(ctx)
}
