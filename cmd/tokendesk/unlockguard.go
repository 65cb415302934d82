package main

import (
	"context"
	"slices"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// guardStore refuses what would take the store away from its own operators: a key that opens it loses its slot, or gets a PIN that only
// the store has.
func (s *pivSession) guardStore(ctx context.Context, what string) error {
	return s.a.guardOpener(ctx, s.facts.Serial, what)
}

// guardOpener refuses what is done to a key that opens the store; what says why it would not open it any more.
func (a *app) guardOpener(ctx context.Context, serial token.Serial, what string) error {
	openers, err := a.openers(ctx)
	if err != nil || !slices.Contains(openers, serial) {
		return err
	}
	return problemf(exitRefused, "key %s opens the sealing key of this store, and %s", serial, what).
		hint("take it out first: tokendesk store unlock remove %s", serial)
}

// guardSettings is guardOpener for a key's settings: without PIV it would not open the store, which may have the lock code that switches PIV on
// again.
func (a *app) guardSettings(ctx context.Context, k *key, p provision.SettingsPlan) error {
	const need = ykslot.CapPIV | ykslot.CapCCID
	off := p.USB &^ p.USBAfter
	if k.attached.Model.ProductID == 0 { // by a reader of others
		off |= p.NFC &^ p.NFCAfter
	}
	if off&need == 0 {
		return nil
	}
	return a.guardOpener(ctx, p.Serial, "without PIV it does not")
}

// guardPlan is guardStore for a set-up.
func (s *pivSession) guardPlan(ctx context.Context, p piv.Plan, want piv.Want) error {
	switch {
	case want.Reset:
		return s.guardStore(ctx, "a reset wipes what it opens it with")
	case want.PIN.Len() == 0 && slices.ContainsFunc(p.Steps, func(step piv.Step) bool { return step.Do == piv.SetPIN }):
		return s.guardPIN(ctx, want.PIN.Len() > 0)
	}
	return nil
}

// guardPIN is guardStore for a new PIN; a given one is known to somebody.
func (s *pivSession) guardPIN(ctx context.Context, given bool) error {
	if given {
		return nil
	}
	err := s.guardStore(ctx, "a random PIN would be in the store alone, which it opens")
	if p, ok := err.(*problem); ok && p.code == exitRefused {
		return p.hint("or say which PIN: --new-pin-file -")
	}
	return err
}
