package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// exportOptions are the flags of keyfile export.
type exportOptions struct {
	to      destinationFlags
	protect protectFlags
	out     string
}

func newKeyfileExportCmd(a *app) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use: "export [QUERY…]", Short: "Write the secrets of tokens into a key file for another server", Args: args(0, -1, ""),
		Long: `Write the secrets of tokens into a key file that another server imports: of all tokens that are proven, not blocked and
not uncertain, or of those that are named.

The file is encrypted the way that server can read: OpenPGP (--recipient), a pre-shared key (--psk-out) or a passphrase
(--passphrase-file). In clear it must be asked for by --plaintext. For servers that read clear files only, and with
--format, --recipient protects it on its way.

It is made new with mode 0600, never written to a terminal and never over an existing file, and compared with the store
before the command ends. What the format cannot carry is told before anything is written, with the tokens that lose it.
Where a server wants a file for each account, --out is a directory made new. Access codes stay in the store.`,
		Example: `  tokendesk keyfile export --for privacyidea --recipient privacyidea.asc --out keys.csv.asc
  tokendesk keyfile export --for freeipa --psk-out psk.bin --out tokens.xml
  tokendesk keyfile export --for yubikey-ksm --recipient ksm.asc --sign-with me.asc --out keys.asc
  tokendesk keyfile export --format yubico-csv --plaintext --out one.csv 12345678`,
		ValidArgsFunction: a.tokenWords,
		RunE:              func(cmd *cobra.Command, given []string) error { return runExport(cmd.Context(), a, o, given) },
	}
	o.to.flags(cmd, "format")
	o.protect.flags(cmd, "passphrase-file")
	cmd.Flags().StringVar(&o.out, "out", "", "file to make")
	return cmd
}

func runExport(ctx context.Context, a *app, o exportOptions, queries []string) error {
	if err := checkOuts(o.out, o.protect.pskOut); err != nil {
		return err
	}
	to, err := a.destination(ctx, o.to)
	if err != nil {
		return err
	}
	p, err := a.protect(ctx, to, o.protect)
	if err != nil {
		return err
	}
	defer p.Destroy()
	return a.withDesk(ctx, func(staff *desk.Desk) error {
		n, records, err := staff.Export(ctx, desk.Export{Format: to.codec.Name(), Target: o.to.server, File: o.out, Protection: p.what}, queries...)
		if err != nil {
			return queryProblem(err)
		}
		if n == 0 {
			return problemf(exitNotFound, "there is nothing to export").
				hint("the default set is proven, not blocked and not uncertain; others are exported by name")
		}
		_, err = a.writeOut(writing{to: to, protect: p, out: o.out, records: destroying(records)})
		return err
	})
}
