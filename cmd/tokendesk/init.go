package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newInitCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Make a store with its sealing and signing keys", Args: args(0, 0, ""),
		Long: `Make a store, the key that seals its secrets, and the key that signs its audit chain, each file of mode 0600.

What exists is never overwritten. Keep a copy of the sealing key apart from the copies of the store: one is worth
nothing without the other.`,
		Example: "  tokendesk init\n  tokendesk init --store /srv/tokendesk --key /root/sealing.key",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), a) },
	}
}

func runInit(ctx context.Context, a *app) (err error) {
	p, err := a.paths()
	if err != nil {
		return err
	}
	for _, f := range []string{p.database, p.sealing, p.signing} {
		if _, err := os.Lstat(f); err == nil {
			return exists(p, f)
		}
	}
	if err := os.MkdirAll(filepath.Dir(p.signing), 0o700); err != nil {
		return err
	}
	var made []string
	defer func() {
		if err == nil {
			return
		}
		for _, f := range made { // they were made here and seal nothing yet
			err = errors.Join(err, os.Remove(f))
		}
	}()
	sealing, err := seal.CreateFile(p.sealing, a.rand)
	if err != nil {
		return existing(err, p, p.sealing)
	}
	made = append(made, p.sealing)
	signing, err := seal.CreateSigningFile(p.signing, a.rand)
	if err != nil {
		return existing(err, p, p.signing)
	}
	made = append(made, p.signing)
	s, err := sqlstore.Create(ctx, p.where, sqlstore.Keys{Sealing: sealing, Signing: signing}, a.storeOptions())
	if err != nil {
		return openProblem(p, existing(err, p, "a store in "+p.name))
	}
	if err := s.Close(); err != nil {
		return err
	}
	a.say("store made in %s", p.name)
	a.say("sealing key: %s: keep a copy of it, apart from copies of the store", p.sealing)
	if abs, err := filepath.Abs(p.signing); err == nil {
		a.say("signing key of the audit chain: %s", abs)
	}
	return nil
}

func existing(err error, p paths, what string) error {
	if errors.Is(err, fs.ErrExist) {
		return exists(p, what)
	}
	return err
}

func exists(p paths, what string) error {
	x := problemf(exitRefused, "%s exists; nothing is overwritten", what)
	if p.remote() {
		return x.hint("use that store, or name another database, or another directory for new keys: --key FILE")
	}
	return x.hint("use that store, or name another directory: --store DIR")
}
