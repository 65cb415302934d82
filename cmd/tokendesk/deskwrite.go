package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// errNotHeld is a key that was given back before its work began.
var errNotHeld = fmt.Errorf("the key is not held: %w", usbhid.ErrGone)

// runner is one whose steps are events of a job.
func (s *station) runner(job appointment.Job) *provision.Runner {
	return &provision.Runner{
		Ledger: s.store, Rand: s.a.rand, Now: s.a.now, TouchWait: s.a.touchWait,
		Progress: func(p provision.Step) { s.post(appointment.Passed{Job: job, Step: p}) },
		Mispress: func(why provision.Mispress) { s.post(appointment.Missed{Job: job, Why: why}) },
	}
}

// write writes the key that is held for a person. In a video appointment nobody holds it until it is shipped.
func (s *station) write(ctx context.Context, e appointment.Write) any {
	k := s.holding()
	if k == nil {
		return s.failed(e.Job, errNotHeld)
	}
	p, _, err := s.store.PersonHolds(ctx, e.Order.Account)
	if err != nil {
		return s.failed(e.Job, err)
	}
	have, err := s.have(ctx, k)
	defer destroyLive(have)
	if err != nil {
		return s.failed(e.Job, err)
	}
	want := s.options.Spec
	if !s.options.Video {
		want.Holder = &p
		want.Handover = token.Handover{IDCheck: e.Order.Check, Replace: e.Order.Replace, Note: e.Order.Note()}
	}
	plan, err := provision.BuildPlan(want, have)
	if err != nil {
		return s.failed(e.Job, err)
	}
	res, err := s.runner(e.Job).Run(ctx, k.device(), plan)
	if err != nil {
		return s.failed(e.Job, err)
	}
	if s.options.Video {
		return s.ship(ctx, e.Job, res.Entry.Token, e.Order)
	}
	return appointment.Ended{Job: e.Job, Done: s.doneOf(ctx, res)}
}

// resume settles what an interruption left, with the key that is held where it is needed.
func (s *station) resume(ctx context.Context, e appointment.Resume) any {
	entries, err := s.store.Open(ctx)
	defer destroyEntries(entries)
	if err != nil {
		return s.failed(e.Job, err)
	}
	for _, x := range entries {
		if x.ID != e.Entry {
			continue
		}
		var res provision.Result
		k := s.holding()
		switch {
		case !provision.NeedsDevice(x):
			res, err = s.runner(e.Job).Settle(ctx, x)
		case k == nil || k.serial != x.Serial:
			err = &provision.UncertainError{Entry: x, Err: errNotHeld}
		default:
			res, err = s.runner(e.Job).Resume(ctx, k.device(), x)
		}
		if err != nil {
			return s.failed(e.Job, err)
		}
		if res.Outcome == provision.Undone {
			return appointment.Ended{Job: e.Job}
		}
		return appointment.Ended{Job: e.Job, Done: s.doneOf(ctx, res)}
	}
	return appointment.Ended{Job: e.Job} // somebody else settled it
}

// doneOf is what was issued; nil if nobody holds it.
func (s *station) doneOf(ctx context.Context, res provision.Result) *appointment.Done {
	h := res.Entry.Holder
	if h == nil {
		return nil
	}
	d := appointment.Done{
		Token: res.Entry.Token, Account: h.Account, Name: h.Name, Serial: res.Entry.Serial, Slot: res.Entry.Slot, PublicID: res.Entry.Credential.PublicID.String(), Proof: res.Proof,
	}
	if r, err := s.store.ReceiptOf(ctx, res.Entry.Token); err == nil { // without one, the printed receipt has no number
		d.Receipt, d.Check, d.Replaced, d.Pending = r.Ref(), r.IDCheck, r.Replaces, r.Pending
	}
	d.Revoke = s.toRevoke(ctx, res.Entry.Handover.Replace)
	return &d
}

// toRevoke names the certificates of the token that was replaced, which still let in whoever has it; they are said at the end, too. A
// station without the store does not know them.
func (s *station) toRevoke(ctx context.Context, old token.ID) (lines []string) {
	st := s.store.beside()
	if old == 0 || st == nil {
		return nil
	}
	d := s.a.desk(st)
	var r desk.Remains
	t, err := inTime(ctx, func(ctx context.Context) (t token.Token, err error) {
		if t, err = d.Find(ctx, desk.ByID(old)); err == nil {
			r, err = d.Remains(ctx, t)
		}
		return t, err
	})
	if err != nil {
		lines = append(lines, fmt.Sprintf("what certificates the replaced token has is not known (%s): tokendesk token show", oneLine(err)))
	}
	for _, c := range shownRemains(r).Certificates {
		lines = append(lines, printable(desk.Name(t))+", "+certificateLine(c))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke = append(s.revoke, lines...)
	return lines
}

// issueOf is an order for a key from stock.
func issueOf(o appointment.Order) desk.Issue {
	i := desk.Issue{To: o.Account, IDCheck: o.Check, Note: o.Note()}
	if o.Replace != 0 {
		i.Replace = desk.ByID(o.Replace)
	}
	return i
}

// ship sends a key that nobody holds, and says the number that goes with it.
func (s *station) ship(ctx context.Context, job appointment.Job, id token.ID, o appointment.Order) any {
	i := issueOf(o)
	sent, err := s.store.Ship(context.WithoutCancel(ctx), desk.ByID(id), desk.Ship{To: i.To, IDCheck: i.IDCheck, Replace: i.Replace, Note: i.Note})
	defer sent.Number.Destroy()
	if err != nil {
		return s.failed(job, err)
	}
	d := doneFrom(sent.Token, sent.Receipt)
	d.Shipped, d.Call = true, string(sent.Number.Reveal())
	return appointment.Ended{Job: job, Done: &d}
}

func doneFrom(t token.Token, r token.Receipt) appointment.Done {
	return appointment.Done{
		Token: t.ID, Account: r.Account, Name: r.Name, Serial: t.Serial, Label: t.Label, Slot: r.Slot, PublicID: r.PublicID.String(), Check: r.IDCheck, Replaced: r.Replaces,
		Receipt: r.Ref(), Pending: r.Pending,
	}
}

// bind waits for a touch of the key from stock that is held, and issues it; one that goes by post is proven when it arrives.
func (s *station) bind(ctx context.Context, e appointment.Bind) any {
	k := s.holding()
	if k == nil {
		return s.failed(e.Job, errNotHeld)
	}
	have, err := s.have(ctx, k)
	destroyLive(have)
	if err != nil {
		return s.failed(e.Job, err)
	}
	if s.options.Video {
		return s.ship(ctx, e.Job, have.Token.ID, e.Order)
	}
	s.post(appointment.Passed{Job: e.Job, Step: provision.StepTouch})
	for {
		otp, err := k.device().Press(ctx, 0)
		if err != nil {
			return s.failed(e.Job, err)
		}
		t, r, proof, err := s.store.Bind(context.WithoutCancel(ctx), otp, issueOf(e.Order))
		switch {
		case errors.Is(err, token.ErrNotFound):
			s.post(appointment.Missed{Job: e.Job, Why: provision.OtherOutput})
		case err != nil:
			return s.failed(e.Job, err)
		case proof != desk.Proven:
			s.post(appointment.Missed{Job: e.Job, Why: mispress(proof)})
		default:
			s.post(appointment.Passed{Job: e.Job, Step: provision.StepProven})
			d := doneFrom(t, r)
			d.Revoke = s.toRevoke(ctx, e.Order.Replace)
			return appointment.Ended{Job: e.Job, Done: &d}
		}
	}
}

func mispress(p desk.Proof) provision.Mispress {
	switch p {
	case desk.NoCode:
		return provision.OtherOutput
	case desk.WrongCode:
		return provision.NotDecrypting
	}
	return provision.Mispress(p)
}

// redeem issues the key from stock whose OTP was typed.
func (s *station) redeem(ctx context.Context, e appointment.Redeem) any {
	t, r, proof, err := s.store.Bind(context.WithoutCancel(ctx), e.OTP, issueOf(e.Order)) // an answer to Halt would leave it in doubt
	var away *awayError
	switch {
	case errors.As(err, &away) || errors.Is(err, context.Canceled):
		return s.failed(e.Job, err)
	case errors.Is(err, token.ErrNotFound):
		return appointment.Failed{Job: e.Job, Trouble: appointment.WrongTouch, Why: "the key that was touched is not of this store"}
	case err != nil:
		return appointment.Failed{Job: e.Job, Trouble: appointment.WrongTouch, Why: "the key that was touched is not issued: " + explain(err).line}
	case proof != desk.Proven:
		return appointment.Failed{Job: e.Job, Trouble: appointment.WrongTouch, Why: "the key that was touched is not issued: " + string(proof)}
	}
	d := doneFrom(t, r)
	d.Revoke = s.toRevoke(ctx, e.Order.Replace)
	return appointment.Ended{Job: e.Job, Done: &d}
}
