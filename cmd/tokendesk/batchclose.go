package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// closingFlags say what a batch leaves when it is closed.
type closingFlags struct {
	manifest  string
	exports   []string
	protect   protectFlags
	labels    string
	sheet     string
	skip      int
	templates string
	note      string
}

func (o *closingFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.manifest, "manifest", "", "file to make for the signed manifest (the store keeps it, too)")
	f.StringArrayVar(&o.exports, "export", nil, "FORMAT=FILE: make a key file of the batch, as keyfile export does; may be repeated")
	o.protect.flags(cmd, "passphrase-file")
	f.StringVar(&o.labels, "labels", "", "file to make for the labels: .pdf, .csv, or .svg for one file each")
	f.StringVar(&o.sheet, "label-sheet", "", "size of the labels, or of the sheet of labels")
	f.IntVar(&o.skip, "label-skip", 0, "places of the first sheet that are used up")
	f.StringVar(&o.templates, "templates", "", "directory with this site's templates of labels")
	f.StringVar(&o.note, "delivery-note", "", "CSV file of the vendor with the serial numbers: compare them (B-7)")
}

// closing is what was read of the flags before the first key is written, so that nothing is missing at the end.
type closing struct {
	closingFlags
	files []batchExport
	press *paper.Press
	notes []token.Serial
	lines bool // -o json writes an object a line
}

// batchExport is one key file.
type batchExport struct {
	to      destination
	protect protection
	out     string
}

func (c *closing) destroy() {
	for _, f := range c.files {
		f.protect.Destroy()
	}
}

// prepareClosing reads the flags, and refuses files that are there already.
func (a *app) prepareClosing(ctx context.Context, o closingFlags) (*closing, error) {
	c := &closing{closingFlags: o}
	ok := false
	defer func() {
		if !ok {
			c.destroy()
		}
	}()
	for _, out := range []struct{ flag, name string }{{"--manifest", o.manifest}, {"--labels", o.labels}} {
		if out.name == "" {
			continue
		}
		if err := checkOut(out.flag, out.name); err != nil {
			return nil, err
		}
	}
	if err := c.prepareLabels(); err != nil {
		return nil, err
	}
	if len(o.exports) > 1 && o.protect.pskOut != "" {
		return nil, usagef("--psk-out is the key of one file: give one --export, and make the others by keyfile export")
	}
	for _, text := range o.exports {
		f, err := a.prepareExport(ctx, text, o.protect)
		if err != nil {
			return nil, err
		}
		c.files = append(c.files, f)
	}
	if o.note != "" {
		var err error
		if c.notes, err = a.readNote(ctx, o.note); err != nil {
			return nil, err
		}
	}
	ok = true
	return c, nil
}

func (c *closing) prepareLabels() (err error) {
	if c.labels == "" {
		return nil
	}
	if err := labelFile("--labels", c.labels); err != nil {
		return err
	}
	if c.press, err = openPress(c.templates); err != nil {
		return err
	}
	if err := c.press.Known("", "", c.sheet); err != nil || c.skip < 0 {
		return usagef("--label-sheet and --label-skip: a size and a number are possible").hint("sizes: %s", strings.Join(c.press.Layouts(), ", "))
	}
	return nil
}

// knows refuses a profile whose labels cannot be printed, or whose keys no key file carries.
func (c *closing) knows(p profile.Profile) error {
	if len(c.files) > 0 && (p.Kind == token.ChallengeResponse || p.Kind == token.Static) {
		return usagef("--export: no key file carries a %s credential", p.Kind)
	}
	if c.press == nil {
		return nil
	}
	if err := c.press.Known("", p.Label, c.sheet); err != nil {
		return usagef("profile %s: %s", p.Name, oneLine(err)).hint("name the directory with this site's templates: --templates")
	}
	return nil
}

// prepareExport reads one --export. FORMAT is a server or a format.
func (a *app) prepareExport(ctx context.Context, text string, o protectFlags) (f batchExport, err error) {
	name, out, ok := strings.Cut(text, "=")
	if !ok || name == "" || out == "" {
		return f, usagef("--export is FORMAT=FILE").hint("formats: tokendesk keyfile formats")
	}
	if err := checkOuts(out, o.pskOut); err != nil {
		return f, err
	}
	flags := destinationFlags{format: name}
	if isTarget(name) {
		flags = destinationFlags{server: name}
	}
	if f.to, err = a.destination(ctx, flags); err != nil {
		return f, err
	}
	f.out = out
	f.protect, err = a.protect(ctx, f.to, o)
	return f, err
}

// isTarget reports whether a server has that name.
func isTarget(name string) bool {
	for _, t := range targetNames() {
		if t == name {
			return true
		}
	}
	return false
}

func (a *app) readNote(ctx context.Context, file string) ([]token.Serial, error) {
	in, err := a.openInput(ctx, file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // read only
	list, err := batch.ReadNote(in)
	var bad *batch.NoteError
	if errors.As(err, &bad) {
		return nil, usagef("--delivery-note: %s", bad)
	}
	return list, err
}

// closeBatch closes a batch and leaves what was asked for.
func (a *app) closeBatch(ctx context.Context, st *sqlstore.Store, id token.BatchID, p profile.Profile, c *closing, uncertain bool) error {
	text, err := st.CloseBatch(ctx, id, uncertain, func(b sqlstore.ClosingBatch) (string, error) {
		m, err := batch.NewManifest(b.Batch, b.Items, b.Aside, b.Audit)
		if err != nil {
			return "", err
		}
		return m.Sign(b.Public, b.Signature)
	})
	switch {
	case errors.Is(err, token.ErrUnsettled):
		return problemf(exitRefused, "batch %d has keys that are not settled", id).hint("plug them in: tokendesk provision batch --resume %d", id).
			hint("or close it with them as uncertain on the manifest: --uncertain")
	case errors.Is(err, token.ErrBatchClosed):
		return problemf(exitRefused, "batch %d is closed", id).hint("see: tokendesk provision batch show %d", id)
	case err != nil:
		return batchProblem(err, int64(id))
	}
	a.say("%s batch %d is closed; its manifest is in the store", batch.StepClose, id)
	return a.leave(ctx, st, id, p, c, text)
}

// leave makes the files. What fails does not stop the others: the batch is closed, and each can be made later.
func (a *app) leave(ctx context.Context, st *sqlstore.Store, id token.BatchID, p profile.Profile, c *closing, text string) error {
	b, err := st.Batch(ctx, id)
	if err != nil {
		return err
	}
	items, err := st.Items(ctx, id)
	if err != nil {
		return err
	}
	aside, err := st.Aside(ctx, id)
	if err != nil {
		return err
	}
	var failed error
	keep := func(what string, err error) {
		if err != nil {
			a.say("not made: %s: %s", what, explain(err).line)
			failed = errors.Join(failed, err)
		}
	}
	if c.manifest != "" {
		keep("the manifest", writeNew(c.manifest, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }))
	}
	if c.press != nil {
		keep("the labels", c.printLabels(p, b, items))
	}
	for _, f := range c.files {
		keep(f.out, a.exportBatch(ctx, f, items))
	}
	if err := a.showBatch(b, items, aside, c); err != nil {
		return err
	}
	for _, name := range p.Exports {
		if len(c.files) == 0 {
			a.say("the profile wants a key file: tokendesk provision batch show %d --export %s=FILE", id, name)
		}
	}
	if failed != nil {
		return &problem{line: fmt.Sprintf("batch %d is closed, but not everything was made", id), code: exitPartly, cause: failed,
			hints: []string{fmt.Sprintf("make it now: tokendesk provision batch show %d --help", id)}}
	}
	return nil
}

// writeNew makes a file that others may read.
func writeNew(name string, write func(io.Writer) error) error {
	if err := makeFile(name, write); err != nil {
		return err
	}
	return os.Chmod(name, 0o644)
}

// exportBatch makes one key file of the keys that are done: of what the batch wrote, and nothing else that their tokens have.
func (a *app) exportBatch(ctx context.Context, f batchExport, items []token.BatchItem) error {
	var serials []string
	var written []token.CredentialID
	for _, i := range items {
		if i.State == token.ItemDone {
			serials, written = append(serials, i.Serial.String()), append(written, i.Credential)
		}
	}
	if len(serials) == 0 {
		return problemf(exitNotFound, "there is nothing to export")
	}
	return a.withDesk(ctx, func(staff *desk.Desk) error {
		e := desk.Export{Format: f.to.codec.Name(), Target: f.to.server(), File: f.out, Protection: f.protect.what, Only: written}
		n, records, err := staff.Export(ctx, e, serials...)
		if err != nil {
			return queryProblem(err)
		}
		if n == 0 {
			return problemf(exitNotFound, "there is nothing to export")
		}
		_, err = a.writeOut(writing{to: f.to, protect: f.protect, out: f.out, records: destroying(records)})
		return err
	})
}

// server is the name of the server that a file goes to; "": none was named.
func (d destination) server() string {
	if d.target == nil {
		return ""
	}
	return d.target.Name
}

// printLabels makes the labels in the order of the stock numbers, as the keys were taken.
func (c *closing) printLabels(p profile.Profile, b token.Batch, items []token.BatchItem) error {
	var list []paper.Label
	for _, i := range items {
		if i.State == token.ItemDone {
			list = append(list, paper.Label{Batch: fmt.Sprint(b.ID), Subject: paper.Subject{
				Model: "YubiKey", Firmware: i.Firmware, Serial: i.Serial, StockNumber: i.StockNumber, PublicID: i.PublicID.String(), Slot: i.Slot, Kind: i.Kind,
			}})
		}
	}
	o := paper.Stickers{Layout: c.sheet, Template: p.Label, Skip: c.skip}
	return writeLabels(c.press, o, c.labels, list)
}
