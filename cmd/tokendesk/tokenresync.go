package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// clockRow is what a resync did, as it is shown.
type clockRow struct {
	Token  string     `json:"token"`
	Kind   token.Kind `json:"kind"`
	Before string     `json:"before"`
	After  string     `json:"after"`
	Drift  int64      `json:"drift_steps"`
}

func newTokenResyncCmd(a *app) *cobra.Command {
	var reset bool
	cmd := &cobra.Command{
		Use: "resync QUERY", Short: "Find a HOTP or TOTP token again that went out of step, by two codes", Args: args(1, 1, "QUERY"),
		Long: `Find a token again that went out of step, by two codes that it shows one after the other: a HOTP token up to 1,000 codes
ahead, a TOTP token up to a day off. Both codes count as used afterwards, and no code of before counts again.

With --reset nothing is asked: what was learned about the clock of a TOTP token is forgotten.`,
		Example: "  tokendesk token resync 2600135004013\n  tokendesk token resync ada < codes.txt", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				t, list, err := d.Show(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				if reset {
					_, err = d.ResetClock(cmd.Context(), desk.ByID(t.ID))
				} else {
					err = a.resync(cmd.Context(), d, t)
				}
				if err != nil {
					return err
				}
				return a.showClocks(cmd.Context(), d, t, list)
			})
		},
	}
	cmd.Flags().BoolVar(&reset, "reset", false, "forget what was learned about its clock")
	return cmd
}

func (a *app) resync(ctx context.Context, d *desk.Desk, t token.Token) error {
	first, second, err := a.askTwoCodes(ctx)
	if err != nil {
		return err
	}
	t, _, proof, err := d.Resync(ctx, desk.ByID(t.ID), first, second)
	if err != nil {
		return err
	}
	if proof != desk.Proven {
		return proofProblem(t, "is as far out of step as before", proof)
	}
	a.say("%s is in step: both codes are used up", desk.Name(t))
	return nil
}

// showClocks compares what was with what is.
func (a *app) showClocks(ctx context.Context, d *desk.Desk, t token.Token, before []token.Credential) error {
	now, err := d.Store.Credentials(ctx, t.ID)
	if err != nil {
		return err
	}
	was := map[token.CredentialID]token.Credential{}
	for _, c := range before {
		was[c.ID] = c
	}
	var rows []clockRow
	for _, c := range now {
		if c.State == token.Revoked || c.Kind != token.HOTP && c.Kind != token.TOTP {
			continue
		}
		rows = append(rows, clockRow{desk.Name(t), c.Kind, stepText(was[c.ID]), stepText(c), c.Counters.Clock.Drift})
	}
	return list(a, "clocks", rows, []column[clockRow]{
		{"Token", func(r clockRow) string { return r.Token }},
		{"Kind", func(r clockRow) string { return string(r.Kind) }},
		{"Before", func(r clockRow) string { return r.Before }},
		{"After", func(r clockRow) string { return r.After }},
	})
}

// stepText is the clock of a TOTP credential, and the counter of another.
func stepText(c token.Credential) string {
	if c.Kind == token.TOTP {
		return clockText(c.Counters.Clock, c.Settings.Period)
	}
	return fmt.Sprintf("counter %d", c.Counters.Moving+1)
}
