package main

import (
	"errors"
	"io/fs"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

func newStoreCmd(a *app) *cobra.Command {
	return group("store", "Back up the store, put it back, move it",
		newStoreBackupCmd(a), newStoreRestoreCmd(a), newStoreCopyCmd(a), newStoreReopenCmd(a), newStoreRekeyCmd(a), newStoreUnlockCmd(a), newStoreCautionCmd(a))
}

// rowProgress shows on a terminal how many rows were moved; done takes the bar away.
func (a *app) rowProgress(what string) (p sqlstore.Progress, done func()) {
	if !a.stderrTTY {
		return nil, func() {}
	}
	var bar *progressbar.ProgressBar
	return func(rows, total int64) {
			if bar == nil {
				bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
					progressbar.OptionSetItsString("rows"), progressbar.OptionShowIts(), progressbar.OptionSetWidth(30),
					progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetRenderBlankState(false))
			}
			_ = bar.Set64(min(rows, total)) // to a terminal
		}, func() {
			if bar != nil {
				_ = bar.Clear()
			}
		}
}

// travelProblem says what is wrong with a backup, or with the place for it.
func travelProblem(err error, file, place string) error {
	var schema *sqlstore.SchemaError
	var chain *sqlstore.AuditError
	var doubt *sqlstore.DoubtError
	p := &problem{line: oneLine(err), code: exitIntegrity, cause: err}
	switch {
	case errors.As(err, &doubt):
		p.code = exitError
		return p.hint("look whether %s is there as a whole: tokendesk audit verify --store …", place).
			hint("after a copy this store stays closed meanwhile; if there is none: tokendesk store reopen --reason …")
	case errors.As(err, &chain):
		for _, f := range chain.Findings[:min(len(chain.Findings), mostShown)] {
			p = p.hint("%s", f)
		}
		return p.hint("it was so when the backup was made. Look at an older backup, or take this one as it is: --damaged-audit")
	case errors.As(err, &schema) && schema.Has < schema.Knows:
		p.code = exitRefused
		return p.hint("put it back into a directory, which brings it forward, and copy that: tokendesk store copy --to URL")
	case errors.As(err, &schema), errors.Is(err, backup.ErrNewer):
		p.code = exitError
		return p.hint("use the newer tokendesk that wrote it")
	case errors.Is(err, envelope.ErrWrongKey):
		p.code, p.line = exitUsage, file+": "+oneLine(err)
		return p.hint("name the file with the secret key that it is for: --identity FILE")
	case errors.Is(err, envelope.ErrBroken), errors.Is(err, backup.ErrFormat):
		return p.hint("%s is damaged, cut short, or no backup; nothing was made", file)
	case errors.Is(err, backup.ErrSignature):
		return p.hint("the store's signing.key must be the one that it was made with; nothing was made")
	case errors.Is(err, token.ErrWrongKey):
		return p.hint("the sealing key and the signing key are not in a backup: bring those of that time. Nothing was made")
	case errors.Is(err, fs.ErrNotExist):
		p.code = exitNotFound
		return p
	case errors.Is(err, fs.ErrExist):
		p.code, p.line = exitRefused, "there is a store in "+place+" already; nothing is overwritten"
		return p.hint("name an empty directory or database, or move the old store away as a whole, with tokendesk.db-wal")
	}
	return err
}
