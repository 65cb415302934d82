package main

import (
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/ykval"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate"
)

func newClientImportCmd(a *app) *cobra.Command {
	var o takeOptions
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take over relying servers from yubikey-val, with their numbers and API keys", Args: args(1, 1, "FILE"),
		Long: `Take over relying servers from the output of ykval-export-clients. They keep their numbers and API keys, so nothing changes for them
but the address to ask. One that is inactive there is revoked here, and its key is not kept. What is here already is never
changed: a number that another client has here is refused. Mail address and notes are kept as a note.

The file holds the API keys: remove it afterwards. It may be encrypted by OpenPGP or age.`,
		Example: "  ykval-export-clients | tokendesk client import -\n  tokendesk client import --dry-run clients.csv",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				var sums ykval.Checksums
				return a.takeFile(cmd.Context(), given[0], o, textKind{"clients of yubikey-val", "ykval-checksum-clients", func(k *keySource, report func(desk.Imported)) error {
					return d.TakeOverClients(cmd.Context(), k.name, o.dryRun, foreignClients(k, ykval.Decode(k.text), &sums), report)
				}, sums.Clients})
			})
		},
	}
	o.flags(cmd)
	o.wrappingFlags(cmd)
	return cmd
}

// foreignClients are the clients of a file, blamed for an error that ends it.
func foreignClients(k *keySource, clients iter.Seq2[ykval.Client, error], sums *ykval.Checksums) iter.Seq2[desk.ForeignClient, error] {
	return func(yield func(desk.ForeignClient, error) bool) {
		for c, err := range clients {
			if err != nil && !keyfile.IsRow(err) {
				err = k.fault(err)
			}
			var f desk.ForeignClient
			if err == nil {
				sums.Client(c)
				f = foreignClient(c)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func foreignClient(c ykval.Client) desk.ForeignClient {
	var note []string
	for _, text := range []string{c.Email, c.Notes} {
		if text != "" {
			note = append(note, text)
		}
	}
	return desk.ForeignClient{Line: c.Line, Created: c.Created, Client: validate.Client{
		ID: c.ID, Name: fmt.Sprintf("yubikey-val %d", c.ID), Active: c.Active, Keys: []secret.Bytes{c.Key}, Note: strings.Join(note, "; "),
	}}
}
