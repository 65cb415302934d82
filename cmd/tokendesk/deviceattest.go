package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// attestOptions are the flags of device attest.
type attestOptions struct {
	choice
	roots      []string
	slot       string
	management string
}

// provenKey is what device attest shows.
type provenKey struct {
	Serial     token.Serial `json:"serial"`
	Genuine    bool         `json:"genuine"`
	Refused    string       `json:"refused,omitempty"`
	Firmware   string       `json:"firmware,omitempty"`
	FormFactor string       `json:"form_factor,omitempty"`
	FIPS       bool         `json:"fips"`
	Slot       string       `json:"slot,omitempty"`
	Root       string       `json:"root,omitempty"`
	RootSHA256 string       `json:"root_sha256,omitempty"`
	Left       string       `json:"left_on_key,omitempty"`
	Recorded   bool         `json:"recorded"`
}

func newDeviceAttestCmd(a *app) *cobra.Command {
	var o attestOptions
	cmd := &cobra.Command{
		Use: "attest [SERIAL]", Short: "Prove that a key is genuine, by the certificate that its maker put in", Args: args(0, 1, "SERIAL"),
		Long: `Prove that a key is genuine: the maker's certificate in PIV slot F9 leads to a root that you trust, and its key signed for one
that was generated on this YubiKey. Serial number, firmware and form factor must be those that the key itself tells. The
answer is kept in the store, if there is one.

If no generated key is there, one is made in a retired slot, for which the management key is needed: that of a new key, or
what the store keeps. It is removed afterwards where the firmware can (5.7); elsewhere it stays, unused, and is found
again next time.

Roots come from the maker (https://developers.yubico.com/PKI/), as files: they are not part of this program. Without
--roots those of "device genuine require" are taken.`,
		Example: "  tokendesk device attest --roots yubico-piv-ca.pem\n  tokendesk device attest 12345678 --roots yubico-ca-1.pem --roots yubico-intermediate.pem -o json",
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) == 1 {
				n, err := strconv.ParseUint(given[0], 10, 32)
				if err != nil || n == 0 || o.serial != 0 && uint64(o.serial) != n {
					return usagef("device attest: SERIAL is one decimal number, as device list shows it")
				}
				o.serial = uint32(n)
			}
			return runAttest(cmd.Context(), a, o)
		},
	}
	serialFlag(cmd, a, &o.serial)
	f := cmd.Flags()
	f.StringArrayVar(&o.roots, "roots", nil, rootsUsage)
	f.StringVar(&o.slot, "slot", "", "PIV slot to use: one with a generated key, or one that holds none, such as 95")
	f.StringVar(&o.management, "management-key-file", "", "file with the key's management key in hexadecimal, when it is not the store's; - asks for it")
	return cmd
}

func runAttest(ctx context.Context, a *app, o attestOptions) (err error) {
	q := attestation{escrow: noEscrow{}}
	if o.slot != "" {
		if q.slot, err = piv.ParseSlot(o.slot); err != nil {
			return usagef("--slot: %s", oneLine(err))
		}
	}
	if q.given.Management, err = a.hexSecret(ctx, o.management, "Management key of the key, in hexadecimal"); err != nil {
		return err
	}
	defer destroyGiven(q.given)
	text, _, err := a.readRoots(ctx, o.roots)
	if err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil && !isNoStore(err) {
		return err
	}
	if st != nil {
		defer func() { _ = st.Close() }()
		q.escrow = st
	}
	if len(text) == 0 && st != nil {
		rule, err := st.AttestationRule(ctx)
		if err != nil {
			return err
		}
		text = rule.Roots
	}
	if len(text) == 0 {
		return usagef("--roots is missing: the certificates that you trust").hint("they are at https://developers.yubico.com/PKI/").
			hint("or keep them in the store: tokendesk device genuine require --roots FILE")
	}
	if err := q.roots.Add(text); err != nil {
		return usagef("--roots: %s", oneLine(err))
	}
	k, err := o.choice.openCard(ctx, a)
	if err != nil {
		return err
	}
	q.told, err = k.tell(ctx)
	k.close()
	if err != nil {
		return err
	}
	got, err := a.attestKey(ctx, k.attached, q)
	shown := provenKeyOf(got, q.told, err)
	if err != nil && !errors.Is(err, piv.ErrNotGenuine) {
		return err
	}
	if st == nil {
		a.say("note: there is no store, so this is not recorded")
	} else if shown.Serial != 0 {
		if err := st.KeepAttestation(ctx, attestationOf(got, q.told, err)); err != nil {
			return err
		}
		shown.Recorded = true
	}
	return errors.Join(a.showProven(shown), err)
}

// tell asks a key what it says of itself.
func (k *cardKey) tell(ctx context.Context) (keyTold, error) {
	told := keyTold{serial: k.serial}
	s, err := ykslot.OpenManagement(ctx, k.card)
	if errors.Is(err, ykslot.ErrNoApplet) {
		return told, nil
	}
	if err != nil {
		return told, err
	}
	told.info, err = tellInfo(ctx, s)
	return told, err
}

// rootsUsage is what --roots says of itself.
const rootsUsage = "file with the maker's root certificates in PEM, and those between; may be repeated"

// maxRoots is the largest file of certificates, in bytes.
const maxRoots = 1 << 20

// readRoots reads the files of --roots: their certificates, and all text as one. Without a file both are empty.
func (a *app) readRoots(ctx context.Context, files []string) (all []byte, roots piv.Roots, err error) {
	for _, name := range files {
		text, err := a.readAll(ctx, name, maxRoots)
		if err != nil {
			return nil, roots, err
		}
		if err := roots.Add(text.Reveal()); err != nil {
			return nil, roots, usagef("--roots %s: %s", printable(name), oneLine(err))
		}
		all = append(append(all, text.Reveal()...), '\n')
	}
	if len(files) > 0 && roots.Empty() { // no key could ever be proven
		return nil, roots, usagef("--roots: none of these certificates is a root, signed with its own key").
			hint("those between need it: it is at https://developers.yubico.com/PKI/, too")
	}
	return all, roots, nil
}

// notGenuine is why nothing is proven, in words.
func notGenuine(err error) string {
	if err == nil {
		return ""
	}
	text := strings.TrimPrefix(oneLine(err), piv.ErrNotGenuine.Error()+": ")
	return upTo(token.MaxRefused, text)
}

func provenKeyOf(got attestOutcome, told keyTold, err error) provenKey {
	p := provenKey{Serial: told.serial, Genuine: err == nil, Refused: notGenuine(err), Left: got.left}
	if err == nil {
		root := got.Chain[len(got.Chain)-1]
		kept := got.Kept()
		p.Serial, p.Firmware, p.FormFactor, p.FIPS, p.Slot = kept.Serial, kept.Firmware, kept.FormFactor, got.FIPS, got.Slot.String()
		p.Root, p.RootSHA256 = printable(root.Subject.String()), kept.Root
	}
	return p
}

// attestationOf is what the store keeps.
func attestationOf(got attestOutcome, told keyTold, err error) token.Attestation {
	if err != nil {
		return token.Attestation{Serial: told.serial, Refused: notGenuine(err)}
	}
	return got.Kept()
}

func (a *app) showProven(p provenKey) error {
	return show(a, "attestation", p, []column[provenKey]{
		{"Serial", func(p provenKey) string { return p.Serial.String() }},
		{"Genuine", func(p provenKey) string { return yesNo(p.Genuine) }},
		{"Because", func(p provenKey) string { return printable(p.Refused) }},
		{"Firmware", func(p provenKey) string { return p.Firmware }},
		{"Form factor", func(p provenKey) string { return p.FormFactor }},
		{"FIPS", func(p provenKey) string { return yesNo(p.FIPS) }},
		{"By the key in slot", func(p provenKey) string { return p.Slot }},
		{"Root", func(p provenKey) string { return p.Root }},
		{"Root, SHA-256", func(p provenKey) string { return p.RootSHA256 }},
		{"Left on the key", func(p provenKey) string { return p.Left }},
		{"Recorded", func(p provenKey) string { return yesNo(p.Recorded) }},
	})
}

// attestText is one line about what the store knows; "": it was never asked.
func attestText(at token.Attestation) string {
	switch {
	case at.At.IsZero():
		return ""
	case at.Genuine():
		return fmt.Sprintf("yes, %s by root %.16s…", at.At.Local().Format(time.DateOnly), at.Root)
	}
	return fmt.Sprintf("NOT PROVEN, %s: %s", at.At.Local().Format(time.DateOnly), printable(at.Refused))
}
