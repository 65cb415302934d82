package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// ndefOptions are the flags of slot ndef.
type ndefOptions struct {
	oneSlot
	uri, text, language string
}

func newSlotNDEFCmd(a *app) *cobra.Command {
	var o ndefOptions
	cmd := &cobra.Command{
		Use: "ndef", Short: "Set what the key shows over NFC, before the slot's one-time password", Args: args(0, 0, ""),
		Long: `Set what the key shows to a telephone over NFC: a URI or a text, to which it appends what the slot types. The slot must type something,
and a slot with an access code refuses, even with the right code: set the NDEF first, the code then.

It is no secret: whoever holds a telephone to the key reads it, and the store keeps it in clear text, in the audit chain, for good.`,
		Example: "  tokendesk slot ndef --slot 1\n  tokendesk slot ndef --slot 2 --uri https://example.org/otp?",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.ndef(cmd.Context(), o) },
	}
	o.oneSlot.flags(cmd, a)
	f := cmd.Flags()
	f.StringVar(&o.uri, "uri", "", "the URI (default "+ykslot.DefaultNDEF+")")
	f.StringVar(&o.text, "text", "", "a text instead of a URI")
	f.StringVar(&o.language, "language", "", "language of the text (default en)")
	return cmd
}

func (a *app) ndef(ctx context.Context, o ndefOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	n, err := o.ndef()
	if err != nil {
		return err
	}
	return a.hold(ctx, &o.choice, func(h held) error {
		if err := h.showsNDEF(ctx, o.slot); err != nil {
			return err
		}
		s := token.KeySetting{Serial: h.k.serial, What: token.NDEF, Slot: token.Slot(o.slot), Value: hex.EncodeToString(n.AppendMarshal(nil)), Text: n.String()}
		if err := tell(ctx, h.st, h.k, s, secret.Bytes{}); err != nil {
			return err
		}
		a.say("%s shows %s before what slot %d types", h.k.name(), printable(n.String()), o.slot)
		return a.showSetting(s)
	})
}

func (o ndefOptions) ndef() (n ykslot.NDEF, err error) {
	switch {
	case o.uri != "" && o.text != "":
		return n, usagef("--uri and --text exclude each other")
	case o.language != "" && o.text == "":
		return n, usagef("--language is that of --text")
	case o.text != "":
		n, err = ykslot.NDEFText(o.text, o.language)
	case o.uri != "":
		n, err = ykslot.NDEFURI(o.uri)
	default:
		n, err = ykslot.NDEFURI(ykslot.DefaultNDEF)
	}
	if err != nil {
		return n, usagef("%s", err)
	}
	return n, nil
}

// showsNDEF refuses what the key would refuse without saying why.
func (h held) showsNDEF(ctx context.Context, slot int) error {
	refused := func(detail string, err error) error {
		return &provision.RefusedError{Serial: h.k.serial, Slot: token.Slot(slot), Detail: detail, Err: err}
	}
	if !h.have.InUse[slot-1] {
		return refused("", provision.ErrSlotEmpty)
	}
	if err := ykslot.FeatureNDEF.Supported(h.k.version()); err != nil {
		return refused("", err)
	}
	if ours := h.in(slot); ours != nil {
		if ours.Settings.HasAccessCode {
			return refused("NDEF is set first, the code then", provision.ErrCodeGuards)
		}
		if ours.Kind == token.ChallengeResponse {
			return refused("challenge-response types nothing that could follow", provision.ErrBadSpec)
		}
	}
	if !h.k.version().AtLeast(4, 1, 0) {
		return nil
	}
	info, err := h.k.session.DeviceInfo(ctx)
	if err == nil && info.NFCSupported == 0 {
		err = problemf(exitRefused, "%s has no NFC", h.k.name())
	}
	return err
}

// scanMapOptions are the flags of slot scanmap.
type scanMapOptions struct {
	choice
	set, currentCode string
	reset, yes       bool
}

func newSlotScanMapCmd(a *app) *cobra.Command {
	var o scanMapOptions
	cmd := &cobra.Command{
		Use: "scanmap", Short: "Choose the keys by which a YubiKey types its ModHex letters and digits", Args: args(0, 0, ""),
		Long: `Choose the keys by which a YubiKey types one-time passwords, for computers whose layout does not have them where most have. The map is of
the whole key. It has 45 usages in hexadecimal, for cbdefghijklnrtuv, the same in upper case, 0123456789, !, Tab and Enter; Shift is bit 80.

The store remembers the map, and reads touches of the key by it. One that another program set is not known here: touches prove nothing then.`,
		Example: "  tokendesk slot scanmap --set 06050708…\n  tokendesk slot scanmap --reset",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.scanMap(cmd.Context(), o) },
	}
	o.choice.flags(cmd, a)
	f := cmd.Flags()
	f.StringVar(&o.set, "set", "", "the map: 90 hexadecimal digits")
	f.BoolVar(&o.reset, "reset", false, "the map of a new key")
	f.StringVar(&o.currentCode, currentCodeFlag, "", currentCodeText)
	f.BoolVar(&o.yes, "yes", false, "set it without asking")
	return cmd
}

func (a *app) scanMap(ctx context.Context, o scanMapOptions) error {
	if (o.set == "") == !o.reset {
		return usagef("slot scanmap: either --set or --reset is needed")
	}
	var m ykslot.ScanMap
	if o.set != "" {
		var err error
		if m, err = ykslot.ParseScanMap(o.set); err != nil {
			return usagef("%s", err)
		}
	}
	code, err := a.accessCode(ctx, o.currentCode, "the present access code")
	if err != nil {
		return err
	}
	defer code.Destroy()
	return a.hold(ctx, &o.choice, func(h held) error {
		if err := ykslot.FeatureScanMap.Supported(h.k.version()); err != nil {
			return &provision.RefusedError{Serial: h.k.serial, Err: err}
		}
		s := token.KeySetting{Serial: h.k.serial, What: token.ScanMap, Value: m.String(), Text: "the default one"}
		codes := []secret.Bytes{code}
		if code.Len() == 0 {
			codes = guards(h.have, s)
		}
		if o.set != "" {
			s.Text = m.String()
			if err := a.confirm(ctx, o.yes, fmt.Sprintf("change how %s types everything", h.k.name())); err != nil {
				return err
			}
		}
		if err := tell(ctx, h.st, h.k, s, codes...); err != nil {
			return err
		}
		a.say("the scan map of %s is %s", h.k.name(), s.Text)
		return a.showSetting(s)
	})
}
