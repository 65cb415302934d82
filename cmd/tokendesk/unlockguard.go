package main

import (
	"context"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// guardStore refuses what would take the store away from its own operators: a key that opens it loses its slot, or gets a PIN that only
// the store has.
func (s *pivSession) guardStore(ctx context.Context, what string) error {
	p, err := s.a.paths()
	if err != nil {
		return err
	}
	to, err := s.a.keyFile(ctx, p).Recipients()
	if err != nil {
		return keyProblem(err, p.sealing)
	}
	if !slices.ContainsFunc(to, func(r seal.Recipient) bool { return token.Serial(r.Serial) == s.facts.Serial }) {
		return nil
	}
	return problemf(exitRefused, "%s opens the sealing key of this store, and %s", s.name(), what).
		hint("take it out first: tokendesk store unlock remove %s", s.facts.Serial)
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
