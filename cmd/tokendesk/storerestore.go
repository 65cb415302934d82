package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/agefile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// restoreOptions are the flags of store restore.
type restoreOptions struct {
	opening
	damaged  bool
	logs     []string
	complete bool
}

func newStoreRestoreCmd(a *app) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Put a backup back into an empty place", Args: args(1, 1, "FILE"),
		Long: `Put a backup back where no store is: a directory, or an empty database of PostgreSQL. The store's signing key must be
there already, and its sealing key, or --key. Everything is checked before anything is there: checksums, the signature,
every table as it is read back, and the audit chain.

What happened after the backup is forgotten, so the store becomes careful. A Yubico OTP or HOTP token must show two fresh
one-time passwords, which are refused, before its third is accepted (tokendesk store caution). TOTP codes of up to now
do not count. Temporary and recovery codes are withdrawn, trusted browsers dropped, links cancelled, operators logged out.
With the logs of what every server accepted since (serve --accepted-log), and --all-logs, only the last three are needed.
Blocks, new tokens and changed rights of after the backup are lost: do them again before servers start.
Access codes and lock codes drawn since are lost for good, and what they guard in those keys can never be changed again.`,
		Example: "  cp sealing.key signing.key /srv/new/\n  tokendesk store restore tokendesk-2026-01-31.backup --identity backup-identity.txt --store /srv/new",
		RunE:    func(cmd *cobra.Command, given []string) error { return runRestore(cmd.Context(), a, given[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.identity, "identity", "", "file with the age secret key that it is for")
	f.StringVar(&o.passphrase, "passphrase-file", "", "file with the passphrase of the backup or identity, when nobody can be asked")
	f.StringArrayVar(&o.logs, "accepted-log", nil, "file that a server wrote by serve --accepted-log, with those beside it that were set aside; may be repeated")
	f.BoolVar(&o.complete, "all-logs", false, "yes, these are the newest logs of every server that answered since the backup; nothing else validated or took proofs")
	f.BoolVar(&o.damaged, "damaged-audit", false, "take it although its audit chain is not as it was written")
	return cmd
}

func runRestore(ctx context.Context, a *app, name string, o restoreOptions) error {
	p, err := a.paths()
	if err != nil {
		return err
	}
	if o.complete && len(o.logs) == 0 {
		return usagef("--all-logs goes with --accepted-log")
	}
	keys, err := a.loadKeys(ctx, p)
	if err != nil {
		return err
	}
	in, err := a.openInput(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	text, ended, err := a.openBackup(ctx, in, o.opening)
	if err != nil {
		return travelProblem(err, in.name, printable(p.name))
	}
	defer func() { _ = ended() }() // a copy of encrypted bytes
	progress, done := a.rowProgress("rows")
	r, err := sqlstore.Restore(ctx, a.store, keys, a.storeOptions(ctx), text, sqlstore.RestoreOptions{
		DamagedAudit: o.damaged, Logs: o.logs, Complete: o.complete, Progress: progress,
	})
	done()
	if err != nil {
		return travelProblem(err, in.name, printable(p.name))
	}
	return a.sayRestored(r)
}

// openBackup decrypts; every byte is authenticated before it is given. The caller calls ended.
func (a *app) openBackup(ctx context.Context, in *input, o opening) (text io.Reader, ended func() error, err error) {
	ended = func() error { return nil }
	var src io.ReadSeeker
	if f, ok := in.r.(*os.File); ok && in.size >= 0 {
		src = &seekable{in, f}
	} else {
		spooled, err := envelope.Spool(in)
		if err != nil {
			return nil, ended, err
		}
		src, ended = spooled, spooled.Close
	}
	text, _, err = agefile.Open(src, a.asker(ctx, in.name, o))
	if err != nil {
		err = errors.Join(err, ended())
	}
	return text, ended, err
}

// sayRestored says what is to be done now: the operator must not believe that nothing happened.
func (a *app) sayRestored(r sqlstore.Restored) error {
	err := show(a, "restored", r, []column[sqlstore.Restored]{
		{"State of", func(r sqlstore.Restored) string { return r.Header.At.Format(time.RFC3339) }},
		{"Rows", func(r sqlstore.Restored) string { return fmt.Sprint(r.Rows) }},
		{"Put back so far", func(r sqlstore.Restored) string { return fmt.Sprint(r.Epoch) }},
		{"Audit events", func(r sqlstore.Restored) string { return fmt.Sprint(r.Audit.Events) }},
		{"Raised by logs", func(r sqlstore.Restored) string { return fmt.Sprintf("%d, by %s", r.Replayed, count(r.Logged, "line")) }},
		{"Cautious credentials", func(r sqlstore.Restored) string { return fmt.Sprint(r.Cautious) }},
		{"TOTP set forward", func(r sqlstore.Restored) string { return fmt.Sprint(r.Raised) }},
		{"Codes withdrawn", func(r sqlstore.Restored) string { return fmt.Sprint(r.Codes) }},
		{"Browsers dropped", func(r sqlstore.Restored) string { return fmt.Sprint(r.Browsers) }},
		{"Links cancelled", func(r sqlstore.Restored) string { return fmt.Sprint(r.Links) }},
		{"Operators logged out", func(r sqlstore.Restored) string { return fmt.Sprint(r.Sessions) }},
	})
	if err != nil {
		return err
	}
	a.say("the store is as it was at %s; what was done since is forgotten", r.Header.At.Format(time.RFC3339))
	for _, why := range r.Missing {
		a.say("the logs are not complete: %s", printable(why))
	}
	if r.Logged > 0 && !r.Trusted && len(r.Missing) == 0 {
		a.say("the logs were replayed; nothing would be cautious with --all-logs, if they are those of every server that answered")
	}
	if r.Cautious > 0 {
		a.say("%s: two presses within a minute are refused, then the next one is accepted; see: tokendesk store caution list", count(r.Cautious, "cautious credential"))
	}
	a.say("do again, before a server starts: blocks of lost tokens, revoked operators and clients, withdrawn codes, replaced API keys and secrets, what was written into keys since")
	a.say("make sure that no server still answers from the former store")
	if !r.Audit.OK() {
		return errors.New("the audit chain is not as it was written; see: tokendesk audit verify")
	}
	return nil
}
