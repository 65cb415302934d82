package main

import (
	"context"
	"encoding/base32"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// oathPasswordOptions are the flags of oath password.
type oathPasswordOptions struct {
	oathChoice
	random  bool
	remove  bool
	newFile string
}

func newOATHPasswordCmd(a *app) *cobra.Command {
	var o oathPasswordOptions
	cmd := &cobra.Command{
		Use: "password", Short: "Guard a key's accounts by a password, or take it away", Args: args(0, 0, ""),
		Long: `Guard the accounts of a key by a password: it is asked for twice, or read from a file, or drawn. It is kept, sealed, in the store before
the key gets it, and from then on used by itself.`,
		Example: "  tokendesk oath password\n  tokendesk oath password --random --serial 12345678\n  tokendesk oath password --remove",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.oathPassword(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.random, "random", false, "draw one, that only the store knows")
	f.BoolVar(&o.remove, "remove", false, "take it away")
	f.StringVar(&o.newFile, "new-password-file", "", "file whose first line is the new password; - asks for it or reads standard input")
	o.flags(cmd, a)
	return cmd
}

func (a *app) oathPassword(ctx context.Context, o oathPasswordOptions) error {
	ways := 0
	for _, on := range []bool{o.random, o.remove, o.newFile != ""} {
		if on {
			ways++
		}
	}
	switch {
	case ways > 1:
		return usagef("--random, --remove and --new-password-file exclude each other")
	case ways == 0 && !a.stdinTTY:
		return usagef("oath password: nobody can be asked for the new password").hint("draw one: --random, or read it: --new-password-file FILE")
	case o.newFile == "-" && o.passwordFile == "-":
		return usagef("only one secret can be read from standard input")
	}
	return a.withAccounts(ctx, o.oathChoice, a.openStore, func(st *sqlstore.Store, k *oathKey) error { return a.changePassword(ctx, o, st, k) })
}

func (a *app) changePassword(ctx context.Context, o oathPasswordOptions, st *sqlstore.Store, k *oathKey) error {
	if k.serial == 0 {
		return &provision.RefusedError{Err: provision.ErrNoSerial}
	}
	if o.remove {
		if err := k.session.RemovePassword(ctx); err != nil {
			return err
		}
		a.say("the accounts of %s need no password any more", k.name())
		if err := a.forgetPasswords(context.WithoutCancel(ctx), st, k); err != nil {
			return err
		}
		return a.showPassword(k, "none")
	}
	password, err := a.newOATHPassword(ctx, o, k)
	defer password.Destroy()
	if err != nil {
		return err
	}
	if err := a.setOATHPassword(ctx, st, k, password); err != nil {
		return err
	}
	return a.showPassword(k, "kept in the store")
}

// passwordRow is what became of a password.
type passwordRow struct {
	Serial   token.Serial `json:"serial"`
	Password string       `json:"password"` // where it is, never itself
}

func (a *app) showPassword(k *oathKey, where string) error {
	return show(a, "oath", passwordRow{k.serial, where}, []column[passwordRow]{
		{"Serial", func(r passwordRow) string { return r.Serial.String() }},
		{"Password", func(r passwordRow) string { return r.Password }},
	})
}

// setOATHPassword keeps a password and gives it to the key. If that cannot be seen to its end, both stay in the store, and the key says
// the next time which one it has.
func (a *app) setOATHPassword(ctx context.Context, st *sqlstore.Store, k *oathKey, password secret.Bytes) error {
	id, err := st.KeepEscrow(ctx, k.serial, token.OATHPassword, password)
	if err != nil {
		return err
	}
	if err := k.session.SetPassword(ctx, password); err != nil {
		return err
	}
	if err := st.SettleEscrow(context.WithoutCancel(ctx), k.serial, token.OATHPassword, id); err != nil {
		return err
	}
	a.say("a password guards the accounts of %s; it is kept in the store", k.name())
	return nil
}

// newOATHPassword draws, reads or asks for one. The caller destroys it.
func (a *app) newOATHPassword(ctx context.Context, o oathPasswordOptions, k *oathKey) (secret.Bytes, error) {
	switch {
	case o.random:
		const size = 20 // 160 bits, 32 characters
		raw, err := secret.Random(a.rand, size)
		if err != nil {
			return raw, err
		}
		defer raw.Destroy()
		text := make([]byte, base32.StdEncoding.EncodedLen(size))
		base32.StdEncoding.Encode(text, raw.Reveal())
		return secret.New(text), nil
	case o.newFile != "":
		return a.sharedSecret(ctx, o.newFile, "new password of the OATH accounts")
	}
	return a.newSecret(ctx, "-", "new password of the OATH accounts of "+k.name(), nil)
}
