package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

func newRADIUSCmd(a *app) *cobra.Command {
	return group("radius", "Register the devices that ask by RADIUS, with their secrets and addresses",
		newRADIUSAddCmd(a), newRADIUSListCmd(a), newRADIUSSetCmd(a), newRADIUSRotateCmd(a), newRADIUSRevokeCmd(a))
}

// nasRow is a device as radius list shows it.
type nasRow struct {
	ID       int64             `json:"id"`
	Name     string            `json:"name"`
	Client   int64             `json:"client"`
	Active   bool              `json:"active"`
	Networks []string          `json:"networks"`
	Rules    validate.NASRules `json:"rules"`
	Until    *time.Time        `json:"former_secret_until,omitempty"`
}

// newNAS is a device with a secret that was drawn: a hand-over output, shown once.
type newNAS struct {
	nasRow
	Secret string `json:"secret"`
}

// nasFlags say how a device is known and how its requests are read.
type nasFlags struct {
	networks     []string
	rules        validate.NASRules
	password     string
	secretFile   string
	upstreamFile string
}

func (f *nasFlags) add(cmd *cobra.Command) {
	c := cmd.Flags()
	c.StringArrayVar(&f.networks, "network", nil, "the address it asks from, or a prefix such as 192.0.2.0/24 (may be repeated; the longest prefix decides)")
	c.StringVar(&f.password, "password", string(validate.PasswordNone), "what stands before the code: none; ignore: a password that is not checked; upstream: one that --upstream checks")
	c.IntVar(&f.rules.CodeLen, "code-length", validate.DefaultCodeLen, "digits of a code behind a password, 6 or 8")
	c.IntVar(&f.rules.OTPLen, "otp-length", validate.DefaultOTPLen, "characters of a Yubico OTP behind a password")
	c.BoolVar(&f.rules.StripRealm, "strip-realm", false, `take ada@example.org and EXAMPLE\ada for ada`)
	c.StringVar(&f.rules.Upstream, "upstream", "", "HOST:PORT of the RADIUS server that checks passwords")
	c.StringVar(&f.upstreamFile, "upstream-secret-file", "", "file whose first line is the secret shared with that; - asks for it or reads standard input")
	complete(cmd, "password", string(validate.PasswordNone), string(validate.PasswordIgnore), string(validate.PasswordUpstream))
	complete(cmd, "code-length", "6", "8")
}

// ownSecret adds the flag for a secret that the device dictates.
func (f *nasFlags) ownSecret(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.secretFile, "secret-file", "", "file whose first line is the secret that the device dictates, 16 to 128 characters; - asks for it or reads standard input")
}

func (f *nasFlags) prefixes() (list []netip.Prefix, err error) {
	return (&clientFlags{networks: f.networks}).prefixes()
}

// secrets reads both.
func (f *nasFlags) secrets(ctx context.Context, a *app) (own, upstream secret.Bytes, err error) {
	if f.secretFile == "-" && f.upstreamFile == "-" {
		return own, upstream, usagef("only one secret can be asked for: name a file for the other")
	}
	if own, err = a.sharedSecret(ctx, f.secretFile, "Secret that the device dictates"); err != nil {
		return own, upstream, err
	}
	upstream, err = a.sharedSecret(ctx, f.upstreamFile, "Secret shared with the upstream server")
	return own, upstream, err
}

func newRADIUSAddCmd(a *app) *cobra.Command {
	var f nasFlags
	var client string
	cmd := &cobra.Command{
		Use: "add NAME --network NETWORK", Short: "Register a device that asks by RADIUS; its secret is shown once", Args: args(1, 1, "NAME"),
		Long: `Register a device that asks by RADIUS: a VPN gateway, a firewall, a switch. It stands for a client (tokendesk client add), whose
groups and limits count; without --client for the one of its own name. It is known by the address that it asks from.

What a person types into the field for the password is a one-time password or code. With --password upstream a password stands
before it, which another RADIUS server checks: when the code is right, that is asked with the password alone, and both must be
right. With --password ignore nobody checks it: it is for devices that have checked it themselves.`,
		Example: `  tokendesk client add vpn && tokendesk radius add vpn --network 192.0.2.10
  tokendesk radius add gate --client vpn --network 2001:db8:7::/48 --secret-file - --strip-realm
  tokendesk radius add wlan --client vpn --network 192.0.2.11 --password upstream --upstream 192.0.2.7:1812 --upstream-secret-file nps.txt`,
		RunE: func(cmd *cobra.Command, given []string) error {
			networks, err := f.prefixes()
			if err != nil {
				return err
			}
			own, upstream, err := f.secrets(cmd.Context(), a)
			if err != nil {
				return err
			}
			defer own.Destroy()
			defer upstream.Destroy()
			f.rules.Password = validate.PasswordRule(f.password)
			n := desk.NewNAS{Name: given[0], Client: client, Networks: networks, Rules: f.rules, Shared: own, UpstreamSecret: upstream}
			if client == "" {
				n.Client = n.Name
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				if _, err := d.Client(cmd.Context(), n.Client); errors.Is(err, token.ErrNotFound) {
					return clientProblem(err, n.Client).(*problem).hint("a device asks with the rights of a client: tokendesk client add %s", printable(n.Client))
				}
				got, err := d.AddNAS(cmd.Context(), n)
				if err != nil {
					return nasProblem(err, given[0])
				}
				a.warnIgnored(got.Password)
				return a.handOverSecret(got, own.Len() == 0)
			})
		},
	}
	f.add(cmd)
	f.ownSecret(cmd)
	cmd.Flags().StringVar(&client, "client", "", "the client that it stands for (default: the one of its name)")
	return cmd
}

// warnIgnored says what a rule that was just set means, if nobody checks passwords by it.
func (a *app) warnIgnored(rule validate.PasswordRule) {
	if rule == validate.PasswordIgnore {
		a.say("the password before the code is checked by nobody here")
	}
}

// handOverSecret shows the new secret of a device, once, if it was drawn here.
func (a *app) handOverSecret(n validate.NAS, drawn bool) error {
	defer n.Secrets[0].Destroy()
	if !n.Until.IsZero() {
		a.say("the former secret is valid until %s", n.Until.Local().Format(time.DateTime))
	}
	if !drawn {
		return show(a, "device", nasOf(n), nasColumns(a))
	}
	a.say("the secret is shown once: type it into the device")
	columns := []column[newNAS]{{"Secret", func(n newNAS) string { return n.Secret }}}
	for _, col := range nasColumns(a) {
		columns = append(columns, column[newNAS]{col.name, func(n newNAS) string { return col.show(n.nasRow) }})
	}
	return show(a, "device", newNAS{nasOf(n), string(n.Secrets[0].Reveal())}, columns)
}

func nasProblem(err error, query string) error {
	var text *desk.TextError
	switch {
	case errors.As(err, &text):
		return usagef("%s", err)
	case errors.Is(err, token.ErrDuplicate):
		return problemf(exitRefused, "a device of that name is registered already")
	case errors.Is(err, desk.ErrNetworkTaken):
		return problemf(exitRefused, "another device has one of these networks").hint("see: tokendesk radius list")
	case errors.Is(err, desk.ErrClientRevoked):
		return problemf(exitRefused, "the client is revoked").hint("see: tokendesk client list")
	case errors.Is(err, token.ErrNotFound):
		return problemf(exitNotFound, "there is no device %q", printable(query)).hint("see: tokendesk radius list")
	case errors.Is(err, token.ErrConflict):
		return problemf(exitRefused, "the device %q is revoked", printable(query)).hint("register it under another name: tokendesk radius add NAME")
	case errors.Is(err, desk.ErrRotating):
		return problemf(exitRefused, "the device %q is between two secrets: the former one is still valid", printable(query)).
			hint("see until when: tokendesk radius list").
			hint("if no other secret may stay valid: tokendesk radius rotate NAME --now")
	}
	return err
}

func nasOf(n validate.NAS) nasRow {
	row := nasRow{ID: n.ID, Name: n.Name, Client: n.Client, Active: n.Active, Networks: []string{}, Rules: n.NASRules}
	for _, p := range n.Networks {
		row.Networks = append(row.Networks, fmt.Sprint(p))
	}
	if !n.Until.IsZero() {
		row.Until = &n.Until
	}
	return row
}

func nasColumns(a *app) []column[nasRow] {
	return []column[nasRow]{
		{"ID", func(n nasRow) string { return strconv.FormatInt(n.ID, 10) }},
		{"Name", func(n nasRow) string { return n.Name }},
		{"Client ID", func(n nasRow) string { return strconv.FormatInt(n.Client, 10) }},
		{"Active", func(n nasRow) string { return yesNo(n.Active) }},
		{"Networks", func(n nasRow) string { return strings.Join(n.Networks, " ") }},
		{"Password", func(n nasRow) string { return strings.TrimSpace(string(n.Rules.Password) + " " + n.Rules.Upstream) }},
		{"Code", func(n nasRow) string {
			if n.Rules.Password == validate.PasswordNone {
				return ""
			}
			return fmt.Sprintf("%d digits, OTP %d", n.Rules.CodeLen, n.Rules.OTPLen)
		}},
		{"Strip realm", func(n nasRow) string { return yesNo(n.Rules.StripRealm) }},
		{"Former secret until", func(n nasRow) string {
			if n.Until == nil {
				return ""
			}
			return a.when(*n.Until)
		}},
	}
}
