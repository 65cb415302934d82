package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
)

func newKeyfileCheckCmd(a *app) *cobra.Command {
	var from opening
	var server string
	cmd := &cobra.Command{
		Use: "check FILE --for SERVER", Short: "Read a key file as a server would, and tell what it would refuse or misread", Args: args(1, 1, "FILE"),
		Long: `Read a key file as a server would: in the format that the server reads, by its rules. Rows that it would refuse or misread are
told with line, column and cause. Nothing is stored, and no secret is shown.

Exit code 0: it takes all; 8: some rows not; 7: none.`,
		Example: "  tokendesk keyfile check keys.csv --for privacyidea",
		RunE: func(cmd *cobra.Command, given []string) error {
			return runCheck(cmd.Context(), a, given[0], server, from)
		},
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&server, "for", "", "server that shall read the file: "+joined(targetNames()))
	complete(cmd, "for", targetNames()...)
	return cmd
}

// fault is a row that a server would not take as it stands.
type fault struct {
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	Field  string `json:"field"`
	Cause  string `json:"cause"`
}

// faultColumns shows them.
func faultColumns() []column[fault] {
	return []column[fault]{
		{"Line", func(f fault) string { return fmt.Sprint(f.Line) }},
		{"Column", func(f fault) string {
			if f.Column == 0 {
				return ""
			}
			return fmt.Sprint(f.Column)
		}},
		{"Field", func(f fault) string { return f.Field }},
		{"Cause", func(f fault) string { return f.Cause }},
	}
}

// checking is one file on its way through a server's rules.
type checking struct {
	target  codecs.Target
	rows    stream[fault]
	good    int
	bad     int
	last    int // line of the last bad row
	reasons []string
}

func runCheck(ctx context.Context, a *app, name, server string, from opening) error {
	t, ok := codecs.TargetByName(server)
	switch {
	case server == "":
		return usagef("--for is missing: the server that shall read the file").hint("it is one of: %s", joined(targetNames()))
	case !ok:
		return unknownTarget(server)
	case from.format != "" && from.format != t.Codec.Name():
		return usagef("%s reads %s, not %s", t.Name, t.Codec.Name(), printable(from.format)).hint("leave --format out")
	}
	from.format = t.Codec.Name()
	file, err := a.openKeyFile(ctx, name, from)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // read only
	a.wrapNote(t, file)
	c := checking{target: t, rows: stream[fault]{w: a.stdout, format: a.format, name: "faults", columns: faultColumns()}}
	err = c.run(file)
	shown := c.rows.close()
	if err != nil {
		return err
	}
	a.say("%s: %s would be taken by %s, %d not", file.name, count(c.good, "row"), t.Name, c.bad)
	return cmp.Or(c.problem(file.name), shown)
}

// problem is the outcome: nil when every row would be taken.
func (c *checking) problem(name string) error {
	p := problemf(exitPartly, "%s of %s would be refused or misread", count(c.bad, "row"), name)
	switch {
	case c.bad == 0 && c.good == 0:
		return usagef("%s holds no record", name)
	case c.bad == 0:
		return nil
	case c.good == 0:
		p = problemf(exitVerify, "%s would take nothing of %s", c.target.Name, name)
	}
	for _, r := range c.reasons {
		p = p.hint("%s", r)
	}
	if len(c.reasons) == mostShown {
		p = p.hint("perhaps more: all of them with -o json")
	}
	return p
}

// wrapNote tells what the server thinks of the message around the file.
func (a *app) wrapNote(t codecs.Target, file *keySource) {
	switch {
	case file.wrapped == inAge:
		a.say("note: %s does not read age files: decrypt it first", t.Name)
	case file.wrapped == inOpenPGP && t.Protect&codecs.OpenPGP == 0:
		a.say("note: %s does not read OpenPGP messages: decrypt it first", t.Name)
	case t.Signed && !file.info.Signed:
		a.say("note: %s takes signed OpenPGP messages only, and this is none: sign it first (gpg --armor --sign)", t.Name)
	}
}

// run reads the file: its lines by the server's own rules, its rows by the format's.
func (c *checking) run(file *keySource) error {
	lines := &lineReader{r: file.text, rule: lineRules()[c.target.Name]}
	for r, err := range file.blamed(file.reader.Decode(lines)) {
		var bad *keyfile.RowError
		switch {
		case errors.As(err, &bad):
			c.faults(bad.Line, append(lines.take(bad.Line), fault{bad.Line, bad.Column, bad.Field, bad.Cause}))
		case err != nil:
			return err
		default:
			c.faults(r.Line, append(lines.take(r.Line), c.losses(r, file.locked)...))
			r.Destroy()
		}
	}
	c.faults(0, lines.take(lines.line))
	return nil
}

// losses are what the server refuses of a record; locked: the format itself was encrypted.
func (c *checking) losses(r keyfile.Record, locked bool) (out []fault) {
	losses := c.target.Loss(r)
	if locked {
		losses = c.target.ProtectedLoss(r)
	}
	for _, l := range losses {
		if l.Fatal {
			out = append(out, fault{Line: r.Line, Field: l.Field, Cause: l.Note})
		}
	}
	return out
}

// faults shows what is wrong up to a row, and counts each line once; the row is good if nothing is about it. Line 0 is no row.
func (c *checking) faults(line int, list []fault) {
	good := line > 0
	for _, f := range list {
		if f.Line != c.last {
			c.bad++
		}
		c.last = f.Line
		good = good && f.Line != line
		if len(c.reasons) < mostShown {
			c.reasons = append(c.reasons, f.String())
		}
		c.rows.add(f)
	}
	if good {
		c.good++
	}
}

// String is the fault in one line.
func (f fault) String() string {
	if f.Column == 0 {
		return fmt.Sprintf("line %d (%s): %s", f.Line, f.Field, f.Cause)
	}
	return fmt.Sprintf("line %d, column %d (%s): %s", f.Line, f.Column, f.Field, f.Cause)
}
