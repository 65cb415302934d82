package oathaccount

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Runner puts accounts. Its zero value lacks all but Progress, which may be nil.
type Runner struct {
	Ledger   provision.Ledger
	Rand     io.Reader // crypto/rand.Reader outside tests
	Now      func() time.Time
	Progress func(provision.Step) // called after each step; provision.StepTouch only for an account that asks for one
}

// Classify looks whose the account of that name on the key is: provision.Empty, Ours or Foreign. former is the live credential of that
// name, with its secrets, nil if there is none; a TOTP account that asks for no touch is ours only if it makes former's code.
func Classify(ctx context.Context, card Card, a oathapplet.Account, former *token.Credential, now time.Time) (provision.Class, error) {
	on, err := find(ctx, card, a.ID())
	switch {
	case err != nil:
		return "", err
	case on == nil:
		return provision.Empty, nil
	case former == nil || on.Kind != former.Kind:
		return provision.Foreign, nil
	case former.Kind == token.HOTP || former.Settings.Touch:
		return provision.Ours, nil
	}
	code, err := calculate(ctx, card, AccountOf(*former), now)
	if errors.Is(err, oathapplet.ErrTouchTimeout) { // ours asks for none
		return provision.Foreign, nil
	}
	if err != nil {
		return "", err
	}
	if _, ok := matches(*former, code, now, 1); !ok {
		return provision.Foreign, nil
	}
	return provision.Ours, nil
}

// find is the account of that name on the key; nil: there is none.
func find(ctx context.Context, card Card, id string) (*oathapplet.Account, error) {
	list, err := card.List(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(a oathapplet.Account) bool { return a.ID() == id })
	if i < 0 {
		return nil, nil
	}
	return &list[i], nil
}

// Run carries out a plan on the key it was made for. On a failure before the key was written, or a write that it refused, the store is
// as before; otherwise the error is a *provision.UncertainError and the entry waits for Resume. Cancelling ctx stops between two steps.
func (r *Runner) Run(ctx context.Context, card Card, p Plan) (provision.Result, error) {
	replace := p.Class != provision.Empty
	length := secret.New(make([]byte, seedLen(p.want))) // nothing is drawn, or recorded, for what the key would not take
	if err := card.Check(ctx, p.want.Account, length, p.want.Moving, replace); err != nil {
		return provision.Result{}, err
	}
	e, err := r.Ledger.Reserve(ctx, p.Reservation)
	if err != nil {
		return provision.Result{}, err
	}
	r.passed(provision.StepReserved)
	if e.Credential.Secrets.Key, err = r.seed(p.want); err != nil {
		return provision.Result{}, r.abort(ctx, e, err)
	}
	defer e.Credential.Secrets.Destroy()
	if err := r.Ledger.Seal(ctx, e.ID, e.Credential.Secrets); err != nil {
		return provision.Result{}, r.abort(ctx, e, err)
	}
	e.Phase = token.Sealed
	r.passed(provision.StepSealed)
	if err := r.Ledger.Mark(ctx, e.ID, token.Writing); err != nil {
		return provision.Result{}, r.abort(ctx, e, err)
	}
	e.Phase = token.Writing
	return r.write(ctx, card, e, replace)
}

// seed is a copy of the given secret, or a fresh one.
func (r *Runner) seed(want Spec) (secret.Bytes, error) {
	if want.Seed.Len() > 0 {
		return want.Seed.Clone(), nil
	}
	return secret.Random(r.Rand, seedLen(want))
}

// write puts the entry's account and proves it.
func (r *Runner) write(ctx context.Context, card Card, e token.Entry, replace bool) (provision.Result, error) {
	put := card.Put
	if replace {
		put = card.Replace
	}
	if err := put(ctx, AccountOf(e.Credential), e.Credential.Secrets.Key, next(e.Credential)); err != nil {
		if errors.Is(err, ykslot.ErrUnsettled) {
			return provision.Result{}, uncertain(e, err)
		}
		return provision.Result{}, r.abort(ctx, e, err)
	}
	lctx := context.WithoutCancel(ctx)
	if err := r.Ledger.Mark(lctx, e.ID, token.Written); err != nil {
		return provision.Result{}, uncertain(e, err)
	}
	e.Phase = token.Written
	r.passed(provision.StepWritten)
	if e.Proof == token.NoProof {
		return r.commit(lctx, e, nil)
	}
	proof, whose, err := r.ask(ctx, card, e, 1)
	if err == nil && whose != newOnes {
		err = ErrMismatch
	}
	if err != nil {
		return provision.Result{}, uncertain(e, err)
	}
	r.passed(provision.StepProven)
	return r.commit(lctx, e, &proof)
}

// next is the moving factor of the first code: that which follows what a server has seen.
func next(c token.Credential) int64 {
	if c.Kind != token.HOTP {
		return 0
	}
	return max(c.Counters.Moving+1, c.Settings.FirstMoving)
}

// owner says whose code an account made.
type owner int

const (
	nobodys owner = iota // that we know
	newOnes
	formerOnes
)

// ask lets the account make one code, and says whose that is, with the counters that it shows. window is how many HOTP codes ahead it
// may be.
func (r *Runner) ask(ctx context.Context, card Card, e token.Entry, window int64) (token.Counters, owner, error) {
	if e.Credential.Settings.Touch {
		r.passed(provision.StepTouch)
	}
	now := r.Now()
	code, err := calculate(ctx, card, AccountOf(e.Credential), now)
	if errors.Is(err, oathapplet.ErrTouchTimeout) {
		err = fmt.Errorf("%w: %w", provision.ErrNoTouch, err)
	}
	if err != nil {
		return token.Counters{}, nobodys, err
	}
	if moving, ok := matches(e.Credential, code, now, window); ok {
		n := token.Fresh()
		n.Moving, n.At = moving, now
		return n, newOnes, nil
	}
	if e.Former != nil {
		if _, ok := matches(*e.Former, code, now, window); ok {
			return token.Counters{}, formerOnes, nil
		}
	}
	return token.Counters{}, nobodys, nil
}

// calculate is the decimal code of an account, also of Steam's: one without an issuer of the same ID has it.
func calculate(ctx context.Context, card Card, a oathapplet.Account, now time.Time) (string, error) {
	if a.Steam() {
		step := oath.Step(now, periodOf(a))
		a, now = oathapplet.Account{Name: a.ID(), Kind: a.Kind}, time.Unix(step*int64(oathapplet.DefaultPeriod/time.Second), 0)
	}
	code, err := card.Calculate(ctx, a, now)
	return code.Value, err
}

func periodOf(a oathapplet.Account) time.Duration {
	if a.Period == 0 {
		return oathapplet.DefaultPeriod
	}
	return a.Period
}

// matches reports whether a code is the credential's, and what moving factor is used up by it. Of TOTP that is the step before, because
// nobody has seen the code: its holder may want it.
func matches(c token.Credential, code string, now time.Time, window int64) (moving int64, ok bool) {
	g, err := oath.New(c.Secrets.Key, oath.Hash(c.Settings.Hash), c.Settings.Digits)
	if err != nil {
		return 0, false
	}
	if c.Kind == token.TOTP {
		step := oath.Step(now, c.Settings.Period)
		return max(step-1, c.Counters.Moving), g.Code(step) == code
	}
	for n := range window {
		if g.Code(next(c)+n) == code {
			return next(c) + n, true
		}
	}
	return 0, false
}

func (r *Runner) commit(ctx context.Context, e token.Entry, proof *token.Counters) (provision.Result, error) {
	if err := r.Ledger.Commit(ctx, e.ID, proof); err != nil {
		return provision.Result{}, uncertain(e, err)
	}
	e.Phase = token.Committed
	r.passed(provision.StepDone)
	return provision.Result{Entry: e, Outcome: provision.Programmed, Proof: proof}, nil
}

func uncertain(e token.Entry, err error) error { return &provision.UncertainError{Entry: e, Err: err} }

// abort gives the entry up and returns cause, joined with what went wrong meanwhile.
func (r *Runner) abort(ctx context.Context, e token.Entry, cause error) error {
	if err := r.Ledger.Abort(context.WithoutCancel(ctx), e.ID, e.Phase, reason(cause), nil); err != nil {
		return errors.Join(cause, fmt.Errorf("give up the reservation: %w", err))
	}
	return cause
}

// reason is a short text for the audit chain.
func reason(cause error) string {
	switch {
	case errors.Is(cause, oathapplet.ErrFull):
		return "the key has no room"
	case errors.Is(cause, ErrNotOurs):
		return "the account on the key is not ours"
	case errors.Is(cause, context.Canceled):
		return "cancelled before writing"
	}
	return "the key was not written"
}

func (r *Runner) passed(s provision.Step) {
	if r.Progress != nil {
		r.Progress(s)
	}
}
