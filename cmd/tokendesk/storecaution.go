package main

import (
	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newStoreCautionCmd(a *app) *cobra.Command {
	cmd := group("caution", "Tokens that are not trusted after a backup was put back", newCautionListCmd(a), newCautionReleaseCmd(a))
	cmd.Long = `After a backup was put back, the counters that it holds may be behind those of the tokens: what was accepted since would be
accepted once more. So each Yubico OTP or HOTP token must show two fresh one-time passwords, within a minute of one
power-up of a YubiKey, or two codes in a row; they are refused. The third is accepted.`
	return cmd
}

func newCautionListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tokens whose counters are not trusted yet", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				all, err := d.Cautious(cmd.Context())
				if err != nil {
					return err
				}
				return list(a, "tokens", all, []column[token.Token]{
					{"Token", func(k token.Token) string { return desk.Name(k) }},
					{"Model", func(k token.Token) string { return string(k.Model) }},
					{"State", func(k token.Token) string { return string(k.State) }},
					{"Holder", func(k token.Token) string {
						if k.Holder == nil {
							return ""
						}
						return k.Holder.Account
					}},
				})
			})
		},
	}
}

func newCautionReleaseCmd(a *app) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use: "release QUERY", Short: "Trust a token's counters as they are", Args: args(1, 1, "QUERY"),
		Long: `Trust a token's counters as they are, when its holder cannot press three times. Somebody who noted a one-time password
that was used since the backup can use it until the holder's next one.`,
		Example: "  tokendesk store caution release 10200301 --reason \"holder is at the desk\"",
		RunE: func(cmd *cobra.Command, given []string) error {
			if why == "" {
				return usagef("--reason is missing; it is kept in the audit chain")
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				k, done, err := d.Release(cmd.Context(), given[0], why)
				if err != nil {
					return err
				}
				if !done {
					a.say("%s was trusted already; nothing was changed", printable(desk.Name(k)))
					return nil
				}
				a.say("%s is trusted: its next one-time password is accepted, and every newer one", printable(desk.Name(k)))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&why, "reason", "", "why, for the audit chain")
	return cmd
}
