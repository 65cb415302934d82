package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// attestedKey is what an attestation proves; what the key says of itself where nothing was verified.
type attestedKey struct {
	Slot        string       `json:"slot"`
	Verified    bool         `json:"verified"`
	Serial      token.Serial `json:"serial,omitempty"`
	Firmware    string       `json:"firmware"`
	FormFactor  string       `json:"form_factor,omitempty"`
	FIPS        bool         `json:"fips"`
	Algorithm   string       `json:"algorithm"`
	PINPolicy   string       `json:"pin_policy"`
	TouchPolicy string       `json:"touch_policy"`
	Maker       string       `json:"maker"`
	Answered    bool         `json:"answered"` // it signed a challenge: it is on the key that is attached
}

func newPIVAttestCmd(a *app) *cobra.Command {
	var o pivOptions
	var roots []string
	var out string
	cmd := &cobra.Command{
		Use: "attest SLOT --roots FILE", Short: "Prove that the key in a slot was generated on a genuine key", Args: args(1, 1, "SLOT"),
		Long: `Ask the key for its certificate about the key in a slot, and hold it against the maker's root certificates: that it was generated there,
with which policies, on which serial number and firmware. Only keys that were generated on the card can be attested.

--out FILE keeps the two certificates in PEM, for an authority that wants to see them; they are kept unverified without --roots.`,
		Example: "  tokendesk piv attest 9a --roots yubico-piv-ca.pem\n  tokendesk piv attest 9a --roots yubico-piv-ca.pem --out ada-attestation.pem -o json",
		RunE: func(cmd *cobra.Command, given []string) error {
			at, err := piv.ParseSlot(given[0])
			if err != nil {
				return usagef("%s", err)
			}
			if len(roots) == 0 && out == "" {
				return usagef("--roots is missing: a file with the maker's root certificates, in PEM").
					hint("Yubico publishes them: https://developers.yubico.com/PKI/")
			}
			if out != "" {
				if err := checkOut("--out", out); err != nil {
					return err
				}
			}
			_, trusted, err := a.readRoots(cmd.Context(), roots)
			if err != nil {
				return err
			}
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error { return s.attest(cmd.Context(), at, trusted, len(roots) > 0, out) })
		},
	}
	o.flags(cmd, a)
	cmd.Flags().StringArrayVar(&roots, "roots", nil, rootsUsage)
	cmd.Flags().StringVar(&out, "out", "", "file to make: the attestation and the certificate of slot f9, in PEM")
	return cmd
}

func (s *pivSession) attest(ctx context.Context, at piv.Slot, roots piv.Roots, verify bool, out string) error {
	var text []byte
	if !verify {
		c, err := s.card.Attest(ctx, at)
		if err != nil {
			return err
		}
		text = append(text, c.Raw...)
		if s.facts.Maker == nil {
			return problemf(exitIntegrity, "the key has no certificate in slot %v", piv.Attestation)
		}
		if err := writePEM(out, text, s.facts.Maker.Raw); err != nil {
			return err
		}
		s.a.say("%s holds the certificates, which were not verified: --roots FILE does", printable(out))
		now := pivSlotOf(s.facts.Slot(at))
		return s.a.showAttested(attestedKey{
			Slot: at.String(), Serial: s.facts.Serial, Firmware: s.facts.Version.String(), Algorithm: now.Algorithm, PINPolicy: now.PINPolicy,
			TouchPolicy: now.TouchPolicy, Maker: s.facts.Maker.Issuer.String(),
		})
	}
	got, err := s.runner.Attest(ctx, s.card, at, roots)
	if err != nil {
		return err
	}
	if out != "" {
		if err := writePEM(out, got.Certificate.Raw, got.Maker.Raw); err != nil {
			return err
		}
	}
	if !got.Answered {
		s.a.say("note: what wants a PIN or a touch is not asked to sign: the certificates may be copies of another key's; a request proves the key: tokendesk piv csr %v", at)
	}
	algorithm, _ := piv.AlgorithmOf(got.Public)
	return s.a.showAttested(attestedKey{
		Slot: at.String(), Verified: true, Serial: got.Serial, Firmware: got.Version.String(), FormFactor: got.FormFactor.String(), FIPS: got.FIPS,
		Algorithm: algorithm.String(), PINPolicy: got.PIN.String(), TouchPolicy: got.Touch.String(), Maker: got.Maker.Issuer.String(), Answered: got.Answered,
	})
}

func (a *app) showAttested(k attestedKey) error {
	return show(a, "attestation", k, []column[attestedKey]{
		{"Slot", func(k attestedKey) string { return k.Slot }},
		{"Genuine", func(k attestedKey) string {
			if !k.Verified {
				return "not verified"
			}
			return fmt.Sprintf("yes: generated on a key of %s", k.Maker)
		}},
		{"Serial", func(k attestedKey) string { return k.Serial.String() }},
		{"Firmware", func(k attestedKey) string { return k.Firmware }},
		{"Form factor", func(k attestedKey) string { return k.FormFactor }},
		{"FIPS", func(k attestedKey) string { return yesNo(k.FIPS) }},
		{"Key", func(k attestedKey) string { return k.Algorithm }},
		{"PIN", func(k attestedKey) string { return k.PINPolicy }},
		{"Touch", func(k attestedKey) string { return k.TouchPolicy }},
		{"Asked to sign", func(k attestedKey) string { return yesNo(k.Answered) }},
	})
}
