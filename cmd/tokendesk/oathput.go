package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/token"
)

// oathSteps are the steps of provision --oath.
func (o *provisionOptions) oathSteps() ([]cardStep, error) {
	if len(o.oath) == 0 {
		if o.form != usualForm() {
			return nil, usagef("--oath-type, -hash, -digits, -period and -touch are for the accounts of --oath")
		}
		return nil, nil
	}
	if err := o.form.checkPeriod("--oath-period", o.form.period != usualForm().period); err != nil {
		return nil, err
	}
	if c := provision.Class(o.overwrite); c != "" && c != provision.Factory && c != provision.Foreign {
		return nil, usagef("--overwrite is factory or foreign")
	}
	var specs []oathaccount.Spec
	for _, text := range o.oath {
		a, err := o.form.account(text)
		if err != nil {
			return nil, usagef("--oath: %s", err)
		}
		if slices.ContainsFunc(specs, func(s oathaccount.Spec) bool { return s.Account.ID() == a.ID() }) {
			return nil, usagef("--oath: %q is given twice", a.ID())
		}
		specs = append(specs, oathaccount.Spec{Account: a, Verify: token.ByHost})
	}
	return []cardStep{func(ctx context.Context, w cardWork) error {
		for i := range specs {
			s := &specs[i]
			s.Holder, s.Reassign, s.Overwrite, s.Reason = w.holder, w.reassign, w.foreign, w.reason
		}
		return w.putAccounts(ctx, oathChoice{choice: w.choice}, specs)
	}}, nil
}

// putAccounts puts accounts into one key, one after the other, and shows them.
func (w cardWork) putAccounts(ctx context.Context, c oathChoice, specs []oathaccount.Spec) error {
	k, err := c.open(ctx, w.app, w.st)
	if err != nil {
		return err
	}
	defer k.close()
	if err := w.refuseOpenAccounts(ctx, k); err != nil {
		return err
	}
	var rows []accountRow
	for _, s := range specs {
		row, err := w.putAccount(ctx, k, s)
		if err != nil {
			if len(rows) > 0 {
				verb := "are"
				if len(rows) == 1 {
					verb = "is"
				}
				w.say("%d of %d accounts %s on the key", len(rows), len(specs), verb)
			}
			return err
		}
		if rows = append(rows, row); w.did != nil {
			w.did(s.Account.ID())
		}
	}
	return list(w.app, "accounts", rows, accountColumns(
		column[accountRow]{"Outcome", func(r accountRow) string { return r.Outcome }},
		column[accountRow]{"Holder", func(r accountRow) string { return r.Holder }},
		column[accountRow]{"Proof", func(r accountRow) string { return r.Proof }},
	))
}

// refuseOpenAccounts refuses a key with an account that an interruption left open.
func (w cardWork) refuseOpenAccounts(ctx context.Context, k *oathKey) error {
	entries, err := w.st.Open(ctx)
	if err != nil {
		return err
	}
	defer destroyEntries(entries)
	for _, e := range entries {
		if e.Serial == k.serial && e.Slot == 0 {
			return fmt.Errorf("%s, %s: %w", k.name(), e.Place(), token.ErrUnsettled)
		}
	}
	return refuseOpenChange(ctx, w.st, &key{attached: k.attached, serial: k.serial})
}

func (w cardWork) putAccount(ctx context.Context, k *oathKey, s oathaccount.Spec) (accountRow, error) {
	row := accountRowOf(k.serial, s.Account)
	have := oathaccount.Have{Serial: k.serial, Firmware: k.firmware, Applet: k.session.Info().Version}
	tok, live, err := w.st.Slots(ctx, k.serial)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		return row, err
	}
	defer destroyLive(provision.Have{Live: live})
	have.Token = tok
	for i := range live {
		if live[i].Settings.Account == s.Account.ID() {
			have.Former = &live[i]
		}
	}
	if have.Class, err = oathaccount.Classify(ctx, k.session, s.Account, have.Former, w.now()); err != nil {
		return row, err
	}
	plan, err := oathaccount.BuildPlan(s, have)
	if err != nil {
		return row, err
	}
	w.sayAccount(k, plan)
	if row.Outcome = "planned"; w.dryRun {
		return row, nil
	}
	if plan.Class == provision.Foreign {
		if err := w.confirm(ctx, w.yes, fmt.Sprintf("overwrite account %q of %s for good", s.Account.ID(), k.name())); err != nil {
			return row, err
		}
	}
	res, err := w.accountRunner(plan.Fresh()).Run(ctx, k.session, plan)
	if errors.Is(err, token.ErrDuplicate) {
		p := problemf(exitRefused, "%s: the secret of account %q is or was here already, and codes of it may have been used", k.name(), s.Account.ID()).
			hint("take a fresh one: tokendesk oath add ISSUER:NAME")
		p.cause = err
		return row, p
	}
	if err != nil {
		return row, err
	}
	row = resultRow(res)
	row.handedOn = w.handedOn(ctx, w.st, tok, live, "")
	return row, nil
}

func (w cardWork) sayAccount(k *oathKey, p oathaccount.Plan) {
	what := map[provision.Class]string{
		provision.Empty:   "is new there",
		provision.Ours:    "is there from this store, and is replaced",
		provision.Foreign: "is there, from others, and is lost",
	}[p.Class]
	w.say("%s (%s, firmware %v): account %q %s", k.name(), w.mark(printable(productName(k.attached))), k.firmware, p.Account().ID(), what)
}

// accountRunner is a Runner that talks.
func (w cardWork) accountRunner(fresh bool) *oathaccount.Runner {
	ledger := w.ledger
	if ledger == nil {
		ledger = w.st
	}
	return &oathaccount.Runner{Ledger: ledger, Rand: w.rand, Now: w.now, Progress: func(s provision.Step) {
		switch s {
		case provision.StepSealed:
			if fresh {
				w.say("a fresh secret is safe in the store")
			}
		case provision.StepWritten:
			w.say("the key took the account")
		case provision.StepTouch:
			w.sayBlinks("now the key blinks: touch it within 15 seconds")
		case provision.StepProven:
			w.say("the key's code is the one that the server expects")
		}
	}}
}

// resultRow is what became of an account.
func resultRow(res provision.Result) accountRow {
	e := res.Entry
	r := accountRowOf(e.Serial, oathaccount.AccountOf(e.Credential))
	r.Outcome, r.Proof = string(res.Outcome), "the first good one-time password"
	switch {
	case res.Outcome == provision.Undone:
		r.Proof = "nothing was sent to the key"
		return r
	case res.Proof != nil:
		r.Proof = "a code that the key made"
	}
	if e.Elsewhere {
		r.State = "checked elsewhere"
	} else if e.Holder != nil {
		r.Holder = e.Holder.Account
	}
	return r
}
