package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newSlotSwapCmd(a *app) *cobra.Command {
	var c choice
	var yes bool
	cmd := &cobra.Command{
		Use: "swap", Short: "Exchange the two slots; the record follows", Args: args(0, 0, ""),
		Long: `Exchange the two slots. What the store knows of them follows in one transaction. A slot with an access code cannot be swapped:
remove the code, swap, and set one again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.hold(cmd.Context(), &c, func(h held) error {
				change, err := provision.BuildSwap(h.have)
				if err != nil {
					return err
				}
				if err := a.confirm(cmd.Context(), yes, "swap the slots of "+h.k.name()); err != nil {
					return err
				}
				if err := a.change(cmd.Context(), h, change, secret.Bytes{}); err != nil {
					return err
				}
				a.say("the slots of %s are swapped", h.k.name())
				return a.showSlots(cmd.Context(), h.st, h.k.serial, 0)
			})
		},
	}
	c.flags(cmd, a)
	cmd.Flags().BoolVar(&yes, "yes", false, "swap without asking")
	return cmd
}

// eraseOptions are the flags of slot erase.
type eraseOptions struct {
	oneSlot
	overwrite, reason, currentCode string
	yes, dryRun                    bool
}

func newSlotEraseCmd(a *app) *cobra.Command {
	var o eraseOptions
	cmd := &cobra.Command{
		Use: "erase", Short: "Empty a slot; its credential is revoked", Args: args(0, 0, ""),
		Long: `Empty a slot. The access code that the store keeps is used by itself, and the slot's credential is revoked. A slot that this
store did not write needs --overwrite and --reason, and its access code if it has one.`,
		Example: "  tokendesk slot erase --slot 2\n  tokendesk slot erase --slot 1 --overwrite factory --reason \"slot 1 stays empty here\"",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.erase(cmd, o) },
	}
	o.oneSlot.flags(cmd, a)
	f := cmd.Flags()
	f.StringVar(&o.overwrite, "overwrite", "", "what may be lost: factory or foreign")
	f.StringVar(&o.reason, "reason", "", "why it may be lost; kept in the audit chain")
	f.StringVar(&o.currentCode, currentCodeFlag, "", currentCodeText)
	f.BoolVar(&o.yes, "yes", false, "erase without asking")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, erase nothing")
	complete(cmd, "overwrite", string(provision.Factory), string(provision.Foreign))
	return cmd
}

func (a *app) erase(cmd *cobra.Command, o eraseOptions) error {
	ctx := cmd.Context()
	if err := o.check(); err != nil {
		return err
	}
	current, err := a.accessCode(ctx, o.currentCode, "the present access code")
	if err != nil {
		return err
	}
	defer current.Destroy()
	return a.hold(ctx, &o.choice, func(h held) error {
		c, err := provision.BuildErase(provision.EraseSpec{Slot: token.Slot(o.slot), Overwrite: provision.Class(o.overwrite), Reason: o.reason}, h.have)
		if errors.Is(err, provision.ErrOccupied) { // the other slot is no way out
			x := explain(err)
			return &problem{line: x.line, hints: x.hints[:1], code: x.code, cause: err}
		}
		if err != nil {
			return err
		}
		if o.dryRun {
			a.say("dry run: slot %d of %s was not erased", o.slot, h.k.name())
			return a.showSlots(ctx, h.st, h.k.serial, c.Slot)
		}
		if err := a.confirm(ctx, o.yes, fmt.Sprintf("erase slot %d of %s for good", o.slot, h.k.name())); err != nil {
			return err
		}
		if err := a.change(ctx, h, c, current); err != nil {
			return err
		}
		a.say("slot %d of %s is empty", o.slot, h.k.name())
		return a.showSlots(ctx, h.st, h.k.serial, 0)
	})
}
