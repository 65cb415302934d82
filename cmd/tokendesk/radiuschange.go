package main

import (
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate"
)

func newRADIUSListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the devices that ask by RADIUS, without their secrets", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				devices, err := d.NASes(cmd.Context())
				if err != nil {
					return err
				}
				rows := make([]nasRow, len(devices))
				for i, n := range devices {
					rows[i] = nasOf(n)
				}
				return list(a, "devices", rows, nasColumns(a))
			})
		},
	}
}

func newRADIUSSetCmd(a *app) *cobra.Command {
	var f nasFlags
	cmd := &cobra.Command{
		Use: "set DEVICE", Short: "Change where a device asks from, or how its requests are read", Args: args(1, 1, "DEVICE"),
		Long: `Change a device. What is not named stays; --network replaces what was set. It counts within a second, in every server
process.`,
		Example: "  tokendesk radius set vpn --network 192.0.2.10 --network 2001:db8::10\n  tokendesk radius set vpn --password none --strip-realm=false",
		RunE: func(cmd *cobra.Command, given []string) error {
			networks, err := f.prefixes()
			if err != nil {
				return err
			}
			_, upstream, err := f.secrets(cmd.Context(), a)
			if err != nil {
				return err
			}
			defer upstream.Destroy()
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				n, err := d.NAS(cmd.Context(), given[0])
				if err != nil {
					return nasProblem(err, given[0])
				}
				change, err := f.change(cmd, n, networks, upstream)
				if err != nil {
					return err
				}
				if n, err = d.SetNAS(cmd.Context(), given[0], change); err != nil {
					return nasProblem(err, given[0])
				}
				if cmd.Flags().Changed("password") {
					a.warnIgnored(n.Password)
				}
				return show(a, "device", nasOf(n), nasColumns(a))
			})
		},
	}
	f.add(cmd)
	return cmd
}

// change is what the flags change of a device.
func (f *nasFlags) change(cmd *cobra.Command, n validate.NAS, networks []netip.Prefix, upstream secret.Bytes) (desk.NASChange, error) {
	var change desk.NASChange
	given, rules := cmd.Flags().Changed, n.NASRules
	if given("password") {
		if rules.Password = validate.PasswordRule(f.password); rules.Password != validate.PasswordUpstream {
			rules.Upstream = ""
		}
	}
	if given("upstream") {
		rules.Upstream = f.rules.Upstream
	}
	if given("code-length") {
		rules.CodeLen = f.rules.CodeLen
	}
	if given("otp-length") {
		rules.OTPLen = f.rules.OTPLen
	}
	if given("strip-realm") {
		rules.StripRealm = f.rules.StripRealm
	}
	if rules != n.NASRules {
		change.Rules = &rules
	}
	if networks != nil {
		change.Networks = &networks
	}
	if upstream.Len() > 0 {
		change.UpstreamSecret = &upstream
	}
	if change == (desk.NASChange{}) {
		return change, usagef("radius set: nothing to change was named").hint("see: tokendesk radius set --help")
	}
	return change, nil
}

func newRADIUSRotateCmd(a *app) *cobra.Command {
	var f nasFlags
	var keep time.Duration
	var now bool
	cmd := &cobra.Command{
		Use: "rotate DEVICE", Short: "Give a device a new secret, shown once; the former one stays valid for a while", Args: args(1, 1, "DEVICE"),
		Long: `Give a device a new secret. Requests with either secret are answered, each with its own, until the former one ends.

With --now no other secret stays valid: for a secret that got into wrong hands.`,
		Example: "  tokendesk radius rotate vpn --keep 48h\n  tokendesk radius rotate vpn --now --secret-file -",
		RunE: func(cmd *cobra.Command, given []string) error {
			switch {
			case now && cmd.Flags().Changed("keep"):
				return usagef("radius rotate: --now is instead of --keep")
			case now:
				keep = 0
			case keep <= 0:
				return usagef("--keep is above 0").hint("if no other secret may stay valid: --now")
			}
			own, _, err := f.secrets(cmd.Context(), a)
			if err != nil {
				return err
			}
			defer own.Destroy()
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				n, err := d.RotateNAS(cmd.Context(), given[0], own, keep)
				if err != nil {
					return nasProblem(err, given[0])
				}
				return a.handOverSecret(n, own.Len() == 0)
			})
		},
	}
	f.ownSecret(cmd)
	cmd.Flags().DurationVar(&keep, "keep", defaultKeep, "how long the former secret stays valid")
	cmd.Flags().BoolVar(&now, "now", false, "no other secret stays valid")
	return cmd
}

func newRADIUSRevokeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke DEVICE", Short: "End a device: what it asks is dropped within a second", Args: args(1, 1, "DEVICE"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				n, err := d.RevokeNAS(cmd.Context(), given[0])
				if err != nil {
					return nasProblem(err, given[0])
				}
				a.say("device %d (%s) is revoked and its secrets are destroyed", n.ID, printable(n.Name))
				return nil
			})
		},
	}
}
