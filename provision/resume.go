package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// NeedsDevice reports whether an open entry can be settled only with its key at hand.
func NeedsDevice(e token.Entry) bool { return e.Phase.Uncertain() && !seen(e) }

// seen reports whether a server refused an OTP of the new credential meanwhile, and kept its counters. That proves, as a
// touch would, that the slot holds the credential; writing it again would start its counters behind those.
func seen(e token.Entry) bool { return e.Credential.Counters.Use >= 0 }

// Settle ends an entry without its key: one of which nothing was sent to a device is given up, one whose OTP was seen is
// committed. token.ErrConflict: it has moved on meanwhile.
func (r *Runner) Settle(ctx context.Context, e token.Entry) (Result, error) {
	switch {
	case NeedsDevice(e):
		return Result{}, &UncertainError{Entry: e, Err: errors.New("its key is needed")}
	case e.Phase.Uncertain():
		return r.commit(ctx, e, &e.Credential.Counters)
	}
	if err := r.Ledger.Abort(ctx, e.ID, e.Phase, "interrupted before writing", nil); err != nil {
		return Result{}, err
	}
	return Result{Entry: e, Outcome: Undone}, nil
}

// Resume settles an entry with its key, which dev must be. It asks for a touch, or for challenge-response a challenge, and lets the
// key say what the slot holds:
//
//	output of the new credential     commit with its counters; no touch is needed if a server has seen one
//	output of the former credential  undo: nothing was written
//	anything else, or no touch       write the same sealed secret again (new, then former access code), then prove
//
// A second secret is never drawn. If the key refuses that write as well and never confirmed the first one, the slot is
// guarded by a code that is not ours and so holds neither: the entry is given up, and the error is the refusal.
func (r *Runner) Resume(ctx context.Context, dev Device, e token.Entry) (Result, error) {
	if !NeedsDevice(e) {
		return r.Settle(ctx, e)
	}
	if e.Slot == 0 { // an account: package oathaccount
		return Result{}, &UncertainError{Entry: e, Err: ErrBadSpec}
	}
	st, err := dev.ReadStatus(ctx)
	if err != nil {
		return Result{}, &UncertainError{Entry: e, Err: err}
	}
	asked := st.Configured(ykslot.Slot(e.Slot)) && !same(e.Credential, e.Former)
	if asked {
		res, settled, err := r.ask(ctx, dev, e)
		if settled || err != nil {
			return res, err
		}
	}
	if err := r.rewrite(ctx, dev, e); err != nil {
		return Result{}, err
	}
	if asked { // the counters start again: an OTP of before is no proof
		if err := dev.DropTyped(ctx); err != nil {
			return Result{}, &UncertainError{Entry: e, Err: err}
		}
	}
	res, err := r.finish(ctx, dev, e)
	res.Rewritten = true
	return res, err
}

// same reports whether a slot says the same with either: the operator gave the secret that was there.
func same(c token.Credential, former *token.Credential) bool {
	return former != nil && c.Kind == former.Kind && c.PublicID == former.PublicID &&
		c.Secrets.Key.Equal(former.Secrets.Key) && c.Secrets.PrivateID.Equal(former.Secrets.PrivateID)
}

// ask lets the slot tell which credential it holds, first by challenges, then by a touch. Not settled: it was neither, or no touch came.
func (r *Runner) ask(ctx context.Context, dev Device, e token.Entry) (res Result, settled bool, err error) {
	for _, c := range []*token.Credential{&e.Credential, e.Former} {
		if c == nil || c.Kind != token.ChallengeResponse || c.Secrets.Key.Len() == 0 {
			continue
		}
		ok, err := r.answers(ctx, dev, *c)
		switch {
		case errors.Is(err, ErrNoTouch): // it waits for one, so it is of this kind
			return Result{}, false, nil
		case err != nil:
			return Result{}, false, &UncertainError{Entry: e, Err: err}
		case ok:
			n := token.Fresh()
			n.At = r.Now()
			return r.told(ctx, e, c, n)
		}
	}
	cs, err := candidates(dev, &e.Credential, e.Former)
	if err != nil || len(cs) == 0 {
		return Result{}, false, err
	}
	defer destroy(cs)
	var who *token.Credential
	var counters token.Counters
	tries := 0
	err = r.eachPress(ctx, dev, StepTouch, due(cs), func(typed string) bool {
		var why Mispress
		if who, counters, why = r.identify(typed, cs); who == nil {
			r.mispressed(why)
		}
		tries++
		return who != nil || tries == 2 // the second chance is for a touch of the wrong length
	})
	switch {
	case errors.Is(err, ErrNoTouch):
		return Result{}, false, nil
	case err != nil:
		return Result{}, false, &UncertainError{Entry: e, Err: err}
	case who == nil:
		return Result{}, false, nil
	}
	return r.told(ctx, e, who, counters)
}

// told settles an entry whose slot told what it holds.
func (r *Runner) told(ctx context.Context, e token.Entry, who *token.Credential, c token.Counters) (Result, bool, error) {
	lctx := context.WithoutCancel(ctx)
	if who.ID == e.Credential.ID {
		r.passed(StepProven)
		res, err := r.commit(lctx, e, &c)
		return res, true, err
	}
	if err := r.Ledger.Abort(lctx, e.ID, e.Phase, "the slot still holds its former credential", &c); err != nil {
		return Result{}, true, &UncertainError{Entry: e, Err: err}
	}
	return Result{Entry: e, Outcome: Undone, Proof: &c}, true, nil
}

// rewrite writes the sealed secret again. Marking first makes sure that nobody settled the entry since it was read.
func (r *Runner) rewrite(ctx context.Context, dev Device, e token.Entry) error {
	if err := r.Ledger.Mark(ctx, e.ID, token.Writing); err != nil {
		return &UncertainError{Entry: e, Err: err}
	}
	err := r.write(ctx, dev, e, e.Credential.Secrets.AccessCode, formerCode(e.Former))
	switch {
	case err == nil:
		return nil
	case refused(err) && e.Phase == token.Writing:
		return r.failedWrite(ctx, e, err)
	}
	return &UncertainError{Entry: e, Err: fmt.Errorf("write the sealed secret again: %w", err)}
}
