package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// Run takes keys until the batch has as many as it wants, or ctx ends. When ctx ends, writes that have begun are finished and nobody
// is waited for any more; when abandon ends, they are dropped where they are. Either way the next Run goes on.
// The error is nil if all keys are written, ctx's error after an interruption, or that of the bus or the store that ended the run.
func (e *Engine) Run(ctx, abandon context.Context) (Totals, error) {
	taking, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{
		Engine: e, taking: taking, stop: stop, abandon: abandon, free: make(chan struct{}, e.Lanes),
		lanes: map[string]*visit{}, working: map[token.Serial]*visit{}, uncertain: map[token.Serial]bool{}, done: map[int]bool{}, aside: e.Batch.Aside,
		changed: make(chan struct{}),
	}
	if err := r.begin(); err != nil {
		return r.totals(), err
	}
	for ev, err := range e.Bus.Watch(taking) {
		if err != nil {
			stop(err)
			break
		}
		r.take(ev)
	}
	r.visits.Wait()
	err := context.Cause(taking)
	if errors.Is(err, errAllDone) {
		err = nil
	}
	r.report(Event{Event: Ended, Step: StepClose})
	return r.totals(), err
}

// errAllDone ends the taking of keys.
var errAllDone = errors.New("all keys are written")

// run is one run of an Engine.
type run struct {
	*Engine
	taking  context.Context // ends when no more keys are taken
	stop    context.CancelCauseFunc
	abandon context.Context
	free    chan struct{} // holds a token for each key in work
	visits  sync.WaitGroup
	lanes   map[string]*visit // the last one of each port; owned by the goroutine of Run

	mu        sync.Mutex
	working   map[token.Serial]*visit
	uncertain map[token.Serial]bool
	done      map[int]bool // positions that are written, here or by another process
	aside     int
	away      bool          // the store
	changed   chan struct{} // closed and replaced when a key or a place has become free

	reporting sync.Mutex
}

// begin settles what an interruption left and needs no key, and counts the rest.
func (r *run) begin() error {
	err := r.try(r.taking, func(ctx context.Context) error {
		entries, err := r.Store.OpenItems(ctx, r.Batch.ID)
		if err != nil {
			return err
		}
		settler := provision.Runner{Ledger: r.Store, Rand: r.Rand, Now: r.Now}
		for _, e := range entries {
			if !provision.NeedsDevice(e) {
				if _, serr := settler.Settle(ctx, e); serr != nil && !errors.Is(serr, token.ErrConflict) {
					err = serr
				}
			}
			token.Standing{Entry: &e}.Destroy()
		}
		return err
	})
	if err != nil {
		return err
	}
	items, err := r.count(r.taking)
	if err != nil {
		return err
	}
	for _, i := range items {
		if i.State != token.ItemDone {
			r.uncertain[i.Serial] = true
		}
	}
	t := r.totals()
	r.report(Event{Event: Begun, Step: StepPlan, Detail: fmt.Sprintf("%d done, %d uncertain", t.Done, t.Uncertain)})
	r.finishIfAll()
	return nil
}

// count counts what is done, by this and by other processes that write the same batch.
func (r *run) count(ctx context.Context) (items []token.BatchItem, err error) {
	err = r.try(ctx, func(ctx context.Context) (err error) {
		items, err = r.Store.Items(ctx, r.Batch.ID)
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range items {
		if i.State == token.ItemDone {
			r.done[i.Position] = true
			delete(r.uncertain, i.Serial)
		}
	}
	return items, err
}

// take starts a lane for a key that came, and ends that of one that went.
func (r *run) take(ev usbhid.Event) {
	port := ev.Key.Path
	before := r.lanes[port]
	if before != nil {
		before.pulled()
	}
	if !ev.Arrived {
		return
	}
	gone, pulled := context.WithCancel(context.Background())
	v := &visit{run: r, at: ev.Key, gone: gone, pulled: pulled, over: make(chan struct{})}
	r.lanes[port] = v
	r.visits.Go(func() {
		defer close(v.over)
		if before != nil {
			<-before.over
		}
		v.stay()
	})
}

// totals are the numbers now.
func (r *run) totals() Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Totals{Wanted: r.Batch.Wanted, Done: len(r.done), Uncertain: len(r.uncertain), Aside: r.aside}
}

// report completes an event and hands it on.
func (r *run) report(e Event) {
	r.reporting.Lock()
	defer r.reporting.Unlock()
	e.Schema, e.Time, e.Batch, e.Totals = Schema, r.Now().UTC(), r.Batch.ID, r.totals()
	r.Report(e)
}

// finishIfAll ends the run when every key is written.
func (r *run) finishIfAll() {
	if t := r.totals(); t.Done >= t.Wanted {
		r.stop(errAllDone)
	}
}

// change wakes the lanes that wait for a key or a place. The caller holds mu.
func (r *run) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// waitChange waits for the next change; false if ctx ended.
func waitChange(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
