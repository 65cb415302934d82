package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// cardStep is what provision does with one application of a key's smart card, after its slot. It opens the card by w.choice.openCard,
// and gives it back before it returns: the next step may reach the key in another way. What it did it shows by itself.
type cardStep func(ctx context.Context, w cardWork) error

// cardWork is what the steps share.
type cardWork struct {
	*app
	st       *sqlstore.Store
	choice   choice        // of the key; by its serial number if a slot was written
	holder   *token.Person // nil: none is named
	reassign bool          // take the key from who holds it
	foreign  bool          // what is not ours may be lost
	reason   string        // why
	yes      bool
	dryRun   bool
	ledger   provision.Ledger     // of accounts; nil: st
	did      func(account string) // is told of each that is on the key; nil: nobody asks
}

// cardSteps are the steps in their order: OATH, then PIV.
func (o *provisionOptions) cardSteps() ([]cardStep, error) {
	steps, err := o.oathSteps()
	if err != nil {
		return nil, err
	}
	o.piv.key.reason = o.reason
	last, err := o.piv.steps(o.to)
	return append(steps, last...), err
}

// cardFlags are the flags of the steps.
func (o *provisionOptions) cardFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&o.oath, "oath", nil, "account to add, ISSUER:NAME; may be given more than once")
	o.form.flags(cmd, "oath-", "accounts of --oath: ")
	o.piv.flags(cmd)
}

// plainCards are the flags of the steps as they are when none is given.
func plainCards() (o provisionOptions) {
	o.cardFlags(&cobra.Command{})
	return o
}

// byCards fills in what a profile says of the smart card and no flag does; to is who gets the key, "" nobody is named.
func (o *provisionOptions) byCards(c profile.Cards, to string, given func(flag string) bool) error {
	if to == "" && (profile.Cards{Accounts: c.Accounts}).NeedsHolder() && !given("oath") {
		return usagef("the profile's accounts are named by who gets the key: --to is missing").hint("or name them: --oath ISSUER:NAME")
	}
	if !given("oath") {
		o.oath = c.AccountsOf(to)
	}
	if len(o.oath) > 0 {
		o.form.byProfile(formOf(c.AccountForm), given)
	}
	if !given("piv") {
		o.piv.on = c.PIV
	}
	if !o.piv.on || !c.PIV {
		return nil
	}
	subject := c.PIVSelfSigned && !given("piv-self-signed") || o.piv.key.csr != "" || o.piv.key.selfSigned
	switch {
	case c.PIVRequest && !given("piv-csr") && !given("piv-self-signed"):
		return usagef("the profile has a certificate request made: --piv-csr FILE says where")
	case subject && to == "" && strings.Contains(c.PIVSubject, profile.Holder) && !given("piv-subject"):
		return usagef("the profile's subject is named by who gets the key: --to is missing").hint("or name it: --piv-subject CN=NAME")
	}
	for flag, set := range map[string]func(){
		"piv-slot": func() { o.piv.key.slot = c.PIVSlot }, "piv-pin-policy": func() { o.piv.key.pinUse = c.PIVPIN },
		"piv-algorithm":    func() { o.piv.key.algorithm = cmp.Or(c.PIVAlgorithm, o.piv.key.algorithm) },
		"piv-touch-policy": func() { o.piv.key.touch = cmp.Or(c.PIVTouch, o.piv.key.touch) },
		"piv-self-signed":  func() { o.piv.key.selfSigned = c.PIVSelfSigned && !given("piv-csr") },
		"piv-subject": func() {
			if subject {
				o.piv.key.subject = c.SubjectOf(to)
			}
		},
	} {
		if !given(flag) {
			set()
		}
	}
	return nil
}

// provisionKey writes the slot, if one is given, and then takes the steps, all on one key that stays where it is.
func (a *app) provisionKey(ctx context.Context, o provisionOptions, steps []cardStep) error {
	want, err := o.spec()
	if o.slot != 0 && err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	if want.Holder, err = holder(ctx, st, o.to); err != nil {
		return err
	}
	w := cardWork{app: a, st: st, choice: o.choice, holder: want.Holder, reassign: o.reassign, foreign: want.Overwrite == provision.Foreign,
		reason: want.Reason, yes: o.yes, dryRun: o.dryRun}
	if err := o.piv.ready(ctx, w); err != nil {
		return err
	}
	if o.slot == 0 {
		if w.choice.serial, err = o.choice.cardSerial(ctx, a); err != nil {
			return err
		}
		wanted, err := a.newIntake(ctx, st)
		if err == nil && !o.dryRun { // it may generate a key
			err = wanted.admitCard(ctx, w.choice)
		}
		if err != nil {
			return err
		}
	} else {
		serial, err := a.writeSlotOf(ctx, st, want, o)
		if err != nil {
			return o.piv.left(err, w, serial)
		}
		w.choice.serial = uint32(serial)
	}
	for _, step := range steps {
		if err := step(ctx, w); err != nil {
			return o.piv.left(err, w, token.Serial(w.choice.serial))
		}
	}
	return nil
}
