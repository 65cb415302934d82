package main

import (
	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newTokenReturnCmd(a *app) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: "return QUERY", Short: "Take a token back from its holder, with a proof that it is here", Args: args(1, 1, "QUERY"),
		Long: `Take a token back, with a code or one-time password of it: nobody holds it then, it is in stock, and nothing of it is accepted.
An app token is revoked, as it cannot be handed to anybody else. A blocked token on which nothing is live is pending, to be
written again, and is not asked for a proof; nor is one that never had more than its PIV application. One that was replaced is only noted as back. One that cannot prove itself any more: tokendesk token retire.

An account of its OATH application is revoked if its holder may know the secret, as it was brought from outside, exported or pushed to a
target, or may have codes of times to come: TOTP. Certificates that are still valid are named. What is on the key stays there until oath reset and piv reset.`,
		Example: "  tokendesk token return 12345678 --note 'left the institute'", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				t, err := d.Find(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				if t.State == token.Revoked && !t.Owed.IsZero() {
					if t, err = d.SettleOwed(cmd.Context(), desk.ByID(t.ID), note); err != nil {
						return err
					}
					a.say("%s was replaced, and is not waited for any more; what is on it stays revoked", desk.Name(t))
					return a.showEnded(cmd.Context(), d, t)
				}
				ask, err := d.NeedsProof(cmd.Context(), desk.ByID(t.ID))
				if err != nil {
					return err
				}
				_, before, err := d.Show(cmd.Context(), desk.ByID(t.ID))
				if err != nil {
					return err
				}
				act := func(codes []string) (token.Token, desk.Proof, error) {
					return d.Return(cmd.Context(), desk.ByID(t.ID), codes, note)
				}
				if ask {
					t, err = a.proven(cmd.Context(), "is not taken back", act)
				} else {
					t, _, err = act(nil)
				}
				if err != nil {
					return err
				}
				a.say("%s is taken back: it is %s", desk.Name(t), t.State)
				r, err := d.RemainsOf(cmd.Context(), t, before)
				row := rowWith(t, r)
				a.sayRemains(t, row.Remains)
				return a.showSettled(cmd.Context(), d, row, err, t)
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "kept in the audit chain")
	return cmd
}

func newTokenRetireCmd(a *app) *cobra.Command {
	var note string
	var yes bool
	cmd := &cobra.Command{
		Use: "retire QUERY --note TEXT", Short: "Give a token up for ever", Args: args(1, 1, "QUERY"),
		Long: `Give a token up for ever: it is broken, destroyed, or will not come back. Everything on it is revoked, and its secrets are
deleted after 30 days. It cannot be brought back, nor written again.`,
		Example: "  tokendesk token retire 12345678 --note 'shredded' --yes", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if note == "" {
				return usagef("--note is missing: what became of the token?")
			}
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				t, err := d.Find(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				if err := a.confirm(cmd.Context(), yes, "giving up "+desk.Name(t)+" for ever"); err != nil {
					return err
				}
				if t, err = d.Retire(cmd.Context(), desk.ByID(t.ID), note); err != nil {
					return err
				}
				a.say("%s is given up", desk.Name(t))
				return a.showEnded(cmd.Context(), d, t)
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "what became of it; kept in the audit chain")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
