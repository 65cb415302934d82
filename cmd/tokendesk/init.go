package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// initOptions are the flags of init.
type initOptions struct {
	unlock string
	newUnlock
}

func newInitCmd(a *app) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use: "init", Short: "Make a store with its sealing and signing keys", Args: args(0, 0, ""),
		Long: `Make a store, the key that seals its secrets, and the key that signs its audit chain, each file of mode 0600.

What exists is never overwritten. Keep a copy of the sealing key apart from the copies of the store: one is worth
nothing without the other.

With --unlock piv the sealing key is wrapped for a YubiKey: its file opens only with that key and its PIN, which every
command and server asks for when it starts. Without the key nobody reads the store, so let a second one open it at once:
tokendesk store unlock add.`,
		Example: "  tokendesk init\n  tokendesk init --store /srv/tokendesk --key /root/sealing.key\n  tokendesk init --unlock piv --serial 12345678",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), a, o) },
	}
	cmd.Flags().StringVar(&o.unlock, "unlock", "", "what opens the sealing key: piv, a YubiKey with its PIN; nothing else than the file without it")
	complete(cmd, "unlock", "piv")
	o.newUnlock.flags(cmd, a)
	return cmd
}

func runInit(ctx context.Context, a *app, o initOptions) (err error) {
	if o.unlock != "" && o.unlock != "piv" {
		return usagef("--unlock %s is unknown", printable(o.unlock)).hint("it is piv, or nothing")
	}
	if o.unlock == "" && o.newUnlock != (newUnlock{}) {
		return usagef("--serial, --pin-file, --management-key-file and --yes are of the YubiKey that opens the store").hint("add --unlock piv")
	}
	p, err := a.paths()
	if err != nil {
		return err
	}
	for _, f := range []string{p.database, p.sealing, p.signing} {
		if _, err := os.Lstat(f); err == nil {
			return exists(p, f)
		}
	}
	var to []seal.Recipient
	if o.unlock == "piv" {
		r, err := a.prepareUnlock(ctx, o.newUnlock, noEscrow{}, func(token.Serial) error { return nil })
		if err != nil {
			return err
		}
		to = append(to, r)
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
	sealing, err := a.keyFile(ctx, p).Create(a.rand, to)
	if err != nil {
		return existing(err, p, p.sealing)
	}
	made = append(made, p.sealing)
	signing, err := seal.CreateSigningFile(p.signing, a.rand)
	if err != nil {
		return existing(err, p, p.signing)
	}
	made = append(made, p.signing)
	s, err := sqlstore.Create(ctx, p.where, sqlstore.Keys{Sealing: sealing, Signing: signing}, a.storeOptions(ctx))
	if err != nil {
		return openProblem(p, existing(err, p, "a store in "+p.name))
	}
	made = nil // a store is there that needs them
	for _, r := range to {
		if err = s.NoteUnlock(ctx, "add", token.Serial(r.Serial)); err != nil {
			break
		}
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	a.say("store made in %s", p.name)
	a.say("sealing key: %s: keep a copy of it, apart from copies of the store", p.sealing)
	if len(to) > 0 {
		a.say("it opens only with key %d and its PIN: if that key is lost, so is every secret of the store", to[0].Serial)
		a.say("  let a second key open it: tokendesk store unlock add; or keep a recovery copy: tokendesk store unlock copy")
	}
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
