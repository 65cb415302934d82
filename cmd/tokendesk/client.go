package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// defaultKeep is how long a client's former key stays valid after a rotation.
const defaultKeep = 7 * 24 * time.Hour

func newClientCmd(a *app) *cobra.Command {
	return group("client", "Register the servers that ask for validation, with their keys and rights",
		newClientAddCmd(a), newClientImportCmd(a), newClientListCmd(a), newClientSetCmd(a), newClientRotateCmd(a), newClientRevokeCmd(a))
}

// clientRow is a relying server as client list shows it.
type clientRow struct {
	ID       int64      `json:"id"`
	Name     string     `json:"name"`
	Active   bool       `json:"active"`
	MustSig  bool       `json:"must_sign"`
	Decrypt  bool       `json:"decrypt"`
	Networks []string   `json:"networks"`
	Groups   []string   `json:"groups"`
	Note     string     `json:"note,omitempty"`
	Until    *time.Time `json:"former_key_until,omitempty"`
}

// newClient is a relying server with its API key: a hand-over output, shown once.
type newClient struct {
	clientRow
	Key string `json:"api_key"`
}

// clientFlags are the rights of a client.
type clientFlags struct {
	mustSign         bool
	decrypt          bool
	networks, groups []string
}

func (f *clientFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.mustSign, "must-sign", false, "refuse its unsigned requests")
	cmd.Flags().BoolVar(&f.decrypt, "decrypt", false, "it may ask at /wsapi/decrypt what a one-time password holds: only for another validation server")
	cmd.Flags().StringArrayVar(&f.networks, "network", nil, "where it may ask from: an address or a prefix such as 192.0.2.0/24 (may be repeated; none: anywhere)")
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "whose persons it may ask about (may be repeated; none: everybody)")
}

func (f *clientFlags) prefixes() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range f.networks {
		p, err := desk.ParseNetwork(text)
		if err != nil {
			return nil, usagef("--network: %q is no address and no prefix such as 192.0.2.0/24", printable(text))
		}
		list = append(list, p)
	}
	return list, nil
}

func newClientAddCmd(a *app) *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Register a relying server; its API key is shown once", Args: args(1, 1, "NAME"),
		Example: `  tokendesk client add mail.example.org
  tokendesk client add vpn --must-sign --network 192.0.2.10 --network 2001:db8:7::/48 --group staff -o json > vpn.json`,
		RunE: func(cmd *cobra.Command, given []string) error {
			networks, err := f.prefixes()
			if err != nil {
				return err
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				c, err := d.AddClient(cmd.Context(), given[0], desk.ClientRights{MustSig: f.mustSign, Decrypt: f.decrypt, Networks: networks, Groups: f.groups})
				if err != nil {
					return clientProblem(err, given[0])
				}
				return a.handOverKey(c)
			})
		},
	}
	f.add(cmd)
	return cmd
}

// handOverKey shows the new key of a client, once.
func (a *app) handOverKey(c validate.Client) error {
	defer c.Keys[0].Destroy()
	a.say("the API key is shown once: keep it in the client's configuration")
	if !c.Until.IsZero() {
		a.say("the former key is valid until %s", c.Until.Local().Format(time.DateTime))
	}
	columns := []column[newClient]{
		{"Client ID", func(c newClient) string { return strconv.FormatInt(c.ID, 10) }},
		{"API key", func(c newClient) string { return c.Key }},
	}
	for _, col := range clientColumns(a)[1:] {
		columns = append(columns, column[newClient]{col.name, func(c newClient) string { return col.show(c.clientRow) }})
	}
	return show(a, "client", newClient{clientOf(c), base64.StdEncoding.EncodeToString(c.Keys[0].Reveal())}, columns)
}

func clientProblem(err error, query string) error {
	var text *desk.TextError
	switch {
	case errors.As(err, &text):
		return usagef("%s", err)
	case errors.Is(err, token.ErrDuplicate):
		return problemf(exitRefused, "a client of that name is registered already")
	case errors.Is(err, token.ErrNotFound):
		return problemf(exitNotFound, "there is no client %q", printable(query)).hint("see: tokendesk client list")
	case errors.Is(err, token.ErrConflict):
		return problemf(exitRefused, "the client %q is revoked", printable(query)).hint("register it under another name: tokendesk client add NAME")
	case errors.Is(err, desk.ErrRotating):
		return problemf(exitRefused, "the client %q is between two keys: the former one is still valid", printable(query)).
			hint("see until when: tokendesk client list").
			hint("if no other key may stay valid: tokendesk client rotate NAME --now")
	}
	return err
}

func clientColumns(a *app) []column[clientRow] {
	return []column[clientRow]{
		{"Client ID", func(c clientRow) string { return strconv.FormatInt(c.ID, 10) }},
		{"Name", func(c clientRow) string { return c.Name }},
		{"Active", func(c clientRow) string { return yesNo(c.Active) }},
		{"Must sign", func(c clientRow) string { return yesNo(c.MustSig) }},
		{"Decrypts", func(c clientRow) string { return yesNo(c.Decrypt) }},
		{"Networks", func(c clientRow) string { return strings.Join(c.Networks, " ") }},
		{"Groups", func(c clientRow) string { return strings.Join(c.Groups, "; ") }},
		{"Former key until", func(c clientRow) string {
			if c.Until == nil {
				return ""
			}
			return a.when(*c.Until)
		}},
		{"Note", func(c clientRow) string { return c.Note }},
	}
}

func newClientListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List relying servers, without their keys", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				clients, err := d.Clients(cmd.Context())
				if err != nil {
					return err
				}
				rows := make([]clientRow, len(clients))
				for i, c := range clients {
					rows[i] = clientOf(c)
				}
				return list(a, "clients", rows, clientColumns(a))
			})
		},
	}
}

func newClientSetCmd(a *app) *cobra.Command {
	var f clientFlags
	var anyNetwork, anyGroup bool
	cmd := &cobra.Command{
		Use: "set CLIENT", Short: "Change what a relying server may do", Args: args(1, 1, "CLIENT"),
		Long: `Change what a relying server may do. What is not named stays; --network and --group replace what was set. It counts at once,
in every server process.`,
		Example: "  tokendesk client set vpn --must-sign --network 192.0.2.0/24\n  tokendesk client set vpn --any-group --must-sign=false",
		RunE: func(cmd *cobra.Command, given []string) error {
			networks, err := f.prefixes()
			if err != nil {
				return err
			}
			if anyNetwork && networks != nil || anyGroup && f.groups != nil {
				return usagef("client set: --any-network and --any-group are instead of --network and --group")
			}
			var change desk.ClientChange
			if cmd.Flags().Changed("must-sign") {
				change.MustSig = &f.mustSign
			}
			if cmd.Flags().Changed("decrypt") {
				change.Decrypt = &f.decrypt
			}
			if anyNetwork || networks != nil {
				change.Networks = &networks
			}
			if anyGroup || f.groups != nil {
				change.Groups = &f.groups
			}
			if change == (desk.ClientChange{}) {
				return usagef("client set: nothing to change was named").hint("see: tokendesk client set --help")
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				c, err := d.SetClient(cmd.Context(), given[0], change)
				if err != nil {
					return clientProblem(err, given[0])
				}
				return show(a, "client", clientOf(c), clientColumns(a))
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&anyNetwork, "any-network", false, "it may ask from anywhere")
	cmd.Flags().BoolVar(&anyGroup, "any-group", false, "it may ask about everybody")
	return cmd
}

func newClientRotateCmd(a *app) *cobra.Command {
	var keep time.Duration
	var now bool
	cmd := &cobra.Command{
		Use: "rotate CLIENT", Short: "Give a relying server a new API key, shown once; the former one stays valid for a while", Args: args(1, 1, "CLIENT"),
		Long: `Give a relying server a new API key. Requests signed with either key are accepted until the former one ends, and the answer is
signed with the key that the request was signed with. A client that checks answers but signs no requests should be given the new
key at the end of that time: until then its answers are signed with the former one.

With --now no other key stays valid: for a key that got into wrong hands.`,
		Example: "  tokendesk client rotate vpn --keep 48h\n  tokendesk client rotate vpn --now",
		RunE: func(cmd *cobra.Command, given []string) error {
			switch {
			case now && cmd.Flags().Changed("keep"):
				return usagef("client rotate: --now is instead of --keep")
			case now:
				keep = 0
			case keep <= 0:
				return usagef("--keep is above 0").hint("if no other key may stay valid: --now")
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				c, err := d.RotateClient(cmd.Context(), given[0], keep)
				if err != nil {
					return clientProblem(err, given[0])
				}
				return a.handOverKey(c)
			})
		},
	}
	cmd.Flags().DurationVar(&keep, "keep", defaultKeep, "how long the former key stays valid")
	cmd.Flags().BoolVar(&now, "now", false, "no other key stays valid")
	return cmd
}

func newClientRevokeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke CLIENT", Short: "End a relying server: every request of it is refused from now on", Args: args(1, 1, "CLIENT"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				c, err := d.RevokeClient(cmd.Context(), given[0])
				if err != nil {
					return clientProblem(err, given[0])
				}
				a.say("client %d (%s) is revoked and its keys are destroyed", c.ID, printable(c.Name))
				return nil
			})
		},
	}
}

func clientOf(c validate.Client) clientRow {
	row := clientRow{ID: c.ID, Name: c.Name, Active: c.Active, MustSig: c.MustSig, Decrypt: c.Decrypt, Note: c.Note, Networks: []string{}, Groups: append([]string{}, c.Groups...)}
	for _, p := range c.Networks {
		row.Networks = append(row.Networks, fmt.Sprint(p))
	}
	if !c.Until.IsZero() {
		row.Until = &c.Until
	}
	return row
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
