package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// exportOptions are the flags of keyfile export.
type exportOptions struct {
	server, format  string
	realm, resolver string
	out             string
	plaintext       bool
}

func newKeyfileExportCmd(a *app) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use: "export [QUERY…]", Short: "Write the secrets of tokens into a key file for another server", Args: args(0, -1, ""),
		Long: `Write the secrets of tokens into a key file that another server imports: of all tokens that are proven, not blocked and
not uncertain, or of those that are named.

The file holds the secrets in clear, so it must be asked for by --plaintext. It is made new with mode 0600, never written to
a terminal and never over an existing file, and read again and compared before the command ends. What the format cannot
carry is told before anything is written, with the tokens that lose it. Access codes stay in the store.`,
		Example: `  tokendesk keyfile export --for privacyidea --plaintext --out keys.csv
  tokendesk keyfile export --format yubico-csv --plaintext --out one.csv 12345678`,
		ValidArgsFunction: a.tokenWords,
		RunE:              func(cmd *cobra.Command, given []string) error { return runExport(cmd.Context(), a, o, given) },
	}
	f := cmd.Flags()
	f.StringVar(&o.server, "for", "", "server that shall read the file: "+strings.Join(targetNames(), ", "))
	f.StringVar(&o.format, "format", "", "format, when no server is named: "+strings.Join(codecs.Names(), ", "))
	f.StringVar(&o.realm, "realm", "", "privacyIDEA realm of the owners: writes OATH CSV version 2, which names them")
	f.StringVar(&o.resolver, "resolver", "", "privacyIDEA resolver of the owners")
	f.StringVar(&o.out, "out", "", "file to make")
	f.BoolVar(&o.plaintext, "plaintext", false, "yes, write secrets in clear")
	complete(cmd, "for", targetNames()...)
	complete(cmd, "format", codecs.Names()...)
	return cmd
}

// check refuses what can be refused before the store is opened.
func (o exportOptions) check() error {
	if o.out == "" {
		return usagef("--out is missing: the file to make")
	}
	if !o.plaintext {
		return problemf(exitRefused, "a key file holds secrets in clear, and that was not asked for").hint("if you mean it: --plaintext")
	}
	info, err := os.Stat(o.out)
	switch {
	case o.out == "-", err == nil && info.Mode()&fs.ModeCharDevice != 0:
		return problemf(exitRefused, "secrets are not written to a terminal or a device").hint("name a file that does not exist: --out FILE")
	case err == nil:
		return fileExists(o.out)
	}
	return nil
}

func fileExists(name string) error {
	return problemf(exitRefused, "%s exists; nothing is overwritten", name).hint("name a file that does not exist: --out FILE")
}

func runExport(ctx context.Context, a *app, o exportOptions, queries []string) error {
	if err := o.check(); err != nil {
		return err
	}
	d, err := chooseDestination(o.server, o.format)
	if err != nil {
		return err
	}
	if d, err = d.withRealm(o.realm, o.resolver); err != nil {
		return err
	}
	return a.withDesk(ctx, func(staff *desk.Desk) error {
		n, records, err := staff.Export(ctx, desk.Export{Format: d.codec.Name(), Target: o.server, File: o.out}, queries...)
		if err != nil {
			return queryProblem(err)
		}
		if n == 0 {
			return problemf(exitNotFound, "there is nothing to export").
				hint("the default set is proven, not blocked and not uncertain; others are exported by name")
		}
		records = destroying(records)
		if err := a.reportLoss(d, records); err != nil {
			return err
		}
		if err := writeKeyFile(d.codec, o.out, records); err != nil {
			return err
		}
		a.say("%s in %s, read again and compared; remove the file when it is imported", count(n, "credential"), o.out)
		if d.target != nil {
			a.say("import it:\n  %s", strings.ReplaceAll(d.target.Instructions(o.out), "\n", "\n  "))
		}
		return nil
	})
}

// destroying destroys each record when its turn is over.
func destroying(records iter.Seq2[keyfile.Record, error]) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		for r, err := range records {
			more := yield(r, err)
			r.Destroy()
			if !more {
				return
			}
		}
	}
}

// lossGroup is the tokens that lose the same.
type lossGroup struct {
	lost   string   // fields; "" for nothing
	tokens []string // the first mostNamed
	more   int
}

// mostNamed is how many tokens of a group are named.
const mostNamed = 5

// lossReport groups what the records lose: in memory it grows with the number of different losses only.
type lossReport struct {
	groups []*lossGroup
	fields []string          // in the order in which they were met
	notes  map[string]string // by field
}

func (l *lossReport) add(name string, losses []keyfile.Loss) {
	var lost []string
	for _, x := range losses {
		lost = append(lost, x.Field)
		if _, ok := l.notes[x.Field]; !ok {
			l.fields = append(l.fields, x.Field)
			l.notes[x.Field] = x.Note
		}
	}
	text := strings.Join(lost, ", ")
	i := slices.IndexFunc(l.groups, func(g *lossGroup) bool { return g.lost == text })
	if i < 0 {
		i = len(l.groups)
		l.groups = append(l.groups, &lossGroup{lost: text})
	}
	if g := l.groups[i]; len(g.tokens) < mostNamed {
		g.tokens = append(g.tokens, printable(name))
	} else {
		g.more++
	}
}

// say tells each group in one line, then what each field means.
func (l *lossReport) say(a *app) {
	for _, g := range l.groups {
		who := strings.Join(g.tokens, "; ")
		if g.more > 0 {
			who += fmt.Sprintf("; and %d more", g.more)
		}
		a.say("  %s: %s", who, cmp.Or(g.lost, "nothing is lost"))
	}
	for _, f := range l.fields {
		a.say("  %s: %s", f, l.notes[f])
	}
}

// reportLoss tells what the file cannot carry, and refuses tokens that would come out wrong.
func (a *app) reportLoss(d destination, records iter.Seq2[keyfile.Record, error]) error {
	report := lossReport{notes: map[string]string{}}
	var refused error
	for r, err := range records {
		if err != nil {
			return err
		}
		losses := d.loss(r)
		if err := keyfile.Refused(d.name(), r, losses); err != nil && refused == nil {
			refused = err
		}
		report.add(tokenName(r), losses)
	}
	a.say("what a file for %s (%s) does not carry:", d.name(), d.codec.Name())
	report.say(a)
	return refused
}

// writeKeyFile makes the file, writes and syncs it, and compares it with the records. What is not finished is removed.
func writeKeyFile(c keyfile.Codec, name string, records iter.Seq2[keyfile.Record, error]) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fileExists(name)
	}
	if err != nil {
		return fileProblem(err, filepath.Dir(name))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	if err := encode(c, f, records); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	again, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = again.Close() }() // read only
	return keyfile.Check(c, again, records)
}

func encode(c keyfile.Codec, f *os.File, records iter.Seq2[keyfile.Record, error]) error {
	out := c.NewEncoder(f)
	for r, err := range records {
		if err != nil {
			return err
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return out.Close()
}
