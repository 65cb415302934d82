package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newStoreUnlockCmd(a *app) *cobra.Command {
	cmd := group("unlock", "Say which YubiKeys open the sealing key", newUnlockListCmd(a), newUnlockTestCmd(a), newUnlockAddCmd(a), newUnlockRemoveCmd(a), newUnlockPlainCmd(a), newUnlockCopyCmd(a))
	cmd.Long = `The sealing key's file is plain, or wrapped for one or more YubiKeys: then it opens only with one of them and its PIN, which every
command and server asks for once when it starts, or takes from --unlock-pin-file. The YubiKey may be pulled out afterwards.

It keeps secrets from whoever gets the disk, a copy of the machine or its backups, while no program of this store runs. It
does not keep them from root while one does.`
	return cmd
}

// unlocker is a key that opens the store, as it is shown.
type unlocker struct {
	Serial token.Serial `json:"serial"`
	Slot   string       `json:"slot"`
	Key    string       `json:"public_key_sha256"`
}

func newUnlockListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the YubiKeys that the sealing key is wrapped for", Args: args(0, 0, ""),
		Long: "List the YubiKeys that the sealing key is wrapped for, as its file says. None is needed for it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.paths()
			if err != nil {
				return err
			}
			to, err := a.keyFile(cmd.Context(), p).Recipients()
			if err != nil {
				return keyProblem(err, p.sealing)
			}
			rows := make([]unlocker, len(to))
			for i, r := range to {
				rows[i] = unlocker{token.Serial(r.Serial), fmt.Sprintf("%02x", r.Slot), sumOf(r.Public.Bytes())}
			}
			if len(rows) == 0 {
				a.say("%s is plain: whoever reads it reads the store's secrets", printable(p.sealing))
			}
			return list(a, "keys", rows, []column[unlocker]{
				{"Serial", func(u unlocker) string { return u.Serial.String() }},
				{"Slot", func(u unlocker) string { return u.Slot }},
				{"Public key, SHA-256", func(u unlocker) string { return u.Key }},
			})
		},
	}
}

func newUnlockTestCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "test", Short: "Open the store, as every command does, and do nothing", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withUnlock(cmd.Context(), func(u unlockRing) error {
				a.say("the store opens")
				return nil
			})
		},
	}
}

// unlockRing is a store that is open, and its sealing key's file.
type unlockRing struct {
	p    paths
	st   *sqlstore.Store
	file *seal.File
	now  []seal.Recipient
}

func (a *app) withUnlock(ctx context.Context, act func(unlockRing) error) error {
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
	now, err := file.Recipients()
	if err != nil {
		return keyProblem(err, p.sealing)
	}
	return act(unlockRing{p, st, file, now})
}

// same also compares the keys: those in now were read and not proven, but in the file that is written anew they are.
func same(x, y seal.Recipient) bool { return x.Is(y) && x.Public.Equal(y.Public) }

// set writes the file for others than now, after the audit chain was told. Somebody else's change meanwhile stays: it is refused.
func (u unlockRing) set(ctx context.Context, a *app, what string, serial token.Serial, to []seal.Recipient) error {
	if err := u.st.NoteUnlock(ctx, what, serial); err != nil {
		return err
	}
	err := u.file.SetRecipients(a.rand, func(now []seal.Recipient) ([]seal.Recipient, error) {
		if !slices.EqualFunc(now, u.now, same) {
			return nil, seal.ErrChanged
		}
		return to, nil
	})
	if err != nil {
		return keyProblem(err, u.p.sealing)
	}
	return nil
}

func newUnlockAddCmd(a *app) *cobra.Command {
	var o newUnlock
	cmd := &cobra.Command{
		Use: "add", Short: "Let one more YubiKey open the sealing key", Args: args(0, 0, ""),
		Long: `Let one more YubiKey open the sealing key. The store must be open for it: the first of the YubiKeys is attached, too.

A key of P-256 is generated in slot 9d, unless one is there. The new YubiKey is used once, to prove that it opens what is
sealed to it, before the file is written anew, at once and durably.`,
		Example: "  tokendesk store unlock add --serial 12345678",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withUnlock(cmd.Context(), func(u unlockRing) error { return u.add(cmd.Context(), a, o) })
		},
	}
	o.flags(cmd, a)
	return cmd
}

func (u unlockRing) add(ctx context.Context, a *app, o newUnlock) error {
	fresh, err := a.prepareUnlock(ctx, o, u.st, func(s token.Serial) error {
		if slices.ContainsFunc(u.now, func(r seal.Recipient) bool { return token.Serial(r.Serial) == s }) {
			return problemf(exitRefused, "key %s opens the sealing key already", s).hint("attach another, and name it: --serial N")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := u.set(ctx, a, "add", token.Serial(fresh.Serial), append(slices.Clone(u.now), fresh)); err != nil {
		return err
	}
	if len(u.now) > 0 {
		a.say("key %d opens the sealing key; %s do now", fresh.Serial, count(len(u.now)+1, "key"))
	} else {
		a.say("key %d opens the sealing key, and no other does", fresh.Serial)
		a.say("the file was plain, and its former text may still be on this disk and in backups: change the key now: tokendesk store rekey")
		a.say("let a second key open it: tokendesk store unlock add; or keep a recovery copy: tokendesk store unlock copy")
	}
	u.sayRestart(a)
	return nil
}

// sayRestart: a server reads the file again only when the sealing key changes.
func (u unlockRing) sayRestart(a *app) {
	a.say("servers and desks that run go on; before the next store rekey, start them again or attach their key")
}

func newUnlockRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove SERIAL", Short: "Take a YubiKey away from those that open the sealing key, such as a lost one", Args: args(1, 1, "SERIAL"),
		Long: `Take a YubiKey away from those that open the sealing key. Another one that opens it must be attached; the one that goes need not be.

Who has the YubiKey, its PIN and an old copy of the file still opens that copy: change the sealing key afterwards.`,
		Example: "  tokendesk store unlock remove 12345678",
		RunE: func(cmd *cobra.Command, given []string) error {
			n, err := strconv.ParseUint(given[0], 10, 32)
			if err != nil || n == 0 {
				return usagef("store unlock remove: SERIAL is one decimal number, as store unlock list shows it")
			}
			return a.withUnlock(cmd.Context(), func(u unlockRing) error { return u.remove(cmd.Context(), a, uint32(n)) })
		},
	}
}

func (u unlockRing) remove(ctx context.Context, a *app, serial uint32) error {
	left := slices.DeleteFunc(slices.Clone(u.now), func(r seal.Recipient) bool { return r.Serial == serial })
	switch {
	case len(left) == len(u.now):
		return problemf(exitNotFound, "key %d does not open the sealing key", serial).hint("see which do: tokendesk store unlock list")
	case len(left) == 0:
		return problemf(exitRefused, "key %d is the last that opens the sealing key", serial).
			hint("let another do it first: tokendesk store unlock add").hint("or make the file plain: tokendesk store unlock plain")
	case token.Serial(serial) == a.unlocking.of: // those that stay may be lost, or their PINs forgotten
		return problemf(exitRefused, "key %d opened the store just now: nothing shows that another one still can", serial).
			hint("attach one that stays, and unplug this one, or name the other: --unlock-serial N")
	}
	if err := u.set(ctx, a, "remove", token.Serial(serial), left); err != nil {
		return err
	}
	a.say("key %d does not open the sealing key any more; %s do", serial, count(len(left), "key"))
	a.say("if it is in other hands, an old copy of %s is too: change the key now: tokendesk store rekey", printable(u.p.sealing))
	u.sayRestart(a)
	return nil
}

func newUnlockPlainCmd(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "plain", Short: "Make the sealing key's file plain again: no YubiKey is needed any more", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withUnlock(cmd.Context(), func(u unlockRing) error {
				if len(u.now) == 0 {
					a.say("%s is plain already; nothing was changed", printable(u.p.sealing))
					return nil
				}
				if err := a.confirm(cmd.Context(), yes, "write the sealing key in clear to "+printable(u.p.sealing)); err != nil {
					return err
				}
				if err := u.set(cmd.Context(), a, "plain", 0, nil); err != nil {
					return err
				}
				a.say("%s is plain: whoever reads it reads the store's secrets", printable(u.p.sealing))
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func newUnlockCopyCmd(a *app) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use: "copy", Short: "Write a recovery copy of the sealing key, encrypted by age", Args: args(0, 0, ""),
		Long: `Write a copy of the sealing key that opens without any YubiKey, encrypted by age, for the day when all of them are lost. Keep it
and what opens it in a safe, apart from each other. After a store rekey it is worth nothing: make another.

To use it: umask 077; age --decrypt --identity FILE --output sealing.key COPY; then: tokendesk store unlock add.`,
		Example: "  tokendesk store unlock copy --recipient age1… --out sealing-key.age",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runUnlockCopy(cmd.Context(), a, o) },
	}
	o.flags(cmd)
	return cmd
}

func runUnlockCopy(ctx context.Context, a *app, o backupOptions) error {
	seal, to, err := a.backupSeal(ctx, o)
	if err != nil {
		return err
	}
	return a.withUnlock(ctx, func(u unlockRing) error {
		text, err := u.file.Text()
		if err != nil {
			return keyProblem(err, u.p.sealing)
		}
		defer text.Destroy()
		if err := u.st.NoteUnlock(ctx, "copy", 0); err != nil {
			return err
		}
		_, sum, err := writeBackup(o.out, seal, func(w io.Writer) error {
			_, err := w.Write(text.Reveal())
			return err
		})
		if errors.Is(err, fs.ErrExist) {
			return fileExists(o.out)
		}
		if err != nil {
			return err
		}
		a.say("%s: the sealing key, encrypted by age to %s; SHA-256 %s", printable(o.out), printable(to), sum)
		a.say("keep it apart from the store, and make another after the next store rekey")
		return nil
	})
}
