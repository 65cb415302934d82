package main

import (
	"iter"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/ykval"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate"
)

func newCounterCmd(a *app) *cobra.Command {
	return group("counter", "Take over what was spent at another validation server", newCounterImportCmd(a))
}

func newCounterImportCmd(a *app) *cobra.Command {
	var o takeOptions
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take over counters from yubikey-val, so that what was spent there is spent here", Args: args(1, 1, "FILE"),
		Long: `Take over counters from the output of ykval-export. A stored counter only rises, so files of several servers, old and new ones, may be
imported in any order and any number of times, also while the server runs. A key that is inactive there is blocked here, as lost;
one that is active there is not unblocked.

The keys must be here: those that are not are named, nothing is stored of them, and the exit code is not 0. Import them
(keyfile import), and repeat the command.`,
		Example: "  ykval-export | tokendesk counter import -\n  tokendesk counter import --dry-run counters.csv",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				var sums ykval.Checksums
				return a.takeFile(cmd.Context(), given[0], o, textKind{"counters of yubikey-val", "ykval-checksum-deactivated", func(k *keySource, report func(desk.Imported)) error {
					return d.TakeOver(cmd.Context(), k.name, o.dryRun, foreignCounters(k, ykval.DecodeCounters(k.text), &sums), report)
				}, sums.Deactivated})
			})
		},
	}
	o.flags(cmd)
	o.wrappingFlags(cmd)
	return cmd
}

// foreignCounters are the counters of a file, blamed for an error that ends it.
func foreignCounters(k *keySource, counters iter.Seq2[ykval.Counters, error], sums *ykval.Checksums) iter.Seq2[desk.Foreign, error] {
	return func(yield func(desk.Foreign, error) bool) {
		for c, err := range counters {
			if err != nil && !keyfile.IsRow(err) {
				err = k.fault(err)
			}
			var f desk.Foreign
			if err == nil {
				sums.Key(c)
				f = desk.Foreign{Line: c.Line, Active: c.Active, Raise: validate.Raise{
					PublicID: c.PublicID, Use: c.Use, Session: c.Session, Timestamp: c.Timestamp, Nonce: c.Nonce, At: c.Modified,
				}}
			}
			if !yield(f, err) {
				return
			}
		}
	}
}
