package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// resumeOptions are the flags of provision resume.
type resumeOptions struct {
	choice
	dryRun  bool
	offline bool
	dir     string // of the station
	lost    bool   // the key: what it was told last is given up
	reason  string
}

func newProvisionResumeCmd(a *app) *cobra.Command {
	var o resumeOptions
	cmd := &cobra.Command{
		Use: "resume", Short: "Settle what an interruption left", Args: args(0, 0, ""),
		Long: `Settle every write that was interrupted. Where nothing was sent to the key, the reservation is given up. Otherwise the
key is needed: a touch, or a challenge, tells what its slot holds, and if that is neither the new nor the former key, the secret that was
already sealed is written again. A second secret is never drawn. New flags, a new access code, an erasure, NDEF and a scan map are written again;
after a swap both slots are asked what they hold. What is left of PIV is only named: its own command finishes it. NDEF and a scan map that are
open on a key that is lost, and no token of the store, are closed with --lost and --reason; of a token, by token retire. With --offline the writes are those of this station's journal.`,
		Example: "  tokendesk provision resume --dry-run\n  tokendesk provision resume --serial 12345678\n  tokendesk provision resume --serial 12345678 --lost --reason \"left on a train\"\n  tokendesk provision resume --offline",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := dirAlone(cmd, o.offline); err != nil {
				return err
			}
			switch {
			case o.lost != (strings.TrimSpace(o.reason) != ""):
				return usagef("--lost and --reason TEXT go together; the reason is kept in the audit chain")
			case o.lost && o.serial == 0:
				return usagef("--lost is of one key: --serial is missing")
			case o.lost && (o.dryRun || o.offline):
				return usagef("--lost excludes --dry-run and --offline")
			}
			return runResume(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "only list what is not settled")
	f.BoolVar(&o.lost, "lost", false, "the key of --serial is not here any more: give up its NDEF and scan map that are open, and nothing else")
	f.StringVar(&o.reason, "reason", "", "with --lost: why; kept in the audit chain")
	f.BoolVar(&o.offline, "offline", false, "settle this station's writes, without the store")
	stationFlag(cmd, a, &o.dir)
	o.choice.flags(cmd, a)
	return cmd
}

func runResume(ctx context.Context, a *app, o resumeOptions) error {
	run := resumption{a: a, choice: o.choice}
	if o.offline {
		s, err := a.openStation(o.dir)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }() // what counts is durable already
		run.ledger = s
	} else {
		st, err := a.openStore(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = st.Close() }()
		run.st, run.ledger = st, st
	}
	if o.lost {
		return run.giveUpSettings(ctx, strings.TrimSpace(o.reason))
	}
	entries, err := run.ledger.Open(ctx)
	if err != nil {
		return err
	}
	defer destroyEntries(entries)
	if o.dryRun {
		changes, err := run.openChanges(ctx)
		if err != nil {
			return err
		}
		defer destroyChanges(changes)
		settings, err := run.openSettings(ctx)
		if err != nil {
			return err
		}
		return listUnsettled(a, entries, changes, settings)
	}
	if err := run.settings(ctx); err != nil { // the scan map first: what a touch types is read by it
		return err
	}
	for _, e := range entries {
		if o.serial != 0 && e.Serial != token.Serial(o.serial) {
			continue
		}
		if err := run.one(ctx, e); err != nil {
			return err
		}
	}
	if err := run.changes(ctx); err != nil {
		return err
	}
	if err := run.escrows(ctx); err != nil {
		return err
	}
	return run.end()
}

// openLedger tells what is not settled.
type openLedger interface {
	provision.Ledger
	Open(context.Context) ([]token.Entry, error)
}

// resumption is one run of resume, and what became of the entries.
type resumption struct {
	a      *app
	st     *sqlstore.Store // nil: a station, which only writes
	ledger openLedger
	choice choice
	done   []written // settled, also those that were given up
	gaveUp int       // because the key refused them
	left   int       // not settled
	last   error     // of left, otherwise of gaveUp
}

// one settles an entry if it can. The error is one that ends the whole run.
func (r *resumption) one(ctx context.Context, e token.Entry) error {
	was, before, err := r.before(ctx, e)
	if err != nil {
		return err
	}
	settle := func() (provision.Result, error) { return r.a.settle(ctx, r.ledger, r.choice, e) }
	if e.Slot == 0 {
		settle = func() (provision.Result, error) { return r.settleAccount(ctx, e) }
	}
	res, err := settle()
	if err == nil {
		w := writtenOf(res)
		if r.st != nil {
			w.handedOn = r.a.handedOn(ctx, r.st, was, before, "")
		}
		r.done = append(r.done, w)
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	open, lookErr := isOpen(ctx, r.ledger, e.ID)
	switch {
	case lookErr != nil:
		return errors.Join(err, lookErr)
	case open:
		r.left, r.last = r.left+1, err
		return nil
	}
	w := writtenOf(provision.Result{Entry: e, Outcome: provision.Undone})
	if w.Proof = "the key refused the new key"; e.Slot == 0 {
		w.Proof = "the account on the key is not ours, or it took none"
	}
	r.done, r.gaveUp = append(r.done, w), r.gaveUp+1
	if r.left == 0 {
		r.last = err
	}
	return nil
}

// before is a key's token and its live credentials, without secrets; none for a station, which takes no key from anybody.
func (r *resumption) before(ctx context.Context, e token.Entry) (token.Token, []token.Credential, error) {
	if r.st == nil {
		return token.Token{}, nil, nil
	}
	was, live, err := r.st.Slots(ctx, e.Serial)
	destroyLive(provision.Have{Live: live})
	return was, live, err
}

// isOpen reports whether an entry still waits to be settled.
func isOpen(ctx context.Context, st openLedger, id token.EntryID) (bool, error) {
	entries, err := st.Open(ctx)
	defer destroyEntries(entries)
	return slices.ContainsFunc(entries, func(e token.Entry) bool { return e.ID == id }), err
}

// end shows what was done, and says what was not.
func (r *resumption) end() error {
	all := len(r.done) + r.left
	if all == 0 {
		r.a.say("nothing is left to settle")
	}
	if len(r.done) > 0 || r.a.format != "table" {
		if err := list(r.a, "settled", r.done, writtenColumns()); err != nil {
			return err
		}
	}
	if r.last == nil {
		return nil
	}
	x := explain(r.last)
	if r.st == nil {
		for i, h := range x.hints {
			x.hints[i] = strings.Replace(h, "provision resume", "provision resume --offline", 1)
		}
	}
	if all == 1 && r.left == 1 {
		return &problem{line: x.line, hints: x.hints, code: x.code, cause: r.last}
	}
	p := &problem{line: fmt.Sprintf("%d of %d writes not settled; the last: %s", r.left, all, x.line), hints: x.hints, code: exitPartly, cause: r.last}
	if r.left == 0 {
		p.line = fmt.Sprintf("%s given up, and the slot holds what it held before: %s", count(r.gaveUp, "write"), x.line)
		p.code = x.code
	}
	return p
}

// settle ends one entry, with its key if one byte may have been sent to it.
func (a *app) settle(ctx context.Context, st openLedger, c choice, e token.Entry) (provision.Result, error) {
	r := a.runner(st, e.Slot, e.Credential.Kind)
	if !provision.NeedsDevice(e) {
		return r.Settle(ctx, e)
	}
	c.serial = uint32(e.Serial)
	k, err := c.open(ctx, a)
	if err != nil {
		return provision.Result{}, err
	}
	defer k.close()
	if st, ok := st.(*sqlstore.Store); ok {
		if err := learnMap(ctx, st, k); err != nil {
			return provision.Result{}, &provision.UncertainError{Entry: e, Err: err}
		}
	}
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
	Account  string       `json:"account,omitempty"` // of the OATH application, with slot 0
	PublicID string       `json:"public_id"`
	Phase    token.Phase  `json:"phase"`
	Holds    string       `json:"holds"` // what the slot may hold
	Next     string       `json:"next"`
}

func unsettledOf(e token.Entry) unsettled {
	if e.Slot == 0 {
		return unsettledAccount(e)
	}
	u := unsettled{e.Serial, e.Slot, "", e.Credential.TypedID(), e.Phase, "what it held before", "gives the reservation up, without the key"}
	switch {
	case !e.Phase.Uncertain():
	case !provision.NeedsDevice(e):
		u.Holds, u.Next = "the new key: a server saw a one-time password of it", "takes that as the proof, without the key"
	case e.Phase == token.Written:
		u.Holds, u.Next = "the new key, not proven", "asks the key by "+askedBy(e)
	default:
		u.Holds, u.Next = "the new key, or what it held before", "asks the key by "+askedBy(e)
	}
	return u
}

func askedBy(e token.Entry) string {
	if e.Credential.Kind == token.ChallengeResponse {
		return "a challenge"
	}
	return "a touch"
}

func listUnsettled(a *app, entries []token.Entry, changes []token.SlotChange, settings []token.KeySetting) error {
	var rows []unsettled
	for _, e := range entries {
		rows = append(rows, unsettledOf(e))
	}
	for _, c := range changes {
		rows = append(rows, unsettledChange(c))
	}
	for _, s := range settings {
		rows = append(rows, unsettledSetting(s))
	}
	return list(a, "unsettled", rows, []column[unsettled]{
		{"Serial", func(u unsettled) string { return u.Serial.String() }},
		{"Slot", func(u unsettled) string { return cmp.Or(u.Account, slotText(u.Slot)) }},
		{"Public ID", func(u unsettled) string { return u.PublicID }},
		{"Phase", func(u unsettled) string { return string(u.Phase) }},
		{"The slot holds", func(u unsettled) string { return u.Holds }},
		{"Resume", func(u unsettled) string { return u.Next }},
	})
}

// examineLedger says whether something is not settled.
func examineLedger(ctx context.Context, st *sqlstore.Store) finding {
	entries, err := st.Open(ctx)
	if err != nil {
		return fail("Ledger", err)
	}
	defer destroyEntries(entries)
	changes, err := st.OpenChanges(ctx)
	if err != nil {
		return fail("Ledger", err)
	}
	defer destroyChanges(changes)
	settings, err := openSettings(ctx, st, 0)
	if err != nil {
		return fail("Ledger", err)
	}
	row := finding{"Ledger", healthOK, "every write is settled", nil, exitDone}
	if n := len(entries) + len(changes) + len(settings); n > 0 {
		row.State, row.Detail = healthWarn, count(n, "interrupted write")+" not settled"
		row.Next = []string{"see: tokendesk provision resume --dry-run", "settle them: tokendesk provision resume"}
	}
	return row
}
