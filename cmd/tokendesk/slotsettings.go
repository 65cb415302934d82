package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// settingsOptions are the flags of slot settings.
type settingsOptions struct {
	oneSlot
	toggles
	kind        string
	reset       bool
	currentCode string
	dryRun      bool
}

func newSlotSettingsCmd(a *app) *cobra.Command {
	var o settingsOptions
	cmd := &cobra.Command{
		Use: "settings", Short: "Change the flags of a slot; its secret stays", Args: args(0, 0, ""),
		Long: `Change the flags of a slot. Its secret, its counters and its access code stay.

A key cannot be asked for its flags, and an update writes all of them: those that are not named are taken from what the store wrote. For
a slot that this store did not write, all must be named, or --reset gives those that are not named what a new slot has.`,
		Example: "  tokendesk slot settings --slot 2 --pacing 20 --no-enter\n  tokendesk slot settings --slot 1 --dormant --dry-run",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.settings(cmd, o) },
	}
	o.oneSlot.flags(cmd, a)
	f := cmd.Flags()
	f.StringVar(&o.kind, "type", "", "what a slot that is not ours holds: "+joined(kindWords()))
	f.BoolVar(&o.reset, "reset", false, "flags that are not named become those of a new slot")
	f.StringVar(&o.currentCode, currentCodeFlag, "", currentCodeText)
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be changed, change nothing")
	complete(cmd, "type", kindWords()...)
	o.toggles.flags(cmd, true)
	return cmd
}

func (a *app) settings(cmd *cobra.Command, o settingsOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	current, err := a.accessCode(cmd.Context(), o.currentCode, "the present access code")
	if err != nil {
		return err
	}
	defer current.Destroy()
	return a.hold(cmd.Context(), &o.choice, func(h held) error {
		u, err := o.wanted(cmd, h)
		if err != nil {
			return err
		}
		u.Current = current
		c, diffs, err := provision.BuildUpdate(u, h.have)
		if err != nil {
			return err
		}
		if !o.dryRun {
			if err := a.change(cmd.Context(), h, c, current); err != nil {
				return err
			}
		}
		return a.showUpdate(c, diffs, o.dryRun)
	})
}

// wanted is the update that the flags name.
func (o *settingsOptions) wanted(cmd *cobra.Command, h held) (provision.UpdateSpec, error) {
	u := provision.UpdateSpec{Slot: token.Slot(o.slot), Kind: token.Kind(o.kind)}
	var err error
	if u.Set, u.Clear, u.Complete, err = o.toggles.read(cmd); err != nil {
		return u, err
	}
	if !o.reset && u.Set == (ykslot.Flags{}) && u.Clear == (ykslot.Flags{}) {
		return u, usagef("no flag is named").hint("see: tokendesk slot settings --help")
	}
	if o.reset {
		u.Set, u.Clear, u.Complete = resetFlags(u, h, o.slot)
	}
	return u, nil
}

// resetFlags names every flag: those that are not named as a new slot has them.
func resetFlags(u provision.UpdateSpec, h held, slot int) (set, clear ykslot.Flags, complete bool) {
	kind := u.Kind
	if c := h.in(slot); c != nil {
		kind = c.Kind
	}
	base := ykslot.TypingFlags(h.k.version())
	if kind == token.ChallengeResponse {
		base = ykslot.ChallengeFlags(h.k.version())
	}
	set, clear = u.Set, u.Clear
	for _, t := range provision.Toggles() {
		switch {
		case !t.Update || t.On(u.Set) || t.On(u.Clear) || kind != "" && !t.Goes(kind):
		case t.On(base):
			set = t.With(set, true)
		default:
			clear = t.With(clear, true)
		}
	}
	return set, clear, true
}

func (a *app) showUpdate(c token.SlotChange, diffs []provision.Difference, dry bool) error {
	known := c.Credential != nil && provision.FlagsOf(c.Credential.Settings) != (ykslot.Flags{})
	rows := make([]switched, len(diffs))
	for i, d := range diffs {
		rows[i] = switched{d.Toggle.Name, onOff(!d.To), onOff(d.To), d.Toggle.Text}
		if !known {
			rows[i].From = "unknown"
		}
	}
	what := fmt.Sprintf("slot %d of key %s", c.Slot, c.Serial)
	if dry {
		a.say("dry run: %s was not changed", what)
	} else {
		a.say("%s is changed", what)
	}
	return list(a, "flags", rows, []column[switched]{
		{"Flag", func(s switched) string { return s.Flag }},
		{"From", func(s switched) string { return s.From }},
		{"To", func(s switched) string { return s.To }},
		{"Meaning", func(s switched) string { return s.Text }},
	})
}

// codeOptions are the flags of slot access-code set, change and remove.
type codeOptions struct {
	oneSlot
	newCode, currentCode string
	reset                bool
	kind                 string
}

func newSlotCodeCmd(a *app) *cobra.Command {
	return group("access-code", "Guard a slot by an access code",
		codeVerb(a, "set", "Set an access code where there is none", provision.CodeSet, false),
		codeVerb(a, "change", "Change the access code", provision.CodeSet, true),
		codeVerb(a, "remove", "Take the access code away", provision.CodeRemoved, true))
}

// codeVerb makes one of the three. had: the slot must have a code.
func codeVerb(a *app, use, short string, change provision.CodeChange, had bool) *cobra.Command {
	var o codeOptions
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args(0, 0, ""),
		Long: short + `. The secret in the slot stays, and so do its flags, which are written with the code.

The code is six random bytes, is kept sealed in the store and used by itself from then on; it is never shown. Of a slot that this store did
not write nothing is kept: its codes come from files or prompts, and --reset says that its flags become those of a new slot.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.codeChange(cmd, o, change, had) },
	}
	o.oneSlot.flags(cmd, a)
	f := cmd.Flags()
	if change == provision.CodeSet {
		f.StringVar(&o.newCode, "new-code-file", "", "file with the code in hexadecimal, instead of a drawn one; - asks for it or reads standard input")
	}
	f.StringVar(&o.currentCode, currentCodeFlag, "", currentCodeText)
	f.BoolVar(&o.reset, "reset", false, "of a slot that is not ours: its flags become those of a new slot")
	f.StringVar(&o.kind, "type", "", "what a slot that is not ours holds: "+joined(kindWords()))
	complete(cmd, "type", kindWords()...)
	return cmd
}

func (a *app) codeChange(cmd *cobra.Command, o codeOptions, change provision.CodeChange, had bool) error {
	ctx := cmd.Context()
	if err := o.check(); err != nil {
		return err
	}
	if o.newCode == "-" && o.currentCode == "-" && !a.stdinTTY {
		return usagef("only one code can be read from standard input")
	}
	current, err := a.accessCode(ctx, o.currentCode, "the present access code")
	if err != nil {
		return err
	}
	defer current.Destroy()
	code, err := a.newAccessCode(ctx, o.newCode)
	defer code.Destroy()
	if err != nil {
		return err
	}
	return a.hold(ctx, &o.choice, func(h held) error {
		u := provision.UpdateSpec{Slot: token.Slot(o.slot), Kind: token.Kind(o.kind), Code: change, NewCode: code, Current: current}
		ours := h.in(o.slot)
		switch known := ours != nil && provision.FlagsOf(ours.Settings) != (ykslot.Flags{}); {
		case o.reset && known:
			return usagef("--reset is for a slot whose flags the store does not know").hint("tokendesk slot settings --slot %d --reset", o.slot)
		case o.reset:
			u.Set, u.Clear, u.Complete = resetFlags(u, h, o.slot)
		}
		if err := h.codeFits(ours, change, had, code, o.slot); err != nil {
			return err
		}
		if change == provision.CodeSet && code.Len() == 0 {
			drawn, err := secret.Random(a.rand, ykslot.AccessCodeLen)
			defer drawn.Destroy()
			if err != nil {
				return err
			}
			u.NewCode = drawn
		}
		c, _, err := provision.BuildUpdate(u, h.have)
		if err != nil {
			return err
		}
		if err := a.change(ctx, h, c, current); err != nil {
			return err
		}
		return a.showCode(c)
	})
}

// codeFits refuses to set a code over one, to change none, and to draw one that nobody would keep.
func (h held) codeFits(ours *token.Credential, change provision.CodeChange, had bool, code secret.Bytes, slot int) error {
	refused := func(err error) error {
		return &provision.RefusedError{Serial: h.k.serial, Slot: token.Slot(slot), Err: err}
	}
	switch {
	case ours == nil && change == provision.CodeSet && code.Len() == 0 && h.have.InUse[slot-1]:
		return usagef("the slot is not ours, so the store keeps no code of it: name one by --new-code-file")
	case ours != nil && !had && ours.Settings.HasAccessCode:
		return refused(provision.ErrHasCode)
	case ours != nil && had && !ours.Settings.HasAccessCode:
		return refused(provision.ErrNoCode)
	}
	return nil
}

// guardRow is what became of an access code.
type guardRow struct {
	Serial     token.Serial `json:"serial"`
	Slot       token.Slot   `json:"slot"`
	AccessCode string       `json:"access_code"`
}

func (a *app) showCode(c token.SlotChange) error {
	row := guardRow{c.Serial, c.Slot, "none"}
	switch {
	case c.Code.Len() > 0 && c.Credential != nil:
		row.AccessCode = "kept in the store"
	case c.Code.Len() > 0:
		row.AccessCode = "set, and kept by nobody but you"
	}
	return show(a, "slot", row, []column[guardRow]{
		{"Serial", func(r guardRow) string { return r.Serial.String() }},
		{"Slot", func(r guardRow) string { return fmt.Sprint(r.Slot) }},
		{"Access code", func(r guardRow) string { return r.AccessCode }},
	})
}
