package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// pivWork are the flags of provision for the PIV application.
type pivWork struct {
	on     bool
	key    pivKeyOptions
	letter letterOptions
}

func (o *pivWork) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.on, "piv", false, "set the PIV application up: random PIN, PUK and management key, kept in the store")
	f.StringVar(&o.key.slot, "piv-slot", "", "with --piv: generate a key in this slot, such as 9a")
	o.key.keyFlags(cmd, "piv-")
	o.key.certificateFlags(cmd, "piv-")
	o.letter.flags(cmd, "piv-letter")
	f.Lookup("piv-subject").Usage += "; default CN= the account of --to"
}

// steps are the step of --piv; to is the account of the holder, who is the subject where none is given.
func (o *pivWork) steps(to string) ([]cardStep, error) {
	if !o.on {
		if o.key.slot != "" || o.key.any() || o.letter.file != "" {
			return nil, usagef("--piv-slot and what goes with it are for --piv")
		}
		return nil, nil
	}
	o.key.account, o.key.resumes, o.letter.resumes = to, true, true
	if err := o.letter.check(); err != nil {
		return nil, err
	}
	if err := o.key.check(o.key.slot != ""); err != nil {
		return nil, err
	}
	return []cardStep{o.step}, nil
}

// ready refuses a key whose PIV application cannot be set up, before anything is written to it. It tries no PIN.
func (o *pivWork) ready(ctx context.Context, w cardWork) error {
	if !o.on {
		return nil
	}
	return o.with(ctx, w, func(s *pivSession) error {
		if err := w.refuseHolder(ctx, s.facts.Serial); err != nil {
			return err
		}
		plan, err := s.runner.Plan(ctx, s.card, piv.Want{})
		if err != nil {
			return err
		}
		plan.Destroy()
		if plan.Ready() && w.holder != nil {
			w.say("note: PIV was set up on it before: whoever had the key may know the PIN. For somebody else wipe it first: tokendesk piv reset")
		}
		if o.key.slot != "" {
			if err := o.key.vacant(s.facts.Slot(o.key.at), plan.Ready()); err != nil {
				return err
			}
		}
		key, letter := o.key, o.letter
		return s.recognise(ctx, &key, &letter)
	})
}

// refuseHolder refuses a key that somebody else holds, or that is blocked or given up.
func (w cardWork) refuseHolder(ctx context.Context, serial token.Serial) error {
	t, live, err := w.st.Slots(ctx, serial)
	if errors.Is(err, token.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	destroyLive(provision.Have{Live: live})
	_, err = t.State.Next(token.Write)
	switch h := t.Holder; {
	case t.State.Blocked():
		return &provision.RefusedError{Serial: serial, Detail: string(t.State), Err: provision.ErrBlocked}
	case err != nil:
		return fmt.Errorf("key %s: %w", serial, err)
	case h != nil && w.holder != nil && h.ID != w.holder.ID && !w.reassign:
		return &provision.RefusedError{Serial: serial, Detail: h.Account, Err: provision.ErrHeld}
	}
	return w.refuseOpenFor(ctx, t)
}

// refuseOpenFor refuses a key that goes to another person while a write of it is open: the store would refuse the handover.
func (w cardWork) refuseOpenFor(ctx context.Context, t token.Token) error {
	entries, err := w.st.Open(ctx)
	if err != nil {
		return err
	}
	defer destroyEntries(entries)
	for _, e := range entries {
		whose := cmp.Or(e.Holder, t.Holder)
		to := cmp.Or(w.holder, t.Holder, whose)
		if e.Token == t.ID && whose != nil && whose.ID != to.ID {
			return fmt.Errorf("key %s, %s: %w", t.Serial, e.Place(), token.ErrUnsettled)
		}
	}
	return nil
}

// step sets up PIV on the key that was written, and gives it to its holder.
func (o *pivWork) step(ctx context.Context, w cardWork) error {
	return o.with(ctx, w, func(s *pivSession) error {
		again := o.again(s.facts.Serial, w.reassign, w.yes)
		done, err := s.init(ctx, piv.Want{}, pivInitOptions{key: o.key, letter: o.letter, dryRun: w.dryRun, yes: w.yes, again: again})
		if err != nil || done == nil {
			return err
		}
		h := token.PIVHandover{Serial: s.facts.Serial, Firmware: s.facts.Version.String(), Reassign: w.reassign}
		if w.holder != nil {
			h.Holder = w.holder.ID
		}
		if o.key.slot != "" {
			h.Made = o.key.at.String()
		}
		was, before, err := w.st.Slots(ctx, s.facts.Serial)
		destroyLive(provision.Have{Live: before})
		if err != nil && !errors.Is(err, token.ErrNotFound) {
			return s.interrupted(err, again)
		}
		if err := w.st.HandOverPIV(context.WithoutCancel(ctx), h); err != nil {
			return s.interrupted(err, again)
		}
		if w.holder != nil {
			w.say("%s is %s's", s.name(), printable(w.holder.Account))
		}
		done.handedOn = w.handedOn(ctx, w.st, was, before, h.Made)
		return w.showPIV(*done)
	})
}

// with opens the PIV application of the key and gives it back.
func (o *pivWork) with(ctx context.Context, w cardWork, act func(*pivSession) error) error {
	card, f, err := w.choosePIV(ctx, token.Serial(w.choice.serial))
	if err != nil {
		return err
	}
	defer func() { _ = card.Close() }() // what counts is done
	s, err := w.pivSession(ctx, w.st, card, f, piv.Given{})
	if err != nil {
		return err
	}
	return act(s)
}
