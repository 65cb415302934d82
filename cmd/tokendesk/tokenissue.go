package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newTokenIssueCmd(a *app) *cobra.Command {
	var i desk.Issue
	var check string
	var ship bool
	var valid time.Duration
	var checks []string
	for _, c := range desk.IDChecks() {
		checks = append(checks, string(c))
	}
	cmd := &cobra.Command{
		Use: "issue QUERY --to PERSON --id-check " + strings.Join(checks, "|"), Short: "Hand a token to a person, with a proof that it is the one in the hand", Args: args(1, 1, "QUERY"),
		Long: `Hand a token to a person. A code or one-time password of it is asked for, and must be of the token that QUERY names: scan the
serial number on its back, and type the code on its front. A token whose clock or counter is far off, or that was years in a
box, is asked for the next code too.

With --ship the token goes by post, after a call: six digits are shown once, which the person is told and which may stand in the letter. The token
is shipped then, and of no use. It becomes active by a touch or code of it and these digits: tokendesk token arrive. The same again gives
another number; tokendesk token cancel-shipment ends it.`,
		Example: "  tokendesk token issue 2600135004013 --to ada --id-check staff-card\n  tokendesk token issue 12345678 --to ada --id-check known --replace 11111111\n  tokendesk token issue 12345678 --to ada --id-check video --ship", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			if i.To == "" {
				return usagef("--to is missing: the account of the person who gets it")
			}
			if check == "" {
				return usagef("--id-check is missing").hint("it is one of: %s", strings.Join(checks, ", "))
			}
			i.IDCheck = desk.IDCheck(check)
			if ship {
				return a.ship(cmd.Context(), given[0], desk.Ship{To: i.To, IDCheck: i.IDCheck, Replace: i.Replace, Valid: valid, Note: i.Note})
			}
			return a.issue(cmd.Context(), given[0], i)
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.To, "to", "", "account of the person who gets it")
	f.StringVar(&check, "id-check", "", "how the person was known: "+strings.Join(checks, ", "))
	f.StringVar(&i.Replace, "replace", "", "the token that this one replaces, which is revoked")
	f.StringVar(&i.Note, "note", "", "kept in the audit chain")
	f.BoolVar(&ship, "ship", false, "post it: no code is asked for, and it is of no use before tokendesk token arrive")
	f.DurationVar(&valid, "valid", desk.DefaultShipTime, "with --ship: how long the number is good, 1h to 2160h")
	complete(cmd, "id-check", checks...)
	if err := cmd.RegisterFlagCompletionFunc("to", a.accounts); err != nil { // the flag was added above
		panic(err)
	}
	return cmd
}

func (a *app) issue(ctx context.Context, query string, i desk.Issue) error {
	return a.withSwept(ctx, func(d *desk.Desk) error {
		if _, err := d.Store.Person(ctx, i.To); errors.Is(err, token.ErrNotFound) {
			return noPerson(i.To)
		} else if err != nil {
			return err
		}
		named, err := d.Find(ctx, query)
		if err != nil {
			return queryProblem(err)
		}
		old, err := toReplace(ctx, d, &i.Replace)
		if err != nil {
			return err
		}
		t, err := a.proven(ctx, "is not issued", func(codes []string) (token.Token, desk.Proof, error) {
			i.Codes = codes
			t, proof, err := d.Issue(ctx, desk.ByID(named.ID), i)
			if err == nil && proof == desk.OtherToken && t.ID != named.ID {
				err = problemf(exitVerify, "this code is from %s, you named %s", desk.Name(t), desk.Name(named)).
					hint("name the token in your hand, or take the other one")
			}
			return t, proof, err
		})
		if err != nil {
			return err
		}
		a.say("%s is handed over", desk.Name(t))
		r, unread := d.Remains(ctx, t)
		row, changed := rowWith(t, r), []token.Token{t}
		if old.ID != 0 {
			if row.Replaced, err = a.replaced(ctx, d, old); err != nil {
				unread = errors.Join(unread, err)
			}
			old.State = token.Revoked
			changed = append(changed, old)
		}
		return a.showSettled(ctx, d, row, unread, changed...)
	})
}

// toReplace is the token that --replace names, by its number from then on; without an ID: none.
func toReplace(ctx context.Context, d *desk.Desk, query *string) (token.Token, error) {
	if *query == "" {
		return token.Token{}, nil
	}
	old, err := d.Find(ctx, *query)
	if errors.Is(err, token.ErrNotFound) {
		return old, problemf(exitNotFound, "no token fits --replace").hint("see: tokendesk token list")
	}
	*query = desk.ByID(old.ID)
	return old, err
}

// replaced is a token that was revoked because another one took its place, and says what remains of it.
func (a *app) replaced(ctx context.Context, d *desk.Desk, old token.Token) (*tokenRow, error) {
	now, err := d.Find(ctx, desk.ByID(old.ID))
	if err != nil {
		now, now.State = old, token.Revoked
	}
	r, unread := d.Remains(ctx, now)
	row := rowWith(now, r)
	a.sayRemains(now, row.Remains)
	return &row, errors.Join(err, unread)
}
