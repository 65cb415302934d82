package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate/store/yubiserver"
)

func newYubiserverCmd(a *app) *cobra.Command {
	return group("yubiserver", "Take over from Debian's yubiserver", newYubiserverImportCmd(a))
}

func newYubiserverImportCmd(a *app) *cobra.Command {
	var o takeOptions
	var digits int
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take over keys with their counters, HOTP tokens and API keys from yubiserver's SQLite file", Args: args(1, 1, "FILE"),
		Long: `Take over everything from yubiserver's file, usually /var/lib/yubiserver/yubiserver.sqlite: keys with their counters, HOTP tokens,
which go into stock, and API keys, whose clients keep number and key. What is disabled there is blocked here. A nickname that is the
account of a person here makes that person the holder; in any case it is the label of a key.

Stop yubiserver first: what it accepts afterwards is not known here. The file is only read. What is here already is never overwritten and
counters only rise, so the command may be repeated.`,
		Example: "  tokendesk yubiserver import --dry-run /var/lib/yubiserver/yubiserver.sqlite",
		RunE: func(cmd *cobra.Command, given []string) error {
			if digits != 6 && digits != 8 {
				return usagef("--digits is 6 or 8")
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				return takeYubiserver(cmd.Context(), a, d, given[0], digits, o.dryRun)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().IntVar(&digits, "digits", 6, "how long the codes of the HOTP tokens are: 6 or 8; yubiserver takes both and does not know")
	return cmd
}

func takeYubiserver(ctx context.Context, a *app, d *desk.Desk, path string, digits int, dry bool) error {
	f, err := yubiserver.Open(ctx, path)
	switch {
	case errors.Is(err, yubiserver.ErrFormat), errors.Is(err, yubiserver.ErrBroken), errors.Is(err, yubiserver.ErrOpen):
		return usagef("%s: %s", printable(path), oneLine(err))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return fileProblem(err, path)
	case err != nil:
		return err
	}
	defer func() { _ = f.Close() }() // read only
	f.Digits = digits
	seen, err := a.seenRows(ctx, f)
	if err != nil {
		return err
	}
	t, name := a.newTaking(dry), printable(path)
	for _, part := range []struct {
		what string
		run  func(report func(desk.Imported)) error
	}{
		{"yubikeys", func(report func(desk.Imported)) error { return d.TakeOver(ctx, name, dry, f.Keys(ctx), report) }},
		{"oathtokens", func(report func(desk.Imported)) error { return d.TakeOver(ctx, name, dry, f.Tokens(ctx), report) }},
		{"apikeys", func(report func(desk.Imported)) error {
			return d.TakeOverClients(ctx, name, dry, f.Clients(ctx), report)
		}},
	} {
		if err = t.part(name, part.what, func(report func(desk.Imported)) error { return seen(part.run, report) }); err != nil {
			break
		}
	}
	return t.finish(ctx, err)
}

// progressRows is how many rows of a file are worth a bar.
const progressRows = 2000

// seenRows returns what runs a part of an import, and shows on a terminal how many rows of all parts are done.
func (a *app) seenRows(ctx context.Context, f *yubiserver.File) (func(run func(func(desk.Imported)) error, report func(desk.Imported)) error, error) {
	total, err := f.Rows(ctx)
	show, done := a.rowProgress("rows")
	var rows int64
	return func(run func(func(desk.Imported)) error, report func(desk.Imported)) error {
		defer done()
		return run(func(i desk.Imported) {
			if rows++; show != nil && total >= progressRows {
				show(rows, total)
			}
			report(i)
		})
	}, err
}
