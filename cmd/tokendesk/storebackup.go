package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/agefile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/store/backup"
)

// backupOptions are the flags of what is encrypted by age: store backup, store unlock copy.
type backupOptions struct {
	recipients []string
	passphrase string
	out        string
}

func newStoreBackupCmd(a *app) *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use: "backup", Short: "Write the whole store into one encrypted file, while servers run", Args: args(0, 0, ""),
		Long: `Write the whole store, as it is at one moment, into one file that is encrypted by age and signed by the store's signing
key. Servers go on meanwhile. The same file can be put back into a directory or into PostgreSQL.

The sealing key and the signing key are not in it: without copies of both, kept elsewhere, no backup can be put back.`,
		Example: "  age-keygen -o backup-identity.txt     # once; keep it apart\n  tokendesk store backup --recipient age1… --out tokendesk-2026-01-31.backup",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBackup(cmd.Context(), a, o) },
	}
	o.flags(cmd)
	return cmd
}

func (o *backupOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.recipients, "recipient", nil, "who can open it: an age public key (age1…), or a file with some; may be repeated")
	f.StringVar(&o.passphrase, "passphrase-file", "", "encrypt with the passphrase in this file, or \"prompt\" to be asked")
	f.StringVar(&o.out, "out", "", "file to make")
}

func runBackup(ctx context.Context, a *app, o backupOptions) error {
	seal, to, err := a.backupSeal(ctx, o)
	if err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	p, done := a.rowProgress("rows")
	var h backup.Header
	size, sum, err := writeBackup(o.out, seal, func(w io.Writer) (err error) {
		h, err = st.Backup(ctx, w, to, p)
		return err
	})
	done()
	if errors.Is(err, fs.ErrExist) {
		return fileExists(o.out)
	}
	if err != nil {
		return err
	}
	if err := st.BackedUp(ctx, h, filepath.Base(o.out), size, sum); err != nil {
		return err
	}
	a.say("%s: %s of %s, %d bytes", printable(o.out), count(int(h.Rows), "row"), h.At.Format("2006-01-02 15:04:05 MST"), size)
	a.say("encrypted by age to %s; SHA-256 %s", printable(to), sum)
	a.say("the sealing key (%s) and the signing key are not in it: keep copies of both, apart from it", versions(h.Keys))
	return nil
}

// versions names versions of the sealing key.
func versions(list []uint32) string {
	var text []string
	for _, v := range list {
		text = append(text, fmt.Sprint(v))
	}
	if len(text) == 1 {
		return "version " + text[0]
	}
	return "versions " + strings.Join(text, ", ")
}

// backupSeal is how the flags want a file that is not there yet encrypted, and for whom in words.
func (a *app) backupSeal(ctx context.Context, o backupOptions) (seal func(io.Writer) (io.WriteCloser, error), to string, err error) {
	if o.out == "" {
		return nil, "", usagef("--out is missing: the file to make")
	}
	if _, err := os.Lstat(o.out); err == nil {
		return nil, "", fileExists(o.out)
	}
	switch {
	case o.passphrase != "" && len(o.recipients) > 0:
		return nil, "", usagef("it is for recipients or has a passphrase, not both")
	case o.passphrase != "":
		word, err := a.newPassphrase(ctx, o.passphrase)
		if err != nil {
			return nil, "", err
		}
		return func(w io.Writer) (io.WriteCloser, error) { return agefile.SealBinaryPassphrase(w, word) }, "a passphrase", nil
	case len(o.recipients) == 0:
		return nil, "", usagef("--recipient is missing: what leaves the store is encrypted for somebody").
			hint("make a key pair, and keep the file away from this machine: age-keygen -o backup-identity.txt")
	}
	var keys []string
	for _, r := range o.recipients {
		more, err := a.ageRecipients(ctx, r)
		if err != nil {
			return nil, "", err
		}
		keys = append(keys, more...)
	}
	seal = func(w io.Writer) (io.WriteCloser, error) { return agefile.SealBinary(w, keys...) }
	if _, err := seal(io.Discard); err != nil {
		return nil, "", usageFault(err)
	}
	return seal, strings.Join(keys, ", "), nil
}

// maxRecipients is the largest file of public keys, in bytes.
const maxRecipients = 64 << 10

// ageRecipients is an age public key itself, or those in a file: one a line, # begins a comment.
func (a *app) ageRecipients(ctx context.Context, given string) ([]string, error) {
	switch {
	case strings.HasPrefix(strings.ToUpper(given), "AGE-SECRET-KEY-"): // never shown, not as the name of a file either
		return nil, usagef("--recipient: this is an age secret key, and its public key is wanted").hint("see it: age-keygen -y FILE")
	case strings.HasPrefix(given, "age1"):
		return []string{given}, nil
	}
	var text secret.Bytes
	text, err := a.readAll(ctx, given, maxRecipients)
	if err != nil {
		return nil, err
	}
	defer text.Destroy()
	var keys []string
	for line := range bytes.Lines(text.Reveal()) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			keys = append(keys, string(line))
		}
	}
	if len(keys) == 0 {
		return nil, usagef("--recipient: %s holds no public key", printable(given))
	}
	return keys, nil
}

// measured counts and sums what is written.
type measured struct {
	io.Writer
	sum  hash.Hash
	size int64
}

// Write implements io.Writer.
func (m *measured) Write(p []byte) (int, error) {
	n, err := m.Writer.Write(p)
	m.size += int64(n)
	m.sum.Write(p[:n])
	return n, err
}

// writeBackup makes an encrypted file. Its name is there when all of it is, and never before; what was not finished is removed,
// unless the process was killed: then a file of mode 0600 is left that ends in ".partial", with nothing in clear.
func writeBackup(name string, seal func(io.Writer) (io.WriteCloser, error), write func(io.Writer) error) (size int64, sum string, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.partial")
	if err != nil {
		return 0, "", fileProblem(err, filepath.Dir(name))
	}
	defer func() {
		if e := os.Remove(f.Name()); err == nil && e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = e
		}
	}()
	m := &measured{f, sha256.New(), 0}
	message, err := seal(m)
	if err == nil {
		if err = write(message); err == nil {
			err = message.Close()
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, "", err
	}
	if err := backup.Place(f.Name(), name); err != nil {
		return 0, "", err
	}
	return m.size, hex.EncodeToString(m.sum.Sum(nil)), nil
}
