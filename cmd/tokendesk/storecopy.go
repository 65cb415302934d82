package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newStoreCopyCmd(a *app) *cobra.Command {
	var to string
	var yes bool
	cmd := &cobra.Command{
		Use: "copy --to DIR|URL", Short: "Move the store into another database, such as from SQLite to PostgreSQL", Args: args(0, 0, ""),
		Long: `Move the store into an empty place: a directory, or an empty database of PostgreSQL. From the first step on nothing is
accepted here any more, by any server that runs, because two stores that answer would accept a one-time password once
each. Every table is read back from the copy and compared, and its audit chain is verified, before the copy is there at
all. If anything fails, the store is open again as before.

The keys stay the same. A store that was moved is opened by nothing but this command and "store reopen".`,
		Example: "  tokendesk store copy --to postgres://tokendesk@db.example.org/tokendesk    # password: ~/.pgpass",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runCopy(cmd.Context(), a, to, yes) },
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "directory, or URL of an empty database: postgres://…")
	f.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func runCopy(ctx context.Context, a *app, to string, yes bool) error {
	if to == "" {
		return usagef("--to is missing: a directory, or the URL of an empty database")
	}
	if err := refusePassword("--to", to); err != nil {
		return err
	}
	a.moved = true
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	name := printable(placeName(to))
	if err := a.confirm(ctx, yes, "end this store and go on in "+name); err != nil {
		return err
	}
	progress, done := a.rowProgress("rows")
	c, err := st.CopyTo(ctx, to, name, a.storeOptions(ctx), progress)
	done()
	if err != nil {
		return travelProblem(err, "the copy", name)
	}
	a.say("%s copied and compared, %s of the audit chain verified", count(int(c.Rows), "row"), count(c.Events, "event"))
	a.say("go on with: --store %s and the same keys", name)
	a.say("this store accepts nothing any more; undo it, if nothing was accepted there: tokendesk store reopen")
	return nil
}

func newStoreReopenCmd(a *app) *cobra.Command {
	var yes bool
	var why string
	cmd := &cobra.Command{
		Use: "reopen", Short: "Answer again from a store that was moved", Args: args(0, 0, ""),
		Long: `Answer again from a store that was moved. Do it only if no server ever answered from the copy, and delete the copy: what
it accepted would be accepted here once more.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if why == "" {
				return usagef("--reason is missing; it is kept in the audit chain")
			}
			a.moved = true
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			if err := a.confirm(cmd.Context(), yes, "answer from this store again, although it was moved"); err != nil {
				return err
			}
			done, err := st.Reopen(cmd.Context(), why)
			switch {
			case err != nil:
				return err
			case !done:
				a.say("it was not moved; nothing was changed")
			default:
				a.say("it answers again; delete the copy")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&why, "reason", "", "why, for the audit chain")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
