package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/ksm"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// importOptions are the flags of keyfile import.
type importOptions struct {
	opening
	qr        bool
	dryRun    bool
	failedOut string
}

func newKeyfileImportCmd(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use: "import FILE…", Short: "Take in the keys of key files, so that they are checked here", Args: args(1, -1, "FILE"),
		Long: `Take in the keys of key files, or of standard input for "-". The format is found by itself, or named by --format; a file
that is encrypted is opened with the key or passphrase that is asked for. HOTP and TOTP tokens go into stock.

What is here already is never overwritten, so an import that was interrupted is simply repeated. A row that cannot be used is
told with line, column and field, and the others go in. --dry-run shows what would happen.

Of a vendor's table everything is found out by itself and told, but how long a code lasts (--period). Where --type, --digits,
--hash or --encoding are given, they beat the file. To be sure, try one token: tokendesk token calibrate.

The files hold secrets: remove them afterwards.`,
		Example: `  tokendesk keyfile import keys.csv
  tokendesk keyfile import --dry-run --period 60 vendor.csv
  tokendesk keyfile import --identity us.asc --signed-by vendor.asc tokens.xml.asc
  tokendesk keyfile import --failed-out rest.csv keys.csv
  tokendesk keyfile import --qr screenshot.png
  gpg -d keys.csv.asc | tokendesk keyfile import -`,
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				return runImport(cmd.Context(), a, d, given, o)
			})
		},
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.qr, "qr", false, "the files are pictures (PNG, JPEG) with the QR codes that a service or an app shows")
	f.BoolVar(&o.dryRun, "dry-run", false, "only tell what would become of each row")
	f.StringVar(&o.failedOut, "failed-out", "", "file to make of the rows that were refused, in the same format")
	return cmd
}

func (o importOptions) check() error {
	switch {
	case o.dryRun && o.failedOut != "":
		return usagef("--dry-run writes nothing, so --failed-out does not go with it")
	case o.qr && o.failedOut != "":
		return usagef("a picture has no rows for --failed-out")
	}
	return nil
}

// importRow is what became of one record.
type importRow struct {
	File    string       `json:"file"`
	Line    int          `json:"line"`
	Column  int          `json:"column,omitempty"`
	Field   string       `json:"field,omitempty"`
	Outcome desk.Outcome `json:"outcome"`
	Note    string       `json:"note,omitempty"`
}

func importColumns() []column[importRow] {
	positive := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	return []column[importRow]{
		{"File", func(r importRow) string { return r.File }},
		{"Line", func(r importRow) string { return positive(r.Line) }},
		{"Column", func(r importRow) string { return positive(r.Column) }},
		{"Field", func(r importRow) string { return r.Field }},
		{"Outcome", func(r importRow) string { return string(r.Outcome) }},
		{"Note", func(r importRow) string { return r.Note }},
	}
}

// text is a refused record in one line.
func (r importRow) text() string {
	where := fmt.Sprintf("%s: line %d", r.File, r.Line)
	if r.Column > 0 {
		where += fmt.Sprintf(", column %d", r.Column)
	}
	if r.Field != "" {
		where += " (" + r.Field + ")"
	}
	return where + ": " + r.Note
}

// importing is one call of keyfile import.
type importing struct {
	*app
	o      importOptions
	desk   *desk.Desk
	failed *failedFile // nil: not wanted
	rows   stream[importRow]
	told   []importRow // of a dry run, for the table
	counts map[desk.Outcome]int
	tally  tally
}

func runImport(ctx context.Context, a *app, d *desk.Desk, names []string, o importOptions) (err error) {
	m := &importing{app: a, o: o, desk: d, counts: map[desk.Outcome]int{},
		rows: stream[importRow]{w: a.stdout, format: a.format, name: "records", columns: importColumns()}}
	if m.failed, err = newFailedFile(o.failedOut); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.failed.close(err != nil && ctx.Err() != nil)) }()
	failed := m.all(ctx, names)
	if ctx.Err() != nil {
		m.sayInterrupted()
		return cmp.Or(failed, ctx.Err())
	}
	if failed != nil && len(names) == 1 && m.tally.rows() == 0 {
		return failed
	}
	shown := m.rows.close()
	if o.dryRun && a.format == "table" {
		shown = cmp.Or(shown, m.table())
	}
	refused := m.tally.problem("the others are in the store")
	if o.dryRun && m.tally.refused > 0 {
		refused = problemf(exitPartly, "%s would be refused; nothing was written", count(m.tally.refused, "row"))
	}
	return cmp.Or(failed, refused, m.failed.err(), shown)
}

// all takes in one file after the other. What is wrong with one of several is said, and the others go in.
func (m *importing) all(ctx context.Context, names []string) error {
	if m.o.qr {
		return m.pictures(ctx, names)
	}
	wrong := 0
	for _, name := range names {
		err := m.file(ctx, name)
		if err == nil {
			continue
		}
		if len(names) == 1 || ctx.Err() != nil {
			return err
		}
		x := explain(err)
		m.say("%s", x.line)
		for _, h := range x.hints {
			m.say("  %s", h)
		}
		wrong++
	}
	switch wrong {
	case 0:
		return nil
	case len(names):
		return usagef("none of the %d files could be read", wrong)
	}
	return problemf(exitPartly, "%d of %d files could not be read; see above", wrong, len(names))
}

// file takes in one file.
func (m *importing) file(ctx context.Context, name string) error {
	k, err := m.openKeyFile(ctx, name, m.o.opening)
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }() // read only
	if err := m.askPeriod(ctx, k); err != nil {
		return err
	}
	m.sayFindings(k)
	text, err := m.failed.follow(k)
	if err != nil {
		return err
	}
	bar := m.progress(k)
	records, sum := summed(k, k.blamed(keyfile.Import(k.reader, text)))
	err = m.records(ctx, k.name, k.reader.Name(), records, bar.step)
	bar.clear()
	if sum != nil && err == nil {
		m.compare("ykksm-checksum", sum.Sum())
	}
	m.sayNoticed(k)
	return err
}

// summed passes records on, and sums those of a yubikey-ksm up as it does; nil for others.
func summed(k *keySource, records iter.Seq2[keyfile.Record, error]) (iter.Seq2[keyfile.Record, error], *ksm.Checksum) {
	if k.reader.Name() != (ksm.Codec{}).Name() {
		return records, nil
	}
	sum := new(ksm.Checksum)
	return func(yield func(keyfile.Record, error) bool) {
		for r, err := range records {
			if err == nil {
				sum.Add(r)
			}
			if !yield(r, err) {
				return
			}
		}
	}, sum
}

// records takes in the records of one file, or says what would become of them.
func (m *importing) records(ctx context.Context, name, format string, records iter.Seq2[keyfile.Record, error], step func()) error {
	var t tally
	report := func(i desk.Imported) {
		step()
		m.counts[i.Outcome]++
		row := importRow{name, i.Line, i.Column, i.Field, i.Outcome, i.Note}
		switch i.Outcome {
		case desk.New:
			t.done++
		case desk.Known:
			t.same++
			if i.Note != "" && len(m.told) < mostInTable {
				m.told = append(m.told, row)
			}
		default:
			t.bad(row.text())
			if len(m.told) < mostInTable {
				m.told = append(m.told, row)
			}
		}
		m.failed.settled(i)
		m.rows.add(row)
	}
	var err error
	if m.o.dryRun {
		err = m.desk.Preview(ctx, records, report)
	} else {
		err = m.desk.Import(ctx, name, records, report)
	}
	m.tally.merge(t)
	if err == nil || t.rows() > 0 {
		m.say("%s, read as %s: %d new, %d known already, %d refused", name, format, t.done, t.same, t.refused)
	}
	if err == nil && t.rows() == 0 {
		return usagef("%s holds no record", name)
	}
	return err
}

// sayInterrupted tells how to go on.
func (m *importing) sayInterrupted() {
	if m.o.dryRun {
		return
	}
	m.say("interrupted: %s in the store and stay there", count(m.tally.done+m.tally.same, "row"))
	m.say("  to go on, repeat the command: what is known is passed over")
}

// mostInTable is how many refused rows a dry run shows in its table.
const mostInTable = 1000

// table is what a dry run shows on a terminal: how many rows of each outcome, then those that would be refused.
func (m *importing) table() error {
	var sums [][]string
	for _, o := range []desk.Outcome{desk.New, desk.Known, desk.Different, desk.Bad} {
		sums = append(sums, []string{string(o), fmt.Sprint(m.counts[o])})
	}
	if err := writeTable(m.stdout, []string{"Outcome", "Rows"}, sums); err != nil {
		return err
	}
	if len(m.told) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(m.stdout); err != nil {
		return err
	}
	if err := list(m.app, "records", m.told, importColumns()); err != nil {
		return err
	}
	if more := m.tally.refused - len(m.told); more > 0 {
		m.say("and %d more; all of them: -o csv", more)
	}
	return nil
}

// blamed passes rows on, and blames the file for an error that ends it.
func (in *input) blamed(records iter.Seq2[keyfile.Record, error]) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		for r, err := range records {
			if err != nil && !keyfile.IsRow(err) {
				err = in.fault(err)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}
