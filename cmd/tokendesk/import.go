package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/provision/desk"
)

func newKeyfileImportCmd(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Take in the keys of a key file, so that they are checked here", Args: args(1, 1, "FILE"),
		Long: `Take in the keys of a key file, or of standard input for "-". The format is found by itself, or named by --format. What is
here already is never overwritten. A row that cannot be used is told with line, column and field, and the others go in.

The file holds secrets: remove it afterwards.`,
		Example: "  tokendesk keyfile import keys.csv\n  gpg -d keys.csv.asc | tokendesk keyfile import -",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				return runImport(cmd.Context(), a, d, given[0], format)
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "format of the file: "+strings.Join(codecs.Names(), ", "))
	complete(cmd, "format", codecs.Names()...)
	return cmd
}

// importRow is what became of one record.
type importRow struct {
	Line    int          `json:"line"`
	Outcome desk.Outcome `json:"outcome"`
	Note    string       `json:"note,omitempty"`
}

func runImport(ctx context.Context, a *app, d *desk.Desk, name, format string) error {
	file, err := a.openInput(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // read only
	in := bufio.NewReaderSize(file, codecs.HeadSize)
	codec, err := detect(in, name, format)
	if err != nil {
		return err
	}
	var t tally
	var rows []importRow
	err = d.Import(ctx, name, keyfile.Import(codec, in), func(i desk.Imported) {
		switch i.Outcome {
		case desk.New:
			t.done++
		case desk.Known:
			t.same++
		default:
			t.bad(importNote(codec, i))
		}
		rows = append(rows, importRow(i))
	})
	a.say("%s, read as %s: %d new, %d known already, %d refused", name, codec.Name(), t.done, t.same, len(t.refused))
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return usagef("%s holds no record", name)
	}
	if a.format != "table" {
		if err := list(a, "records", rows, []column[importRow]{
			{"Line", func(r importRow) string { return fmt.Sprint(r.Line) }},
			{"Outcome", func(r importRow) string { return string(r.Outcome) }},
			{"Note", func(r importRow) string { return r.Note }},
		}); err != nil {
			return err
		}
	}
	return t.problem("records were refused; the others are in the store")
}

// importNote is one refused record in one line. The rows' own errors name format, line and field already.
func importNote(c keyfile.Codec, i desk.Imported) string {
	if strings.HasPrefix(i.Note, c.Name()+":") {
		return i.Note
	}
	return fmt.Sprintf("%s: line %d: %s", c.Name(), i.Line, i.Note)
}

// detect chooses the codec by name or by the file's first bytes.
func detect(in *bufio.Reader, name, format string) (keyfile.Codec, error) {
	head, err := in.Peek(codecs.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(head) == 0 {
		return nil, usagef("%s is empty", inputName(name))
	}
	if format != "" {
		c, ok := codecs.ByName(format)
		if !ok {
			return nil, usagef("--format %s is unknown", printable(format)).hint("it is one of: %s", strings.Join(codecs.Names(), ", "))
		}
		return c, nil
	}
	if err := keyfile.Unreadable(head); err != nil {
		return nil, usagef("%s: %s", inputName(name), err)
	}
	c, sure := codecs.Detect(head)
	if sure == 0 {
		return nil, usagef("%s is in no format that is known here", inputName(name)).
			hint("name it: --format %s", strings.Join(codecs.Names(), "|"))
	}
	return c, nil
}

func inputName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}
