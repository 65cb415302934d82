package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

// resumeOptions are the flags of provision resume.
type resumeOptions struct {
	choice
	dryRun bool
}

func newProvisionResumeCmd(a *app) *cobra.Command {
	var o resumeOptions
	cmd := &cobra.Command{
		Use: "resume", Short: "Settle what an interruption left", Args: args(0, 0, ""),
		Long: `Settle every write that was interrupted. Where nothing was sent to the key, the reservation is given up. Otherwise the
key is needed: a touch tells what its slot holds, and if that is neither the new nor the former key, the secret that was
already sealed is written again. A second secret is never drawn.`,
		Example: "  tokendesk provision resume --dry-run\n  tokendesk provision resume --serial 12345678",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runResume(cmd.Context(), a, o) },
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only list what is not settled")
	o.choice.flags(cmd, a)
	return cmd
}

func runResume(ctx context.Context, a *app, o resumeOptions) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	entries, err := st.Open(ctx)
	if err != nil {
		return err
	}
	defer destroyEntries(entries)
	if o.dryRun {
		return listUnsettled(a, entries)
	}
	var done []written
	var last error
	left := 0
	for _, e := range entries {
		if o.serial != 0 && e.Serial != token.Serial(o.serial) {
			continue
		}
		res, err := a.settle(ctx, st, o.choice, e)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			left, last = left+1, err
			continue
		}
		done = append(done, writtenOf(res))
	}
	if len(done)+left == 0 {
		a.say("nothing is left to settle")
		return nil
	}
	if len(done) > 0 || a.format != "table" {
		if err := list(a, "settled", done, writtenColumns()); err != nil {
			return err
		}
	}
	switch {
	case left == 0:
		return nil
	case left == 1 && len(done) == 0:
		return last
	}
	x := explain(last)
	return &problem{line: fmt.Sprintf("%d of %d writes are not settled; the last: %s", left, left+len(done), x.line), hints: x.hints, code: exitPartly, cause: last}
}

// settle ends one entry, with its key if one byte may have been sent to it.
func (a *app) settle(ctx context.Context, st *sqlite.Store, c choice, e token.Entry) (provision.Result, error) {
	r := a.runner(st, e.Slot)
	if !provision.NeedsDevice(e) {
		return r.Settle(ctx, e)
	}
	c.serial = uint32(e.Serial)
	k, err := c.open(ctx, a)
	if err != nil {
		return provision.Result{}, err
	}
	defer k.close()
	a.say("%s, slot %d: interrupted at phase %q", k.name(), e.Slot, e.Phase)
	defer a.quiet(k)()
	return r.Resume(ctx, k.device(), e)
}

func destroyEntries(entries []token.Entry) {
	for _, e := range entries {
		e.Credential.Secrets.Destroy()
		if e.Former != nil {
			e.Former.Secrets.Destroy()
		}
	}
}

// unsettled is an open entry as resume --dry-run shows it.
type unsettled struct {
	Serial   token.Serial `json:"serial"`
	Slot     token.Slot   `json:"slot"`
	PublicID string       `json:"public_id"`
	Phase    token.Phase  `json:"phase"`
	Holds    string       `json:"holds"` // what the slot may hold
	Next     string       `json:"next"`
}

func unsettledOf(e token.Entry) unsettled {
	u := unsettled{e.Serial, e.Slot, e.Credential.PublicID.String(), e.Phase, "what it held before", "gives the reservation up, without the key"}
	if e.Phase.Uncertain() {
		u.Holds, u.Next = "the new key, or what it held before", "asks the key by a touch"
	}
	if e.Phase == token.Written {
		u.Holds = "the new key, not proven"
	}
	return u
}

func listUnsettled(a *app, entries []token.Entry) error {
	rows := make([]unsettled, len(entries))
	for i, e := range entries {
		rows[i] = unsettledOf(e)
	}
	return list(a, "unsettled", rows, []column[unsettled]{
		{"Serial", func(u unsettled) string { return u.Serial.String() }},
		{"Slot", func(u unsettled) string { return fmt.Sprint(u.Slot) }},
		{"Public ID", func(u unsettled) string { return u.PublicID }},
		{"Phase", func(u unsettled) string { return string(u.Phase) }},
		{"The slot holds", func(u unsettled) string { return u.Holds }},
		{"Resume", func(u unsettled) string { return u.Next }},
	})
}

// examineLedger says whether something is not settled.
func examineLedger(ctx context.Context, st *sqlite.Store) finding {
	entries, err := st.Open(ctx)
	if err != nil {
		return fail("Ledger", err)
	}
	defer destroyEntries(entries)
	row := finding{"Ledger", healthOK, "every write is settled", nil, exitDone}
	if len(entries) > 0 {
		row.State, row.Detail = healthWarn, count(len(entries), "interrupted write")+" not settled"
		row.Next = []string{"see: tokendesk provision resume --dry-run", "settle them: tokendesk provision resume"}
	}
	return row
}
