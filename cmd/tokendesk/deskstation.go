package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// station performs an appointment's effects on devices, store and printer. perform and close are called by one goroutine.
type station struct {
	a         *app
	store     enroller
	options   appointment.Station
	transport transport
	intake    *intake // set before anything is performed
	print     printer
	cards     *deskCards // nil: the slot is all
	post      func(any)  // events, from any goroutine

	ctx    context.Context // of everything that is under way
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex
	halts map[appointment.Job]context.CancelFunc
	ports map[string]usbhid.Attached
	held  *key

	revoke []string // certificates of replaced tokens, for the end
}

func (a *app) newStation(ctx context.Context, store enroller, o appointment.Station, t transport, p printer, post func(any)) *station {
	s := &station{
		a: a, store: patient{store}, options: o, transport: t, print: p, post: post,
		halts: map[appointment.Job]context.CancelFunc{}, ports: map[string]usbhid.Attached{},
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // a signal is an event like others: what is written is finished
	return s
}

// close waits for what is under way, stopping it between two steps, and gives the key back.
func (s *station) close() {
	s.cancel()
	s.work.Wait()
	s.free("")
}

// watch tells of what is plugged in and pulled out.
func (s *station) watch() {
	s.work.Go(func() {
		ticks, stop := s.a.tick()
		defer stop()
		for s.ctx.Err() == nil {
			for e, err := range s.a.bus.watch(s.ctx, ticks) {
				if err == nil {
					s.plugged(e)
				}
			}
			select { // a bus that cannot be read is looked at again
			case <-s.ctx.Done():
			case <-ticks:
			}
		}
	})
}

func (s *station) plugged(e usbhid.Event) {
	s.mu.Lock()
	_, known := s.ports[e.Key.Path]
	if e.Arrived {
		s.ports[e.Key.Path] = e.Key
	} else {
		delete(s.ports, e.Key.Path)
	}
	s.mu.Unlock()
	switch {
	case e.Arrived && !known:
		s.post(appointment.Arrived{Port: e.Key.Path, Product: s.a.mark(printable(productName(e.Key))), OTP: e.Key.OTP})
	case !e.Arrived && known:
		s.post(appointment.Removed{Port: e.Key.Path})
	}
}

// perform begins an effect; its answer is posted.
func (s *station) perform(e appointment.Effect) {
	switch e := e.(type) {
	case appointment.Search:
		s.begin(0, func(ctx context.Context) any { return s.search(ctx, e) })
	case appointment.Load:
		s.begin(e.Job, func(ctx context.Context) any { return s.load(ctx, e) })
	case appointment.Inspect:
		s.begin(e.Job, func(ctx context.Context) any { return s.inspect(ctx, e) })
	case appointment.Write:
		s.begin(e.Job, func(ctx context.Context) any { return s.write(ctx, e) })
	case appointment.Resume:
		s.begin(e.Job, func(ctx context.Context) any { return s.resume(ctx, e) })
	case appointment.Bind:
		s.begin(e.Job, func(ctx context.Context) any { return s.bind(ctx, e) })
	case appointment.Redeem:
		s.begin(e.Job, func(ctx context.Context) any { return s.redeem(ctx, e) })
	case appointment.GiveUp:
		s.begin(e.Job, func(ctx context.Context) any { return s.giveUp(ctx, e) })
	case appointment.Equip:
		s.begin(e.Job, func(ctx context.Context) any { return s.equip(ctx, e) })
	case appointment.Print:
		s.begin(e.Job, func(ctx context.Context) any { return s.receipt(ctx, e) })
	case appointment.Wait:
		s.begin(e.Job, func(ctx context.Context) any { return s.wait(ctx, e) })
	case appointment.Free:
		s.free(e.Port)
	case appointment.Halt:
		s.mu.Lock()
		defer s.mu.Unlock()
		if stop := s.halts[e.Job]; stop != nil {
			stop()
		}
	}
}

func (s *station) begin(job appointment.Job, do func(context.Context) any) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	s.halts[job] = cancel
	s.mu.Unlock()
	s.work.Go(func() {
		defer cancel()
		defer s.brokenly()
		answer := do(ctx)
		s.mu.Lock()
		delete(s.halts, job)
		s.mu.Unlock()
		s.post(answer)
	})
}

// broken is a defect in a goroutine of the station. The loop panics with it, for its front gives the terminal back.
type broken struct {
	why   any
	stack []byte
}

func (b broken) String() string { return fmt.Sprintf("%v\n%s", b.why, b.stack) }

// brokenly is deferred.
func (s *station) brokenly() {
	if why := recover(); why != nil {
		s.post(broken{why, debug.Stack()})
	}
}

// wait is the pace at which something is tried again.
func (s *station) wait(ctx context.Context, e appointment.Wait) any {
	ticks, stop := s.a.tick()
	defer stop()
	select {
	case <-ctx.Done():
	case <-ticks:
	}
	return appointment.Again(e)
}

func (s *station) search(ctx context.Context, e appointment.Search) any {
	query := e.Query
	if s.print.press != nil {
		if scan := s.print.press.Scan(query); scan.Kind == paper.ScanPerson {
			query = scan.Value // the person's card
		}
	}
	hits, err := s.store.Search(ctx, query, mostHits)
	var away *awayError
	if errors.As(err, &away) {
		return appointment.Found{Query: e.Query, Down: oneLine(away.err)}
	}
	return appointment.Found{Query: e.Query, Hits: hits} // what is no query finds nobody
}

func (s *station) load(ctx context.Context, e appointment.Load) any {
	p, list, err := s.store.PersonHolds(ctx, e.Account)
	if errors.Is(err, token.ErrNotFound) {
		return appointment.Loaded{Job: e.Job}
	}
	if err != nil {
		return s.failed(e.Job, err)
	}
	entries, err := s.store.Open(ctx)
	defer destroyEntries(entries)
	if err != nil {
		return s.failed(e.Job, err)
	}
	l := appointment.Loaded{Job: e.Job, Person: p, Tokens: list}
	for _, x := range entries {
		if x.Slot != 0 && x.Holder != nil && x.Holder.ID == p.ID { // accounts are settled by: provision resume
			l.Open = append(l.Open, openOf(x))
		}
	}
	return l
}

func openOf(e token.Entry) appointment.Open {
	o := appointment.Open{Entry: e.ID, Credential: e.Credential.ID, Serial: e.Serial, Slot: e.Slot, Phase: e.Phase}
	if e.Holder != nil {
		o.Account = e.Holder.Account
	}
	return o
}

// inspect opens a key, keeps it, and asks the store about it.
func (s *station) inspect(ctx context.Context, e appointment.Inspect) any {
	s.free("")
	s.mu.Lock()
	at, in := s.ports[e.Port]
	s.mu.Unlock()
	if !in {
		return appointment.Failed{Job: e.Job, Trouble: appointment.KeyGone, Why: "the key was pulled out"}
	}
	if err := s.cards.takes(at); err != nil {
		return s.failed(e.Job, err)
	}
	k, err := s.intake.open(ctx, s.a, at, s.transport)
	if err != nil {
		return s.failed(e.Job, err)
	}
	if k.dev == nil { // what a smart card types would go into the desk's own screen
		k.close()
		return s.failed(e.Job, errors.Join(errNoKeyboard, k.denied))
	}
	key, err := s.know(ctx, k)
	if err != nil {
		k.close()
		return s.failed(e.Job, err)
	}
	s.mu.Lock()
	s.held = k
	s.mu.Unlock()
	return appointment.Inspected{Job: e.Job, Key: key}
}

// know is what key and store say, without secrets.
func (s *station) know(ctx context.Context, k *key) (appointment.Key, error) {
	out := appointment.Key{Port: k.attached.Path, Product: s.a.mark(printable(productName(k.attached)))}
	if err := s.cards.fits(k.version()); err != nil {
		return out, err
	}
	have, err := s.have(ctx, k)
	if err != nil {
		return out, err
	}
	destroyLive(have)
	for i := range have.Live {
		have.Live[i].Secrets = token.Secrets{}
	}
	out.Have, out.Class = have, classOf(s.options.Spec, have)
	entries, err := s.store.Open(ctx)
	defer destroyEntries(entries)
	if err == nil {
		out.Lacks, err = s.cards.lacks(ctx, have, entries)
	}
	for _, x := range entries {
		if x.Serial == k.serial && k.serial != 0 && x.Slot != 0 && (out.Open == nil || x.Slot == s.options.Spec.Slot) {
			o := openOf(x)
			out.Open = &o
		}
	}
	return out, err
}

// classOf says whose configuration the slot holds.
func classOf(want provision.Spec, have provision.Have) provision.Class {
	plan, err := provision.BuildPlan(want, have)
	var refused *provision.RefusedError
	if errors.As(err, &refused) {
		return refused.Class
	}
	return plan.Class
}

// have is what a plan starts from. The caller destroys its secrets.
func (s *station) have(ctx context.Context, k *key) (provision.Have, error) {
	have := provision.Have{Serial: k.serial, Version: k.version(), InUse: k.inUse()}
	if k.serial == 0 { // the plan refuses it
		return have, nil
	}
	var err error
	have.Token, have.Live, err = s.store.Slots(ctx, k.serial)
	if errors.Is(err, token.ErrNotFound) {
		err = nil
	}
	return have, err
}

// free gives back the key that is held, if it is in that port, or anywhere.
func (s *station) free(port string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil && (port == "" || s.held.attached.Path == port) {
		s.held.close()
		s.held = nil
	}
}

func (s *station) holding() *key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func (s *station) giveUp(ctx context.Context, e appointment.GiveUp) any {
	k, live, err := s.store.Slots(ctx, e.Serial)
	destroyLive(provision.Have{Live: live})
	if err == nil {
		_, err = s.store.Retire(ctx, desk.ByID(k.ID), e.Note)
	}
	if err != nil {
		return s.failed(e.Job, err)
	}
	return appointment.Ended{Job: e.Job}
}

// failed says what kind of trouble an error is.
func (s *station) failed(job appointment.Job, err error) appointment.Failed {
	f := appointment.Failed{Job: job, Trouble: troubleOf(err), Why: explain(err).line}
	var u *provision.UncertainError
	if errors.As(err, &u) {
		o := openOf(u.Entry)
		f.Left = &o
		f.Why = explain(u.Err).line
	}
	var rejected *ykslot.RejectedError
	if errors.As(err, &rejected) {
		f.Why = fmt.Sprintf("it refused the write: %s is locked by an access code that is not ours", rejected.Slot)
	}
	return f
}

// troubleOf sorts errors by what the operator can do.
func troubleOf(err error) appointment.Trouble {
	var away *awayError
	var rejected *ykslot.RejectedError
	var plan *provision.RefusedError
	var state *token.TransitionError
	var unwanted *batch.UnwantedError
	is := func(list ...error) bool {
		for _, e := range list {
			if errors.Is(err, e) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &away):
		return appointment.StoreAway
	case is(context.Canceled):
		return appointment.Halted
	case is(provision.ErrNoTouch):
		return appointment.NotTouched
	case is(usbhid.ErrGone):
		return appointment.KeyGone
	case is(usbhid.ErrPermission, usbhid.ErrBusy, token.ErrUnsettled, token.ErrConflict, usbhid.ErrTimeout):
		return appointment.KeyClosed
	case errors.As(err, &rejected), errors.As(err, &plan), errors.As(err, &unwanted), errors.As(err, &state), is(desk.ErrHeld, token.ErrDuplicate, journal.ErrNeedsServer, journal.ErrHeld, journal.ErrNotProven):
		return appointment.KeyRefused
	}
	return appointment.Fault
}
