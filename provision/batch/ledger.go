package batch

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/provision/token"
)

// try calls f until the store answers, or ctx ends, at least once. While the store is away the run is paused: every lane comes to such
// a call before it writes. f is not cut off by ctx, only when the run is abandoned.
func (r *run) try(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(r.abandon)
		if err == nil || isAnswer(err) {
			r.setAway(false, "")
			return err
		}
		if r.abandon.Err() != nil || permanent(err) {
			return err
		}
		r.setAway(true, err.Error())
		if ctx.Err() != nil || r.Pause(ctx) != nil {
			return err
		}
	}
}

// isAnswer: the store is there, and says no.
func isAnswer(err error) bool {
	var t *token.TransitionError
	for _, is := range []error{token.ErrNotFound, token.ErrDuplicate, token.ErrUnsettled, token.ErrConflict, token.ErrBatchFull, token.ErrBatchClosed} {
		if errors.Is(err, is) {
			return true
		}
	}
	return errors.As(err, &t)
}

// permanent: waiting does not help.
func permanent(err error) bool {
	for _, is := range []error{token.ErrIntegrity, token.ErrWrongKey, token.ErrNewer, token.ErrMoved} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// setAway tells once when the store went and when it came back.
func (r *run) setAway(away bool, why string) {
	r.mu.Lock()
	same := r.away == away
	r.away = away
	r.mu.Unlock()
	switch {
	case same:
	case away:
		r.report(Event{Event: Paused, Step: StepWrite, Detail: why})
	default:
		r.report(Event{Event: Resumed, Step: StepWrite})
	}
}

// ledger is the Store as the Runner of one visit has it: patient, and with a place in the batch. A call that failed may have been
// carried out, so what is asked again looks first. What comes before the write is given up when the key is pulled out.
type ledger struct {
	visit *visit
	here  context.Context
}

// now is what the store knows of the key.
func (l *ledger) now(ctx context.Context) (token.Standing, error) {
	return l.visit.Store.Standing(ctx, l.visit.Batch.ID, l.visit.serial, l.visit.Spec.Slot)
}

// settled is a fact about what the store has now, for a call that may have been carried out before.
func (l *ledger) settled(ctx context.Context, so func(token.Standing) bool) bool {
	st, err := l.now(ctx)
	defer st.Destroy()
	return err == nil && so(st)
}

// Reserve implements provision.Ledger.
func (l *ledger) Reserve(_ context.Context, r token.Reservation) (e token.Entry, err error) {
	if err := l.here.Err(); err != nil {
		return e, err
	}
	v, asked := l.visit, false
	err = v.try(l.here, func(ctx context.Context) error {
		if asked {
			st, err := l.now(ctx)
			if err == nil && st.Item != nil && st.Entry != nil && st.Entry.Phase == token.Reserved { // no secrets yet
				e, v.item = *st.Entry, *st.Item
				return nil
			}
			if st.Destroy(); err != nil {
				return err
			}
		}
		asked = true
		var err error
		e, v.item, err = v.Store.ReserveItem(ctx, v.Batch.ID, r)
		return err
	})
	return e, err
}

// Seal implements provision.Ledger.
func (l *ledger) Seal(_ context.Context, id token.EntryID, s token.Secrets) error {
	return l.again(l.here, func(ctx context.Context) error { return l.visit.Store.Seal(ctx, id, s) }, func(st token.Standing) bool {
		return st.Entry != nil && st.Entry.ID == id && st.Entry.Phase == token.Sealed
	})
}

// Mark implements provision.Ledger.
func (l *ledger) Mark(_ context.Context, id token.EntryID, p token.Phase) error {
	until := l.visit.taking
	if p == token.Writing {
		if until = l.here; until.Err() != nil {
			return until.Err()
		}
	}
	return l.visit.try(until, func(ctx context.Context) error { return l.visit.Store.Mark(ctx, id, p) })
}

// Commit implements provision.Ledger.
func (l *ledger) Commit(_ context.Context, id token.EntryID, proof *token.Counters) error {
	return l.again(l.visit.taking, func(ctx context.Context) error { return l.visit.Store.Commit(ctx, id, proof) }, func(st token.Standing) bool {
		return st.Item != nil && st.Item.Entry == id && st.Item.State == token.ItemDone
	})
}

// Abort implements provision.Ledger.
func (l *ledger) Abort(_ context.Context, id token.EntryID, from token.Phase, reason string, former *token.Counters) error {
	return l.again(l.visit.taking, func(ctx context.Context) error { return l.visit.Store.Abort(ctx, id, from, reason, former) },
		func(st token.Standing) bool { return st.Item == nil && st.Entry == nil })
}

// again is try for a call that works once: when it was asked before, token.ErrConflict may mean that it was carried out.
func (l *ledger) again(until context.Context, call func(context.Context) error, done func(token.Standing) bool) error {
	asked := false
	return l.visit.try(until, func(ctx context.Context) error {
		err := call(ctx)
		if asked && errors.Is(err, token.ErrConflict) && l.settled(ctx, done) {
			return nil
		}
		asked = true
		return err
	})
}
