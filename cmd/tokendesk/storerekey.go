package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
)

func newStoreRekeyCmd(a *app) *cobra.Command {
	var prepare, finish bool
	cmd := &cobra.Command{
		Use: "rekey", Short: "Change the sealing key, while servers run", Args: args(0, 0, ""),
		Long: `Draw a new version of the sealing key, add it to the key's file, and seal every secret of the store anew. Servers go on:
they read the file again when they meet the new version. Broken off, by whatever it is, it goes on where it was when it
is called again. The old versions stay in the file until --finish, which refuses while a row needs one of them.

If several machines have the file, call it with --prepare first, copy the file to all of them, and then call it again.

Backups of before open by the old versions only: keep a copy of the old file for as long as you keep those. Codes, links
and API tokens stay valid: the key of their hashes does not change.`,
		Example: "  tokendesk store rekey\n  tokendesk store rekey --finish",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if prepare && finish {
				return usagef("--prepare comes before the change and --finish after it")
			}
			return runRekey(cmd.Context(), a, prepare, finish)
		},
	}
	cmd.Flags().BoolVar(&prepare, "prepare", false, "only add the new version to the file")
	cmd.Flags().BoolVar(&finish, "finish", false, "take the versions that no row needs out of the file")
	return cmd
}

func runRekey(ctx context.Context, a *app, prepare, finish bool) error {
	p, err := a.paths()
	if err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	file := a.keyFile(ctx, p)
	key, err := file.Load()
	if err != nil {
		return keyProblem(err, p.sealing)
	}
	old, version, err := st.OldSealed(ctx)
	if err != nil {
		return err
	}
	if finish {
		return a.finishRekey(p.sealing, file, key, old, version)
	}
	if key.Version() == version && old == 0 { // otherwise it was begun before
		if key, err = file.AddVersion(version, a.rand); err != nil {
			return keyProblem(err, p.sealing)
		}
		a.say("version %d of the sealing key is in %s", key.Version(), printable(p.sealing))
	}
	if prepare {
		a.say("copy that file to every machine with a server, then: tokendesk store rekey")
		return nil
	}
	progress, done := a.rowProgress("secrets")
	r, err := st.Rekey(ctx, key, progress)
	done()
	if err != nil {
		return err
	}
	a.say("%s sealed with version %d", count(r.Sealed, "row"), r.Version)
	if r.Broken > 0 {
		return problemf(exitPartly, "%s could not be opened, and stayed as they are", count(r.Broken, "row")).
			hint("they were damaged before, or the key's file lacks their version; see: tokendesk doctor")
	}
	a.say("keep a copy of %s, apart from the copies of the store; then take the old version out: tokendesk store rekey --finish", printable(p.sealing))
	return nil
}

// finishRekey takes old versions out of the key's file.
func (a *app) finishRekey(path string, file *seal.File, key seal.Key, old int64, version uint32) error {
	switch {
	case old > 0:
		return problemf(exitRefused, "%s of the store still need an old version", count(int(old), "row")).hint("seal them anew: tokendesk store rekey")
	case len(key.Versions()) == 1:
		a.say("%s holds version %d only; nothing was changed", printable(path), version)
		return nil
	case key.Version() != version:
		return problemf(exitRefused, "version %d was drawn and is not in use yet", key.Version()).hint("use it: tokendesk store rekey")
	}
	if _, err := file.KeepVersion(version, a.rand); err != nil {
		return keyProblem(err, path)
	}
	a.say("%s holds version %d only; do the same on every machine that has the file", printable(path), version)
	a.say("backups of before need the old file")
	return nil
}
