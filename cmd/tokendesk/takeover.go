package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// takeOptions are the flags of taking something over from another validation server.
type takeOptions struct {
	opening
	dryRun bool
}

func (o *takeOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "only tell what would become of each row")
}

// taking is one run of it. A row that is refused is told, and the others go in; what is here already is passed over, so a run that was
// interrupted is repeated.
type taking struct {
	*app
	dryRun bool
	rows   stream[importRow]
	told   []importRow // those with a note, for the table of a dry run; the first mostInTable
	notes  []string    // of rows that went in; the first mostShown
	noted  int         // how many there were
	counts map[desk.Outcome]int
	tally  tally
}

func (a *app) newTaking(dry bool) *taking {
	return &taking{app: a, dryRun: dry, counts: map[desk.Outcome]int{},
		rows: stream[importRow]{w: a.stdout, format: a.format, name: "records", columns: importColumns()}}
}

// part takes over one file, or one table of it, and says how many rows of what went in.
func (t *taking) part(name, what string, run func(report func(desk.Imported)) error) error {
	var part tally
	err := run(func(i desk.Imported) {
		t.counts[i.Outcome]++
		row := importRow{name, i.Line, i.Column, i.Field, i.Outcome, i.Note}
		switch i.Outcome {
		case desk.New, desk.Raised:
			part.done++
		case desk.Known:
			part.same++
		default:
			part.bad(row.text())
		}
		if i.Note != "" {
			t.note(row)
		}
		t.rows.add(row)
	})
	t.tally.merge(part)
	if err == nil || part.rows() > 0 {
		t.say("%s, %s: %d taken over, %d known already, %d refused", name, what, part.done, part.same, part.refused)
	}
	return err
}

// note remembers a row that something is to be said about.
func (t *taking) note(r importRow) {
	if len(t.told) < mostInTable {
		t.told = append(t.told, r)
	}
	if r.Outcome != desk.New && r.Outcome != desk.Raised {
		return
	}
	if t.noted++; t.noted <= mostShown {
		t.notes = append(t.notes, r.text())
	}
}

// sayNotes says what is to be said about rows that went in.
func (t *taking) sayNotes() {
	for _, n := range t.notes {
		t.say("  %s", n)
	}
	if more := t.noted - len(t.notes); more > 0 {
		t.say("  and %d more; all of them: -o csv", more)
	}
}

// finish shows what became of the rows. failed is why there are no more.
func (t *taking) finish(ctx context.Context, failed error) error {
	if ctx.Err() != nil {
		if !t.dryRun {
			t.say("interrupted: %s in the store and stay there", count(t.tally.done+t.tally.same, "row"))
			t.say("  to go on, repeat the command: what is known is passed over")
		}
		return cmp.Or(failed, ctx.Err())
	}
	if failed != nil && t.tally.rows() == 0 {
		return failed
	}
	shown := t.rows.close()
	if t.dryRun && t.format == "table" {
		shown = cmp.Or(shown, t.table())
	} else {
		t.sayNotes()
	}
	refused := t.tally.problem("the others are in the store")
	if t.dryRun && t.tally.refused > 0 {
		refused = problemf(exitPartly, "%s would be refused; nothing was written", count(t.tally.refused, "row"))
	}
	if p, ok := refused.(*problem); ok && t.counts[desk.Missing] > 0 {
		refused = p.hint("bring the keys in first (tokendesk keyfile import), then repeat this command")
	}
	return cmp.Or(failed, refused, shown)
}

// table is what a dry run shows on a terminal.
func (t *taking) table() error {
	var sums [][]string
	for _, o := range []desk.Outcome{desk.New, desk.Raised, desk.Known, desk.Missing, desk.Different, desk.Bad} {
		if t.counts[o] > 0 {
			sums = append(sums, []string{string(o), fmt.Sprint(t.counts[o])})
		}
	}
	if err := writeTable(t.stdout, []string{"Outcome", "Rows"}, sums); err != nil || len(t.told) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(t.stdout); err != nil {
		return err
	}
	return list(t.app, "records", t.told, importColumns())
}

// textKind is a file of text that is taken over: what it is, how, and the tool of the old server whose checksum sum is.
type textKind struct {
	what, tool string
	run        func(k *keySource, report func(desk.Imported)) error
	sum        func() string
}

// takeFile takes over one file of text, which may be encrypted.
func (a *app) takeFile(ctx context.Context, name string, o takeOptions, kind textKind) error {
	k, err := a.openText(ctx, name, o.opening)
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }() // read only
	t, bar := a.newTaking(o.dryRun), a.progress(k)
	err = t.part(k.name, "read as "+kind.what, func(report func(desk.Imported)) error {
		defer bar.clear()
		return kind.run(k, func(i desk.Imported) {
			bar.step()
			report(i)
		})
	})
	switch {
	case err == nil && t.tally.rows() == 0:
		err = usagef("%s holds no row", k.name)
	case err == nil:
		a.compare(kind.tool, kind.sum())
	}
	return t.finish(ctx, err)
}

// compare tells a checksum of yubikey-val or yubikey-ksm.
func (a *app) compare(tool, sum string) {
	a.say("  %s: %s (compare it with what the old server prints; it is over the rows that could be read)", tool, sum)
}
