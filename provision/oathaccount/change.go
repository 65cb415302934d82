package oathaccount

import (
	"context"
	"errors"
	"slices"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Change records a work on accounts, carries it out on the key, and settles it. After a *provision.UnsettledError the key may be either
// way; after any other it is as before, and so is the store.
func (r *Runner) Change(ctx context.Context, book provision.Changes, card Card, c token.SlotChange) error {
	begun, err := book.BeginChange(ctx, c)
	if err != nil {
		return err
	}
	r.passed(provision.StepReserved)
	return r.settle(ctx, book, begun, CarryOut(ctx, card, begun))
}

// CarryOut does a work on accounts that no store has to follow.
func CarryOut(ctx context.Context, card Card, c token.SlotChange) error {
	switch c.Work {
	case token.ResetOATH:
		return card.Reset(ctx)
	case token.RenameAccount, token.RemoveAccount:
		on, err := find(ctx, card, c.Account)
		if err == nil && on == nil {
			err = oathapplet.ErrNoAccount
		}
		if err != nil {
			return err
		}
		if c.Work == token.RemoveAccount {
			return card.Delete(ctx, *on)
		}
		to := oathapplet.ParseID(c.After.Account, on.Kind)
		_, err = card.Rename(ctx, *on, to.Issuer, to.Name)
		return err
	}
	return provision.ErrBadSpec
}

// settle is what follows a work: nil, a refusal, or an outcome that was not seen. An account that is not there is removed.
func (r *Runner) settle(ctx context.Context, book provision.Changes, c token.SlotChange, err error) error {
	ctx = context.WithoutCancel(ctx)
	switch {
	case c.Work == token.RemoveAccount && errors.Is(err, oathapplet.ErrNoAccount):
	case errors.Is(err, ykslot.ErrUnsettled):
		return &provision.UnsettledError{Change: c, Err: err}
	case err != nil:
		if e := book.DropChange(ctx, c.ID, reason(err)); e != nil {
			return errors.Join(err, e)
		}
		return err
	}
	r.passed(provision.StepWritten)
	if err := book.EndChange(ctx, c.ID); err != nil {
		return &provision.UnsettledError{Change: c, Err: err}
	}
	r.passed(provision.StepDone)
	return nil
}

// ResumeChange settles a change with its key. A removal and a renaming that did not happen are done again; a reset is not: it is given
// up, for whoever wants it to say so again; nor is a removal where the account on the key is not the one that was to go. ours are the names of the store's live accounts on the key; locked: a password guards it,
// which a reset would have taken away. done is false if the key is as before.
func (r *Runner) ResumeChange(ctx context.Context, book provision.Changes, card Card, c token.SlotChange, ours []string, locked bool) (done bool, err error) {
	open := func(err error) (bool, error) { return false, &provision.UnsettledError{Change: c, Err: err} }
	end := func(err error) (bool, error) {
		err = r.settle(ctx, book, c, err)
		return err == nil, err
	}
	drop := func(why string) (bool, error) { return false, book.DropChange(context.WithoutCancel(ctx), c.ID, why) }
	if c.Work == token.ResetOATH && locked {
		return drop("the key was not reset")
	}
	list, err := card.List(ctx)
	if err != nil {
		return open(err)
	}
	on := func(id string) bool {
		return slices.ContainsFunc(list, func(a oathapplet.Account) bool { return a.ID() == id })
	}
	switch {
	case c.Work == token.ResetOATH && (slices.ContainsFunc(ours, on) || len(ours) == 0 && len(list) > 0):
		return drop("the key was not reset")
	case c.Work == token.ResetOATH, c.Work == token.RemoveAccount && !on(c.Account), c.Work == token.RenameAccount && !on(c.Account) && on(c.After.Account):
		return end(nil)
	case !on(c.Account):
		return drop("the account is on the key under neither name")
	}
	if c.Work == token.RemoveAccount && c.Credential != nil { // ours may be gone, and another program's be there under its name
		class, err := Classify(ctx, card, AccountOf(*c.Credential), c.Credential, r.Now())
		if err != nil {
			return open(err)
		}
		if class == provision.Foreign {
			return end(nil)
		}
	}
	err = CarryOut(ctx, card, c)
	if err != nil && !refused(err) && !errors.Is(err, ykslot.ErrUnsettled) { // nothing was decided
		return open(err)
	}
	return end(err)
}

// refused reports whether the key, or the look before a renaming, said no.
func refused(err error) bool {
	var old *ykslot.UnsupportedError
	var bad *oathapplet.AccountError
	return errors.Is(err, oathapplet.ErrExists) || errors.Is(err, oathapplet.ErrNoAccount) || errors.As(err, &old) || errors.As(err, &bad)
}
