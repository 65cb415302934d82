package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// provisionOptions are the flags of provision.
type provisionOptions struct {
	choice
	slot       int
	to         string
	publicID   string
	longID     bool
	accessCode string
	verify     string
	overwrite  string
	reason     string
	reassign   bool
	yes        bool
	dryRun     bool
	profile    string
	kind       token.Kind        // by the profile; "" is token.YubicoOTP
	options    provision.Options // by the profile
	oath       []string          // accounts, after the slot
	form       accountForm       // what they are
	piv        pivWork           // after the accounts
}

func newProvisionCmd(a *app) *cobra.Command {
	var o provisionOptions
	cmd := &cobra.Command{
		Use: "provision", Short: "Write a fresh key into a slot of a YubiKey and prove it by a touch", Args: args(0, 0, ""),
		Long: `Write a fresh Yubico OTP key into a slot and prove it by a touch.

The secret is durable and sealed in the store before the first byte goes to the key. If anything interrupts the run,
"tokendesk provision resume" finishes it with that same secret.

A slot that holds something which this store did not write needs --overwrite and --reason: it cannot be read back.

With --oath, alone or after the slot, the key also gets accounts with fresh secrets, each proven by a code that the key makes: TOTP with
SHA-1, 6 digits and 30 seconds, as every app takes it, or what --oath-type and the like say. With --piv its PIV application is set up
last, as tokendesk piv init does. A profile may say both.`,
		Example: `  tokendesk provision --slot 2 --to ada
  tokendesk provision --slot 1 --overwrite factory --reason "new employee" --serial 12345678
  tokendesk provision --profile staff --to ada
  tokendesk provision --slot 2 --oath 'Example Ltd:ada' --to ada
  tokendesk provision --slot 2 --dry-run`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.byProfile(cmd, a); err != nil {
				return err
			}
			return runProvision(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVar(&o.profile, "profile", "", "write what this profile says; flags that are given go before it")
	if err := cmd.RegisterFlagCompletionFunc("profile", a.profileNames); err != nil { // the flag was added above
		panic(err)
	}
	o.flags(cmd, a)
	o.cardFlags(cmd)
	cmd.AddCommand(newProvisionResumeCmd(a), newProvisionDeskCmd(a))
	cmd.AddCommand(newProvisionBatchCmd(a), newManifestCmd(a))
	cmd.AddCommand(newProfileCmd(a), newReceiptCmd(a), newLabelCmd(a), newTemplateCmd(a))
	return cmd
}

// flags are those of every command that writes a slot.
func (o *provisionOptions) flags(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	f.IntVar(&o.slot, "slot", 0, "slot 1 (short touch) or 2 (long touch)")
	f.StringVar(&o.to, "to", "", "account of the person who gets the key")
	f.StringVar(&o.publicID, "public-id", string(provision.FromSerial), "serial, random, or the ID in hexadecimal")
	f.BoolVar(&o.longID, "long-public-id", false, "allow a public ID that validation servers do not take (more than 8 bytes)")
	f.StringVar(&o.accessCode, "access-code", string(provision.RandomCode), "what guards the slot: random (kept in the store), none, or keep")
	f.StringVar(&o.verify, "verify", string(token.ByTouch), "touch, or none: the first good one-time password at the server is the proof")
	f.StringVar(&o.overwrite, "overwrite", "", "what may be lost: factory or foreign")
	f.StringVar(&o.reason, "reason", "", "why it may be lost; kept in the audit chain")
	f.BoolVar(&o.reassign, "reassign", false, "take the key from the person who holds it")
	f.BoolVar(&o.yes, "yes", false, "overwrite without asking")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, write nothing")
	complete(cmd, "slot", "1", "2")
	complete(cmd, "public-id", string(provision.FromSerial), string(provision.Random))
	complete(cmd, "access-code", string(provision.RandomCode), string(provision.NoCode), string(provision.KeepCode))
	complete(cmd, "verify", string(token.ByTouch), string(token.NoProof))
	complete(cmd, "overwrite", string(provision.Factory), string(provision.Foreign))
	if err := cmd.RegisterFlagCompletionFunc("to", a.accounts); err != nil { // the flag was added above
		panic(err)
	}
	o.choice.flags(cmd, a)
}

// spec turns the flags into what the operator wants; the holder is filled in by the store.
func (o provisionOptions) spec() (provision.Spec, error) {
	s := provision.Spec{
		Slot: token.Slot(o.slot), LongPublicID: o.longID, AccessCode: provision.AccessCodeMode(o.accessCode),
		Verify: token.ProofRequired(o.verify), Overwrite: provision.Class(o.overwrite),
		Reason: strings.TrimSpace(o.reason), Reassign: o.reassign, Kind: o.kind, Options: o.options,
	}
	if err := checkSlot(o.slot); err != nil {
		return s, err
	}
	switch s.AccessCode {
	case provision.RandomCode, provision.NoCode, provision.KeepCode, provision.GivenCode:
	default:
		return s, usagef("--access-code is random, none or keep; the code itself is never a flag")
	}
	if s.Verify != token.ByTouch && s.Verify != token.NoProof {
		return s, usagef("--verify is touch or none")
	}
	if s.Overwrite != "" && s.Overwrite != provision.Factory && s.Overwrite != provision.Foreign {
		return s, usagef("--overwrite is factory or foreign")
	}
	var err error
	if o.publicID != "" { // a profile of a kind that has none
		s.PublicID, s.Given, err = parsePublicID(o.publicID)
	}
	return s, err
}

// byProfile fills in what no flag says.
func (o *provisionOptions) byProfile(cmd *cobra.Command, a *app) error {
	if o.profile == "" {
		return nil
	}
	var p profile.Profile
	var to token.Person
	err := a.withDesk(cmd.Context(), func(d *desk.Desk) (err error) {
		if p, err = (online{d: d}).Profile(cmd.Context(), o.profile); err != nil {
			return profileProblem(err, o.profile)
		}
		if o.to == "" || !p.NeedsHolder() {
			return nil
		}
		if to, err = d.Store.Person(cmd.Context(), o.to); errors.Is(err, token.ErrNotFound) {
			return noPerson(o.to)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := o.byCards(p.Cards, to.Account, cmd.Flags().Changed); err != nil {
		return err
	}
	want := provision.FromProfile(p)
	o.kind, o.options = want.Kind, want.Options
	for flag, set := range map[string]func(){
		"slot": func() { o.slot = int(want.Slot) }, "public-id": func() { o.publicID = string(want.PublicID) },
		"access-code": func() { o.accessCode = string(want.AccessCode) }, "verify": func() { o.verify = string(want.Verify) },
		"overwrite": func() { o.overwrite, o.reason = string(want.Overwrite), cmp.Or(o.reason, want.Reason) },
	} {
		if !cmd.Flags().Changed(flag) {
			set()
		}
	}
	return nil
}

// parsePublicID reads --public-id: a scheme, or hexadecimal. ModHex is not guessed: many IDs are both.
func parsePublicID(text string) (provision.PublicIDScheme, token.PublicID, error) {
	switch s := provision.PublicIDScheme(text); s {
	case provision.FromSerial, provision.Random:
		return s, token.PublicID{}, nil
	}
	raw, err := hex.DecodeString(text)
	if err == nil && len(raw) > 0 {
		var id token.PublicID
		if id, err = token.NewPublicID(raw); err == nil {
			return provision.Given, id, nil
		}
	}
	return "", token.PublicID{}, usagef("--public-id is serial, random, or 2 to 32 hexadecimal digits").
		hint("ModHex is written in hexadecimal here: cbdefghijklnrtuv stand for 0123456789abcdef")
}

func runProvision(ctx context.Context, a *app, o provisionOptions) error {
	steps, err := o.cardSteps()
	if err != nil {
		return err
	}
	if len(steps) > 0 {
		return a.provisionKey(ctx, o, steps)
	}
	want, err := o.spec()
	if err != nil {
		return err
	}
	return a.writeSlot(ctx, want, o)
}

// writeSlot plans, asks, writes, proves and shows.
func (a *app) writeSlot(ctx context.Context, want provision.Spec, o provisionOptions) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	if want.Holder, err = holder(ctx, st, o.to); err != nil {
		return err
	}
	_, err = a.writeSlotOf(ctx, st, want, o)
	return err
}

// writeSlotOf is writeSlot with a store, and says whose slot it was. The key is given back when it returns.
func (a *app) writeSlotOf(ctx context.Context, st *sqlstore.Store, want provision.Spec, o provisionOptions) (token.Serial, error) {
	wanted, err := a.newIntake(ctx, st)
	if err != nil {
		return 0, err
	}
	k, err := o.choice.open(ctx, a)
	if err == nil && len(o.oath) > 0 { // whose turn comes after the slot
		if old := o.form.fits(k.version()); old != nil {
			err = &provision.RefusedError{Serial: k.serial, Err: old}
			k.close()
		}
	}
	if err == nil && !o.dryRun { // it may generate a key
		k, err = wanted.admit(ctx, k, transport(o.transport))
	}
	if err != nil {
		return 0, err
	}
	defer k.close()
	if err := refuseUnsettled(ctx, st, k, want.Slot); err != nil {
		return k.serial, err
	}
	if err := learnMap(ctx, st, k); err != nil {
		return k.serial, err
	}
	have, err := lookUp(ctx, st, k)
	if err != nil {
		return k.serial, err
	}
	defer destroyLive(have)
	plan, err := provision.BuildPlan(want, have)
	if err != nil {
		return k.serial, err
	}
	if err := k.takes(want); err != nil {
		return k.serial, err
	}
	a.sayPlan(k, plan)
	if o.dryRun {
		return k.serial, a.showPlan(plan)
	}
	if plan.Class == provision.Factory || plan.Class == provision.Foreign {
		what := fmt.Sprintf("overwrite slot %d of %s for good", want.Slot, k.name())
		if err := a.confirm(ctx, o.yes, what); err != nil {
			return k.serial, err
		}
	}
	defer a.quiet(k)()
	res, err := a.runner(st, want.Slot, want.Kind).Run(ctx, k.device(), plan)
	if err != nil {
		return k.serial, err
	}
	return k.serial, a.showWritten(ctx, st, res, have.Token, have.Live)
}
