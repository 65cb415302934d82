package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newOATHRenameCmd(a *app) *cobra.Command {
	var o oathChoice
	cmd := &cobra.Command{
		Use: "rename ACCOUNT ISSUER:NAME", Short: "Give an account another issuer and name", Args: args(2, 2, "ISSUER:NAME"),
		Long:    "Give an account another issuer and name; what the store has of it follows. Keys have this from firmware 5.3.1 on.",
		Example: "  tokendesk oath rename 'Example Ltd:ada' 'Example Ltd:ada.lovelace'",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.changeAccount(cmd.Context(), o, given[0], func(on oathapplet.Account, c *token.SlotChange) error {
				to := on
				var err error
				if to.Issuer, to.Name, err = parseAccount(given[1]); err != nil {
					return err
				}
				c.Work, c.After = token.RenameAccount, token.Settings{Account: to.ID(), Issuer: to.Issuer}
				return nil
			})
		},
	}
	o.flags(cmd, a)
	return cmd
}

func newOATHDeleteCmd(a *app) *cobra.Command {
	var o oathChoice
	var yes bool
	cmd := &cobra.Command{
		Use: "delete ACCOUNT", Short: "Take an account off a key for good", Args: args(1, 1, "ACCOUNT"),
		Long:    "Take an account off a key for good. What the store has of it is revoked. With --yes its whole name is needed.",
		Example: "  tokendesk oath delete 'Example Ltd:ada'",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.changeAccount(cmd.Context(), o, given[0], func(on oathapplet.Account, c *token.SlotChange) error {
				c.Work = token.RemoveAccount
				if yes && on.ID() != given[0] && printable(on.ID()) != given[0] { // what nobody looks at must not be guessed
					return problemf(exitNotFound, "the key has no account %q", printable(given[0])).hint("with --yes the whole name is needed: %q", on.ID())
				}
				return a.confirm(cmd.Context(), yes, fmt.Sprintf("delete account %q of key %s for good", on.ID(), c.Serial))
			})
		},
	}
	o.flags(cmd, a)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// changeAccount finds an account on a key, and changes it as complete says. An account that the store has and the key has not is found too: so
// the record of one that another program deleted is put right.
func (a *app) changeAccount(ctx context.Context, o oathChoice, query string, complete func(oathapplet.Account, *token.SlotChange) error) error {
	return a.withAccounts(ctx, o, a.openStore, func(st *sqlstore.Store, k *oathKey) error { return a.changeOn(ctx, st, k, query, complete) })
}

func (a *app) changeOn(ctx context.Context, st *sqlstore.Store, k *oathKey, query string, complete func(oathapplet.Account, *token.SlotChange) error) error {
	all, err := k.session.List(ctx)
	if err != nil {
		return err
	}
	live, err := liveAccounts(ctx, st, k.serial)
	if err != nil {
		return err
	}
	on := map[string]bool{}
	for _, x := range all {
		on[x.ID()] = true
	}
	for id, c := range live {
		if !on[id] {
			all = append(all, oathaccount.AccountOf(c))
		}
	}
	found, err := accountNamed(all, query)
	if err != nil {
		return err
	}
	c := token.SlotChange{Serial: k.serial, Account: found.ID(), Firmware: k.firmware.String()}
	if ours, ok := live[found.ID()]; ok {
		c.Credential = &ours
	}
	if err := complete(found, &c); err != nil {
		return err
	}
	if err := a.carryOut(ctx, st, k, c); err != nil {
		return err
	}
	outcome := "deleted"
	if c.Work == token.RenameAccount {
		to := oathapplet.ParseID(c.After.Account, found.Kind)
		found.Issuer, found.Name, outcome = to.Issuer, to.Name, "renamed"
	}
	return show(a, "account", changedAccount{k.serial, printable(found.ID()), printable(found.Issuer), printable(found.Name), found.Kind, outcome}, []column[changedAccount]{
		{"Serial", func(r changedAccount) string { return r.Serial.String() }},
		{"Issuer", func(r changedAccount) string { return r.Issuer }},
		{"Name", func(r changedAccount) string { return r.Name }},
		{"Type", func(r changedAccount) string { return string(r.Type) }},
		{"Outcome", func(r changedAccount) string { return r.Outcome }},
	})
}

// changedAccount is an account that was renamed or deleted. A key's list does not tell digits and touch.
type changedAccount struct {
	Serial  token.Serial `json:"serial"`
	Account string       `json:"account"` // as the key calls it
	Issuer  string       `json:"issuer,omitempty"`
	Name    string       `json:"name"`
	Type    token.Kind   `json:"type"`
	Outcome string       `json:"outcome"`
}

// carryOut does a work on accounts, with a record if the store knows the key, and otherwise with a note.
func (a *app) carryOut(ctx context.Context, st *sqlstore.Store, k *oathKey, c token.SlotChange) error {
	r := oathaccount.Runner{Ledger: st, Rand: a.rand, Now: a.now}
	err := r.Change(ctx, st, k.session, c)
	if c.Credential != nil || !errors.Is(err, token.ErrNotFound) {
		return err
	}
	if err := st.NoteSlot(ctx, k.serial, string(c.Work), 0, c.Account); err != nil {
		return err
	}
	return oathaccount.CarryOut(ctx, k.session, c)
}

func newOATHResetCmd(a *app) *cobra.Command {
	var o choice
	var yes bool
	cmd := &cobra.Command{
		Use: "reset", Short: "Take all accounts and the password off a key for good", Args: args(0, 0, ""),
		Long:    "Take all accounts and the password off a key's OATH application for good. It needs no password. What the store has of them is revoked.",
		Example: "  tokendesk oath reset --serial 12345678",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.resetOATH(cmd.Context(), oathChoice{choice: o}, yes)
		},
	}
	serialFlag(cmd, a, &o.serial)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) resetOATH(ctx context.Context, o oathChoice, yes bool) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer closeStore(st)
	k, err := o.openLocked(ctx, a)
	if err != nil {
		return err
	}
	defer k.close()
	live, err := liveAccounts(ctx, st, k.serial)
	if err != nil {
		return err
	}
	what := "an unknown number of accounts"
	if !k.session.Info().Locked {
		all, err := k.session.List(ctx)
		if err != nil {
			return err
		}
		what = count(len(all), "account")
	}
	if err := a.confirm(ctx, yes, fmt.Sprintf("delete %s of %s, %d of them of this store, for good", what, k.name(), len(live))); err != nil {
		return err
	}
	err = a.carryOut(ctx, st, k, token.SlotChange{Work: token.ResetOATH, Serial: k.serial, Firmware: k.firmware.String()})
	if errors.Is(err, token.ErrUnsettled) {
		err = a.resetLocked(ctx, st, k, err)
	}
	if err != nil {
		return err
	}
	if err := a.forgetPasswords(ctx, st, k); err != nil {
		return err
	}
	a.say("the OATH application of %s is as new", k.name())
	return show(a, "oath", oathResetRow{k.serial, "reset", len(live)}, []column[oathResetRow]{
		{"Serial", func(r oathResetRow) string { return r.Serial.String() }},
		{"Outcome", func(r oathResetRow) string { return r.Outcome }},
		{"Revoked", func(r oathResetRow) string { return strconv.Itoa(r.Revoked) }},
	})
}

// resetLocked empties a key on which a write is open, if a password that the store does not know guards it: resume could never look there.
// On the empty key it can; until then the store has accounts that are gone.
func (a *app) resetLocked(ctx context.Context, st *sqlstore.Store, k *oathKey, unsettled error) error {
	if _, err := k.unlockKept(ctx, st); err != nil || !k.session.Info().Locked {
		return errors.Join(unsettled, err)
	}
	if err := st.NoteSlot(ctx, k.serial, string(token.ResetOATH), 0, "with an open write, behind a password that is not known"); err != nil {
		return err
	}
	if err := k.session.Reset(ctx); err != nil {
		return err
	}
	if err := a.forgetPasswords(ctx, st, k); err != nil {
		return err
	}
	return problemf(exitPartly, "the OATH application of %s is empty, and an unfinished write is still open", k.name()).
		hint("settle it: tokendesk provision resume --serial %s", k.serial).
		hint("then say that the accounts are gone: tokendesk oath reset --serial %s", k.serial)
}

// oathResetRow is what a reset did.
type oathResetRow struct {
	Serial  token.Serial `json:"serial,omitempty"`
	Outcome string       `json:"outcome"`
	Revoked int          `json:"revoked"` // accounts of this store
}

// forgetPasswords says that a key has none.
func (a *app) forgetPasswords(ctx context.Context, st *sqlstore.Store, k *oathKey) error {
	if k.serial == 0 {
		return nil
	}
	return st.SettleEscrow(ctx, k.serial, token.OATHPassword, 0)
}
