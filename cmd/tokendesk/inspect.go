package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
)

func newKeyfileInspectCmd(a *app) *cobra.Command {
	var o opening
	cmd := &cobra.Command{
		Use: "inspect FILE", Short: "Tell what is in a key file, and its weaknesses, without showing a secret", Args: args(1, 1, "FILE"),
		Long: `Tell what is in a key file: its format, how it is encrypted and signed, how many tokens of which kind, what is weak about it.
Nothing is stored, and no secret is shown.

The fingerprints are for comparing over the telephone. That of the file is SHA-256 over the names and settings of all records in their
order and the SHA-256 of each secret; that of a secret are the first 8 digits of its SHA-256. A secret of less than 128 bits has
none and is not part of the file's: it could be found by trying.

Duplicates are looked for among the first 262144 records.`,
		Example: "  tokendesk keyfile inspect vendor.csv\n  tokendesk keyfile inspect --identity us.asc tokens.xml.asc -o json",
		RunE:    func(cmd *cobra.Command, given []string) error { return runInspect(cmd.Context(), a, o, given[0]) },
	}
	o.flags(cmd)
	return cmd
}

// inspected is what keyfile inspect shows.
type inspected struct {
	File        string           `json:"file"`
	Format      string           `json:"format"`
	Sure        int              `json:"sure"` // percent
	Wrapping    string           `json:"wrapping,omitempty"`
	Encrypted   bool             `json:"encrypted"`
	Signer      string           `json:"signer,omitempty"` // whose signature was found good
	Records     int              `json:"records"`
	Bad         int              `json:"bad"`
	Kinds       tallies          `json:"kinds"`
	Hashes      tallies          `json:"hashes"`
	Digits      tallies          `json:"digits"`
	Periods     tallies          `json:"periods"`
	Owned       int              `json:"owned"`
	Fingerprint string           `json:"fingerprint"`
	Findings    []string         `json:"findings"`
	Weaknesses  []weakness       `json:"weaknesses"`
	Problems    []string         `json:"problems"` // the first bad rows
	Tokens      []inspectedToken `json:"tokens"`   // the first mostInTable
}

// inspectedToken is one record.
type inspectedToken struct {
	Line        int    `json:"line"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	Bits        int    `json:"bits"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// weakness is one kind of them, and whose.
type weakness struct {
	What   string   `json:"what"`
	Count  int      `json:"count,omitempty"` // of records; 0: the whole file
	Tokens []string `json:"tokens,omitempty"`
}

// tallies count words in the order in which they were met; behind mostTallied-1 of them all others are one.
type tallies []counted

const mostTallied = 20

type counted struct {
	What  string `json:"what"`
	Count int    `json:"count"`
}

func (t *tallies) add(what string) {
	for i := range *t {
		if (*t)[i].What == what {
			(*t)[i].Count++
			return
		}
	}
	if len(*t) == mostTallied-1 {
		what = "other"
	}
	*t = append(*t, counted{what, 1})
}

// String is "3 totp, 1 hotp".
func (t tallies) String() string {
	var out []string
	for _, c := range t {
		out = append(out, fmt.Sprintf("%d %s", c.Count, c.What))
	}
	return strings.Join(out, ", ")
}

func runInspect(ctx context.Context, a *app, o opening, name string) error {
	k, err := a.openKeyFile(ctx, name, o)
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }() // read only
	unknown := k.lacksPeriod()
	if unknown {
		k.setPeriod(usualPeriod)
	}
	in := newInspector(unknown)
	in.out.File, in.out.Format, in.out.Sure = k.name, k.reader.Name(), k.sure
	for _, f := range k.findings() {
		if !unknown || !strings.HasPrefix(f.Text, "period:") {
			in.out.Findings = append(in.out.Findings, printable(f.Text))
		}
	}
	container := iterations(k)
	bar := a.progress(k)
	for r, err := range k.blamed(k.reader.Decode(k.text)) {
		switch {
		case err != nil && !keyfile.IsRow(err):
			bar.clear()
			return err
		case err != nil:
			in.bad(err)
		default:
			in.record(r)
		}
		r.Destroy()
		bar.step()
	}
	bar.clear()
	in.file(k, container)
	return in.show(a, unknown)
}

// file adds what holds for the whole file.
func (in *inspector) file(k *keySource, container int) {
	o := &in.out
	o.Encrypted = k.locked || k.info.Encrypted
	o.Signer = printable(k.info.Signer)
	if k.wrapped != noWrapping {
		o.Wrapping = k.wrapping()
	}
	if !o.Encrypted && o.Records > 0 {
		o.Weaknesses = append([]weakness{{What: "the secrets are in clear: whoever has the file has the tokens"}}, o.Weaknesses...)
	}
	if container > 0 && container < pskc.DefaultIterations {
		o.Weaknesses = append(o.Weaknesses, weakness{What: fmt.Sprintf("the passphrase is stretched by %d iterations only: a short one can be found by trying", container)})
	}
	o.Findings = append(o.Findings, k.notices...)
	o.Fingerprint = in.fingerprint()
}

// iterationCount finds PBKDF2's in a PSKC file. Source: RFC 6030 §6.2.
var iterationCount = regexp.MustCompile(`IterationCount>\s*([0-9]{1,9})\s*<`)

// iterations are those of a PSKC container's passphrase; 0: none.
func iterations(k *keySource) int {
	if k.reader.Name() != (pskc.Codec{}).Name() {
		return 0
	}
	found := iterationCount.FindSubmatch(k.sample)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1])) // nine digits
	return n
}

func (in *inspector) show(a *app, unknown bool) error {
	o := in.out
	if a.format == "json" {
		return writeJSON(a.stdout, "inspected", o)
	}
	if a.format == "csv" {
		return list(a, "tokens", o.Tokens, inspectedColumns())
	}
	if err := show(a, "inspected", o, inspectedFields(unknown)); err != nil {
		return err
	}
	for _, part := range []struct {
		title string
		lines []string
	}{{"Findings", o.Findings}, {"Weaknesses", weaknessLines(o.Weaknesses)}, {"Bad rows", o.Problems}} {
		if len(part.lines) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(a.stdout, "\n%s\n  %s\n", part.title, strings.Join(part.lines, "\n  ")); err != nil {
			return err
		}
	}
	if len(o.Tokens) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	if err := list(a, "tokens", o.Tokens, inspectedColumns()); err != nil {
		return err
	}
	if more := o.Records - len(o.Tokens); more > 0 {
		a.say("and %d more", more)
	}
	return nil
}

func weaknessLines(list []weakness) (out []string) {
	for _, w := range list {
		line := w.What
		if w.Count > 0 {
			line = fmt.Sprintf("%s: %s", w.What, strings.Join(w.Tokens, "; "))
		}
		if more := w.Count - len(w.Tokens); more > 0 {
			line += fmt.Sprintf("; and %d more", more)
		}
		out = append(out, line)
	}
	return out
}

func inspectedFields(unknown bool) []column[inspected] {
	return []column[inspected]{
		{"File", func(o inspected) string { return o.File }},
		{"Format", func(o inspected) string { return fmt.Sprintf("%s (%d%% sure)", o.Format, o.Sure) }},
		{"Around it", func(o inspected) string { return o.Wrapping }},
		{"Encrypted", func(o inspected) string { return yesNo(o.Encrypted) }},
		{"Signed by", func(o inspected) string { return o.Signer }},
		{"Records", func(o inspected) string {
			if o.Bad > 0 {
				return fmt.Sprintf("%d, and %s", o.Records, count(o.Bad, "bad row"))
			}
			return fmt.Sprint(o.Records)
		}},
		{"Kinds", func(o inspected) string { return o.Kinds.String() }},
		{"Hashes", func(o inspected) string { return o.Hashes.String() }},
		{"Digits", func(o inspected) string { return o.Digits.String() }},
		{"Periods", func(o inspected) string {
			if unknown {
				return "unknown: look at a token"
			}
			return o.Periods.String()
		}},
		{"With owner", func(o inspected) string { return fmt.Sprint(o.Owned) }},
		{"Fingerprint", func(o inspected) string { return o.Fingerprint }},
	}
}

func inspectedColumns() []column[inspectedToken] {
	return []column[inspectedToken]{
		{"Line", func(t inspectedToken) string { return fmt.Sprint(t.Line) }},
		{"Token", func(t inspectedToken) string { return t.Name }},
		{"Kind", func(t inspectedToken) string { return t.Kind }},
		{"Bits", func(t inspectedToken) string { return fmt.Sprint(t.Bits) }},
		{"Fingerprint", func(t inspectedToken) string { return cmp.Or(t.Fingerprint, "none: too short") }},
	}
}
