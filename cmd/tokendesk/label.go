package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
)

// labelOptions are the flags of provision label.
type labelOptions struct {
	out, sheet, template, templates string
	skip                            int
	stock                           bool
}

func newLabelCmd(a *app) *cobra.Command {
	var o labelOptions
	cmd := &cobra.Command{
		Use: "label [QUERY...]", Short: "Make labels for tokens", Args: args(0, maxLabels, ""),
		Long: `Make labels for the tokens that the queries name, or for all in stock. A label says stock number, serial number and public ID,
and has a code that a scanner reads back: the stock number, or the serial number of a token without one.

FILE.pdf is sheets or a roll, FILE.svg a file for each label, FILE.csv a table for a label printer's own program. The labels of a
batch: tokendesk provision batch show NUMBER --labels FILE.`,
		Example: `  tokendesk provision label 20411733 --out label.svg
  tokendesk provision label --stock --out labels.pdf --label-sheet avery-l4731 --label-skip 12`,
		ValidArgsFunction: a.tokenWords,
		RunE:              func(cmd *cobra.Command, given []string) error { return a.makeLabels(cmd.Context(), given, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.out, "out", "", "file to make: .pdf, .csv, or .svg for one file each")
	f.BoolVar(&o.stock, "stock", false, "all tokens in stock, by stock number")
	f.StringVar(&o.sheet, "label-sheet", "", "size of the labels, or of the sheet of labels: see provision template list")
	f.StringVar(&o.template, "label", "", "name of the label's template (default the usual one)")
	f.IntVar(&o.skip, "label-skip", 0, "places of the first sheet that are used up")
	f.StringVar(&o.templates, "templates", "", "directory with this site's templates")
	return cmd
}

// maxLabels is how many queries are taken at once.
const maxLabels = 1000

func (a *app) makeLabels(ctx context.Context, queries []string, o labelOptions) error {
	switch {
	case o.out == "":
		return usagef("--out is missing: the file to make")
	case o.stock == (len(queries) > 0):
		return usagef("provision label: name tokens, or --stock")
	case o.skip < 0:
		return usagef("--label-skip is a number from 0")
	}
	if err := labelFile("--out", o.out); err != nil {
		return err
	}
	if err := checkOut("--out", o.out); err != nil {
		return err
	}
	press, err := openPress(o.templates)
	if err != nil {
		return err
	}
	if err := press.Known("", o.template, o.sheet); err != nil {
		return usagef("%s", oneLine(err)).hint("see: tokendesk provision template list")
	}
	return a.withDesk(ctx, func(d *desk.Desk) error {
		labels, err := labelsOf(ctx, d, queries)
		if err != nil {
			return err
		}
		if len(labels) == 0 {
			return problemf(exitNotFound, "no token is in stock")
		}
		if err := writeLabels(press, paper.Stickers{Layout: o.sheet, Template: o.template, Skip: o.skip}, o.out, labels); err != nil {
			return err
		}
		a.say("%s made: %s", count(len(labels), "label"), printable(o.out))
		return nil
	})
}

// labelsOf are the labels of the tokens that were named, in that order, or of those in stock.
func labelsOf(ctx context.Context, d *desk.Desk, queries []string) ([]paper.Label, error) {
	var tokens []token.Token
	for _, q := range queries {
		t, err := d.Find(ctx, q)
		if err != nil {
			return nil, queryProblem(err)
		}
		tokens = append(tokens, t)
	}
	if len(queries) == 0 {
		all, err := d.Tokens(ctx)
		if err != nil {
			return nil, err
		}
		tokens = slices.DeleteFunc(all, func(t token.Token) bool { return t.State != token.InStock })
		slices.SortStableFunc(tokens, func(x, y token.Token) int {
			return cmp.Or(strings.Compare(x.StockNumber, y.StockNumber), cmp.Compare(x.Serial, y.Serial), cmp.Compare(x.ID, y.ID))
		})
	}
	var out []paper.Label
	for _, t := range tokens {
		_, creds, err := d.Show(ctx, desk.ByID(t.ID))
		if err != nil {
			return nil, err
		}
		out = append(out, paper.Label{Subject: subjectOf(t, creds)})
	}
	return out, nil
}

// subjectOf is a token on paper, with the public ID of the credential that is or will be valid.
func subjectOf(t token.Token, creds []token.Credential) paper.Subject {
	s := paper.Subject{Firmware: t.Firmware, Serial: t.Serial, StockNumber: t.StockNumber, Label: t.Label}
	if t.Model == token.YubiKey {
		s.Model = "YubiKey"
	}
	for _, c := range creds {
		if c.State != token.Revoked && (s.Kind == "" || c.Kind == token.YubicoOTP) {
			s.Kind, s.Slot, s.PublicID = c.Kind, c.Slot, c.PublicID.String()
		}
	}
	return s
}
