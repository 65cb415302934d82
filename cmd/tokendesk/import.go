package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/desk"
)

func newKeyfileImportCmd(a *app) *cobra.Command {
	var o opening
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take in the keys of a key file, so that they are checked here", Args: args(1, 1, "FILE"),
		Long: `Take in the keys of a key file, or of standard input for "-". The format is found by itself, or named by --format. What is
here already is never overwritten. A row that cannot be used is told with line, column and field, and the others go in.

The file holds secrets: remove it afterwards.`,
		Example: "  tokendesk keyfile import keys.csv\n  gpg -d keys.csv.asc | tokendesk keyfile import -",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				return runImport(cmd.Context(), a, d, given[0], o)
			})
		},
	}
	o.flags(cmd)
	return cmd
}

// importRow is what became of one record.
type importRow struct {
	Line    int          `json:"line"`
	Outcome desk.Outcome `json:"outcome"`
	Note    string       `json:"note,omitempty"`
}

func runImport(ctx context.Context, a *app, d *desk.Desk, name string, o opening) error {
	file, err := a.openKeyFile(ctx, name, o)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // read only
	codec := file.reader
	var t tally
	rows := stream[importRow]{w: a.stdout, format: a.format, name: "records", columns: []column[importRow]{
		{"Line", func(r importRow) string { return fmt.Sprint(r.Line) }},
		{"Outcome", func(r importRow) string { return string(r.Outcome) }},
		{"Note", func(r importRow) string { return r.Note }},
	}}
	records := file.blamed(keyfile.Import(codec, file.text))
	err = d.Import(ctx, name, records, func(i desk.Imported) {
		switch i.Outcome {
		case desk.New:
			t.done++
		case desk.Known:
			t.same++
		default:
			t.bad(importNote(codec, i))
		}
		rows.add(importRow(i))
	})
	shown := rows.close()
	if err == nil || t.rows() > 0 {
		a.say("%s, read as %s: %d new, %d known already, %d refused", file.name, codec.Name(), t.done, t.same, t.refused)
	}
	if err != nil {
		return err
	}
	if t.rows() == 0 {
		return usagef("%s holds no record", file.name)
	}
	return cmp.Or(t.problem("the others are in the store"), shown)
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

// importNote is one refused record in one line. The rows' own errors name format, line and field already.
func importNote(c keyfile.Reader, i desk.Imported) string {
	if strings.HasPrefix(i.Note, c.Name()+":") {
		return i.Note
	}
	return fmt.Sprintf("%s: line %d: %s", c.Name(), i.Line, i.Note)
}
