package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// batchOptions are the flags of provision batch.
type batchOptions struct {
	profile   string
	count     int
	touch     string
	lanes     int
	order     string
	place     string
	budget    string
	ticket    string
	resume    int64
	transport string
	closing   closingFlags
}

// mostKeys is how many keys a batch has at most, and mostLanes how many are worked on at once.
const (
	mostKeys  = 100_000
	mostLanes = 128
)

func newProvisionBatchCmd(a *app) *cobra.Command {
	var o batchOptions
	cmd := &cobra.Command{
		Use: "batch", Short: "Write a box of keys, several at once", Args: args(0, 0, ""),
		Long: `Write a box of keys by one profile. Keys are taken as they are plugged in, each port is a lane (B-2): a fresh secret is sealed in the
store, written, confirmed (B-3) and proven by a touch (B-4), in any order. A key that is done is pulled out, and the next goes in.
While a lane holds its key, a touch types nowhere.

Keys that hold something foreign, are locked, have no OTP, hide their serial number, are held by a person or are in another batch
are put aside with a reason, and never written. The same key is recognised in every port.

Ctrl-C finishes the writes that are under way and pauses; a second one stops at once. Then, or after a crash, go on with --resume:
a key that was interrupted is settled when it is plugged in and touched, with the secret that was sealed for it.

At the count the batch is closed (B-6): keys are in stock under their stock numbers, and a manifest is signed with the store's key.`,
		Example: `  tokendesk provision batch --profile staff-slot2 --count 200 --ticket T-4711 --manifest box.json
  tokendesk provision batch --profile staff-slot2 --count 50 --touch sample:13 --labels labels.pdf
  tokendesk provision batch --resume 7
  tokendesk provision batch show 7`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBatch(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.profile, "profile", "", "what is written: see tokendesk provision profile list")
	f.IntVar(&o.count, "count", 0, "how many keys")
	f.StringVar(&o.touch, "touch", "", "which keys are proven by touch: all, none or sample:N (default: as the profile says)")
	f.IntVar(&o.lanes, "lanes", 10, "how many keys are worked on at once")
	f.StringVar(&o.order, "order", "", "order number, for the manifest")
	f.StringVar(&o.place, "place", "", "where the keys are, for the manifest")
	f.StringVar(&o.budget, "budget", "", "budget code, for the manifest")
	f.StringVar(&o.ticket, "ticket", "", "ticket, for the manifest")
	f.Int64Var(&o.resume, "resume", 0, "go on with the batch of this number")
	f.StringVar(&o.transport, "transport", string(auto), "way to the keys: auto, libusb or hidraw")
	o.closing.flags(cmd)
	complete(cmd, "touch", "all", "none", "sample:13")
	complete(cmd, "transport", string(auto), string(viaLibusb), string(viaHidraw))
	cmd.AddCommand(newBatchListCmd(a), newBatchShowCmd(a), newBatchCloseCmd(a))
	return cmd
}

func newManifestCmd(a *app) *cobra.Command {
	return group("manifest", "Check the manifests of batches", newManifestVerifyCmd(a))
}

// check refuses what cannot be meant.
func (o batchOptions) check() error {
	switch t := transport(o.transport); {
	case t.check() != nil:
		return t.check()
	case t == viaCCID:
		return usagef("a batch holds the keyboard interface, so that no touch types: --transport auto, libusb or hidraw")
	case o.lanes < 1 || o.lanes > mostLanes:
		return usagef("--lanes is 1 to %d", mostLanes)
	case o.resume != 0 && (o.profile != "" || o.count != 0 || o.touch != "" || o.order+o.place+o.budget+o.ticket != ""):
		return usagef("--resume goes on with what the batch was begun with: leave --profile, --count, --touch and the rest out")
	case o.resume < 0:
		return usagef("--resume is the number of a batch").hint("see: tokendesk provision batch list")
	case o.resume > 0:
		return nil
	case o.profile == "":
		return usagef("--profile is missing: what is written").hint("see: tokendesk provision profile list").hint("or go on with a batch: --resume N")
	case o.count < 1 || o.count > mostKeys:
		return usagef("--count is missing: how many keys, 1 to %d", mostKeys)
	}
	return nil
}

func runBatch(ctx context.Context, a *app, o batchOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	ends, err := a.prepareClosing(ctx, o.closing)
	if err != nil {
		return err
	}
	defer ends.destroy()
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	if err := o.checkLabel(ctx, st, ends); err != nil {
		return err
	}
	b, p, err := o.batch(ctx, a, st, ends)
	if err != nil {
		return err
	}
	ends.lines = true
	totals, err := a.runLanes(ctx, st, b, p, o)
	if err != nil {
		return pausedBatch(b, totals, err)
	}
	return a.closeBatch(ctx, st, b.ID, p, ends, false)
}

// checkLabel refuses a profile whose label the site's templates do not have, before the batch begins.
func (o batchOptions) checkLabel(ctx context.Context, st *sqlstore.Store, ends *closing) error {
	if o.profile == "" || ends.press == nil {
		return nil
	}
	p, err := chosenProfile(ctx, st, o.profile)
	if err != nil {
		return err
	}
	if err := ends.press.Known("", p.Label, ""); err != nil {
		return usagef("profile %s: %s", p.Name, oneLine(err)).hint("the site's templates: --templates DIR")
	}
	return nil
}

// batch is the one to go on with, or a new one.
func (o batchOptions) batch(ctx context.Context, a *app, st *sqlstore.Store, ends *closing) (b token.Batch, p profile.Profile, err error) {
	if o.resume > 0 {
		if b, err = st.Batch(ctx, token.BatchID(o.resume)); err != nil {
			return b, p, batchProblem(err, o.resume)
		}
		if !b.Open() {
			return b, p, problemf(exitRefused, "batch %d is closed", b.ID).hint("see: tokendesk provision batch show %d", b.ID)
		}
		p, err = profile.Parse(b.ProfileText)
		return b, p, err
	}
	if p, err = chosenProfile(ctx, st, o.profile); err != nil {
		return b, p, err
	}
	if p.Cards.Any() {
		return b, p, usagef("profile %s puts accounts or PIV on a key for who gets it, and a batch has nobody: take one without oath and piv", p.Name).
			hint("from stock, a key gets the rest at the desk: tokendesk provision desk --profile %s", p.Name)
	}
	if o.touch != "" {
		if p.Touch, err = profile.ParseTouch(o.touch); err != nil {
			return b, p, usagef("--touch: %s", err)
		}
		if err := p.Check(); err != nil {
			return b, p, usagef("%s", err)
		}
	}
	if err := ends.knows(p); err != nil {
		return b, p, err
	}
	b = token.Batch{
		Profile: p.Name, ProfileText: p.String(), Slot: p.Slot, StockPrefix: p.StockPrefix, Wanted: o.count, Touch: p.Touch.String(),
		Order: o.order, Place: o.place, Budget: o.budget, Ticket: o.ticket,
	}
	if n := p.Touch.Sample; n > 0 {
		if b.Sample, err = batch.DrawSample(a.rand, n, o.count); err != nil {
			return b, p, err
		}
	}
	b, err = st.BeginBatch(ctx, b)
	return b, p, err
}

// chosenProfile is the one that is offered under a name.
func chosenProfile(ctx context.Context, st *sqlstore.Store, name string) (profile.Profile, error) {
	list, err := st.ProfileVersions(ctx, name)
	if errors.Is(err, token.ErrNotFound) || err == nil && !list[0].Removed.IsZero() {
		return profile.Profile{}, problemf(exitNotFound, "there is no profile %s", printable(name)).hint("see: tokendesk provision profile list")
	}
	if err != nil {
		return profile.Profile{}, err
	}
	return list[0].Profile, nil
}

// batchProblem is an error of reading a batch.
func batchProblem(err error, id int64) error {
	if errors.Is(err, token.ErrNotFound) {
		return problemf(exitNotFound, "there is no batch %d", id).hint("see: tokendesk provision batch list")
	}
	return err
}

// pausedBatch says where a batch stands that was interrupted.
func pausedBatch(b token.Batch, t batch.Totals, err error) error {
	left := t.Wanted - t.Done - t.Uncertain
	p := problemf(exitPartly, "batch %d is paused: %d done, %d uncertain, %d to go", b.ID, t.Done, t.Uncertain, left)
	if !errors.Is(err, context.Canceled) {
		x := explain(err)
		p = problemf(x.code, "batch %d stopped: %s", b.ID, x.line)
		p.hints = x.hints
	}
	p.cause = err
	return p.hint("continue: tokendesk provision batch --resume %d", b.ID)
}

// batchNumber reads the argument N.
func batchNumber(text string) (token.BatchID, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, usagef("a batch has a number").hint("see: tokendesk provision batch list")
	}
	return token.BatchID(n), nil
}
