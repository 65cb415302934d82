package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// schema is the version of every JSON document that the program prints. Fields may be added under the same number.
const schema = 1

// column is one column of a listing of T: its header and how a row shows it.
type column[T any] struct {
	name string
	show func(T) string
}

func (a *app) checkFormat() error {
	switch a.format {
	case "table", "json", "csv":
		return nil
	}
	return usagef("--output %s is unknown", a.format).hint("it is table, json or csv")
}

// list prints rows in the chosen form. In JSON they are the member called name, each as its own JSON form.
func list[T any](a *app, name string, rows []T, columns []column[T]) error {
	if a.format == "json" {
		if rows == nil {
			rows = []T{}
		}
		return writeJSON(a.stdout, name, rows)
	}
	cells := make([][]string, len(rows))
	for i, r := range rows {
		for _, c := range columns {
			cells[i] = append(cells[i], c.show(r))
		}
	}
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = c.name
	}
	if a.format == "csv" {
		return writeCSV(a.stdout, head, cells)
	}
	if len(rows) == 0 {
		a.say("none")
		return nil
	}
	return writeTable(a.stdout, head, cells)
}

// show prints one thing: a table of two columns, one CSV row, or a JSON object called name.
func show[T any](a *app, name string, thing T, columns []column[T]) error {
	if a.format != "table" {
		if a.format == "json" {
			return writeJSON(a.stdout, name, thing)
		}
		return list(a, name, []T{thing}, columns)
	}
	var cells [][]string
	for _, c := range columns {
		cells = append(cells, []string{c.name, c.show(thing)})
	}
	return writeTable(a.stdout, nil, cells)
}

// member is one of a JSON object.
type member struct {
	name  string
	value any
}

// writeJSON writes {"schema": 1, name: value}, and more members after it.
func writeJSON(w io.Writer, name string, value any, more ...member) error {
	var all bytes.Buffer
	fmt.Fprintf(&all, "{\n  \"schema\": %d", schema)
	for _, m := range append([]member{{name, value}}, more...) {
		text, err := indented(m.value, "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, ",\n  %q: %s", m.name, text)
	}
	_, err := fmt.Fprintf(w, "%s\n}\n", all.Bytes())
	return err
}

// indented is value in JSON, each line but the first behind prefix.
func indented(value any, prefix string) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	err := enc.Encode(value)
	return bytes.TrimRight(text.Bytes(), "\n"), err
}

// writeCSV writes names in lower case, without spaces and commas, and guards cells that a spreadsheet would take for a formula (reference
// key-files.md §10).
func writeCSV(w io.Writer, head []string, rows [][]string) error {
	out := csv.NewWriter(w)
	if head != nil {
		lower := make([]string, len(head))
		for i, h := range head {
			lower[i] = strings.NewReplacer(" ", "_", ",", "").Replace(strings.ToLower(h))
		}
		if err := out.Write(lower); err != nil {
			return err
		}
	}
	for _, r := range rows {
		for i, c := range r {
			if isFormula(c) {
				r[i] = "'" + c
			}
		}
		if err := out.Write(r); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// isFormula: a dash alone, and a negative number, are none.
func isFormula(cell string) bool {
	return cell != "" && (strings.Contains("=+@", cell[:1]) || cell[0] == '-' && strings.ContainsAny(cell, "(|!+*/^&="))
}

// writeTable writes columns side by side without lines; a cell that is empty shows a dash.
func writeTable(w io.Writer, head []string, rows [][]string) error {
	cell := func() tw.CellConfig {
		return tw.CellConfig{
			Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
			Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
			Padding:    tw.CellPadding{Global: tw.Padding{Right: "  ", Overwrite: true}},
		}
	}
	var drawn bytes.Buffer
	table := tablewriter.NewTable(&drawn,
		tablewriter.WithRendition(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Lines: tw.LinesNone, Separators: tw.SeparatorsNone},
		}),
		tablewriter.WithConfig(tablewriter.Config{Header: cell(), Row: cell()}),
	)
	if head != nil {
		table.Header(head)
	}
	for _, r := range rows {
		shown := make([]string, len(r))
		for i, c := range r {
			if shown[i] = printable(c); c == "" {
				shown[i] = "-"
			}
		}
		if err := table.Append(shown); err != nil {
			return err
		}
	}
	if err := table.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(drawn.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// printable keeps what comes from files and devices from steering a terminal, and from turning round what stands beside it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, s)
}

// when is a time for people, local; in CSV with its zone.
func (a *app) when(t time.Time) string {
	if a.format == "csv" {
		return t.UTC().Format(time.RFC3339)
	}
	return t.Local().Format(time.DateTime)
}

// say talks: one line on standard error.
func (a *app) say(format string, v ...any) {
	fmt.Fprintf(a.stderr, format+"\n", v...)
}

// sayBlinks is say where the key waits for a touch then.
func (a *app) sayBlinks(format string, v ...any) {
	a.say(format, v...)
	if a.blinks != nil {
		a.blinks()
	}
}

// count is "1 event" or "2 events".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
