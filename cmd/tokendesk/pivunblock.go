package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newPIVUnblockCmd(a *app) *cobra.Command {
	var o pivOptions
	var newPIN string
	var letter letterOptions
	cmd := &cobra.Command{
		Use: "unblock", Short: "Set a new PIN by the PUK, also when the PIN is blocked", Args: args(0, 0, ""),
		Long: `Set a PIN, random or that of --new-pin-file, by the PUK that the store has, or that of --puk-file. The PIN gets all its tries back.
The PUK is tried once. When it is blocked too, only a reset is left, which loses the keys.

Where the key is not at hand, its holder can do it with the PUK: tokendesk piv secret QUERY --what puk.`,
		Example: "  tokendesk piv unblock --letter ada.txt\n  tokendesk piv unblock --new-pin-file -",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.onlyOneTyped(o.puk, newPIN); err != nil {
				return err
			}
			if err := letter.check(); err != nil {
				return err
			}
			pin, err := a.newPIN(cmd.Context(), newPIN)
			if err != nil {
				return err
			}
			defer pin.Destroy()
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error { return s.unblock(cmd.Context(), pin, letter) })
		},
	}
	o.flags(cmd, a)
	o.pukFlag(cmd)
	cmd.Flags().StringVar(&newPIN, "new-pin-file", "", "file with the PIN that the key shall have, instead of a random one; - asks for it")
	letter.flags(cmd, "letter")
	return cmd
}

func (s *pivSession) unblock(ctx context.Context, pin secret.Bytes, letter letterOptions) error {
	if err := s.guardPIN(ctx, pin.Len() > 0); err != nil {
		return err
	}
	if err := s.runner.Unblock(ctx, s.card, piv.UnblockSpec{PIN: pin, Given: s.given}); err != nil {
		return s.stale(ctx, err)
	}
	s.a.say("%s has a new PIN, which the store keeps", s.name())
	if err := s.handLetter(ctx, letter); err != nil {
		return err
	}
	told, err := s.told(ctx)
	if err != nil {
		return err
	}
	return s.a.showPIV(*told)
}

func newPIVResetCmd(a *app) *cobra.Command {
	var o pivOptions
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use: "reset --reason TEXT", Short: "Wipe a key's PIV application: every key and certificate on it", Args: args(0, 0, ""),
		Long: `Wipe the PIV application: PIN and PUK are blocked by wrong ones, which is what a key wants to see first, and then every key and
certificate is gone, and the three secrets are those of a new key. What the store kept for it is forgotten. If it is interrupted, the same
command again finishes it. OTP, OATH, FIDO and OpenPGP are not touched.`,
		Example: `  tokendesk piv reset --serial 12345678 --reason "returned by its holder"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(reason) == "" {
				return usagef("--reason is missing: why it may be lost; it is kept in the audit chain")
			}
			ctx := cmd.Context()
			return a.withPIV(ctx, o, func(s *pivSession) error {
				if err := s.guardStore(ctx, "a reset wipes what it opens it with"); err != nil {
					return err
				}
				if err := s.confirmInit(ctx, pivInitOptions{reset: true, yes: yes}); err != nil {
					return err
				}
				if err := s.st.NotePIV(ctx, s.facts.Serial, "piv.reset", sqlstore.PIVEvent{Reason: reason}); err != nil {
					return err
				}
				if err := s.runner.Reset(ctx, s.card); err != nil {
					return s.interrupted(err, "")
				}
				if err := s.st.LoseCertificates(context.WithoutCancel(ctx), s.facts.Serial, ""); err != nil {
					return err
				}
				a.say("the PIV application of %s is as it was new", s.name())
				told, err := s.told(ctx)
				if err != nil {
					return err
				}
				return a.showPIV(*told)
			})
		},
	}
	o.flags(cmd, a)
	cmd.Flags().StringVar(&reason, "reason", "", "why it may be lost; kept in the audit chain")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
