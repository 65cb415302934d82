package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// journalRow is one write of a journal. Nothing in it is secret.
type journalRow struct {
	Station  string       `json:"station"`
	Entry    int64        `json:"entry"`
	Serial   token.Serial `json:"serial"`
	Slot     token.Slot   `json:"slot"`
	Kind     token.Kind   `json:"kind"`
	PublicID string       `json:"public_id"`
	Account  string       `json:"account,omitempty"`
	IDCheck  string       `json:"id_check,omitempty"`
	Receipt  string       `json:"receipt,omitempty"`
	Phase    token.Phase  `json:"phase"`
	At       time.Time    `json:"at"`
	Operator string       `json:"operator"`
	Outcome  string       `json:"outcome,omitempty"`
	Why      string       `json:"why,omitempty"`
}

func journalRowOf(station string, e journal.Entry) journalRow {
	p := e.Plan
	r := journalRow{Station: station, Entry: e.ID, Serial: p.Serial, Slot: p.Slot, Kind: p.Kind, PublicID: p.PublicID.String(), Account: p.Holder,
		IDCheck: string(p.IDCheck), Phase: e.Phase, At: e.At, Operator: e.Operator}
	if e.Receipt > 0 {
		r.Receipt = token.Receipt{Station: station, Number: e.Receipt}.Ref()
	}
	return r
}

func (a *app) journalColumns(last ...column[journalRow]) []column[journalRow] {
	return append([]column[journalRow]{
		{"Station", func(r journalRow) string { return r.Station }},
		{"Write", func(r journalRow) string { return strconv.FormatInt(r.Entry, 10) }},
		{"Serial", func(r journalRow) string { return r.Serial.String() }},
		{"Slot", func(r journalRow) string { return fmt.Sprint(r.Slot) }},
		{"Public ID", func(r journalRow) string { return r.PublicID }},
		{"Person", func(r journalRow) string { return r.Account }},
		{"Receipt", func(r journalRow) string { return r.Receipt }},
		{"At", func(r journalRow) string { return a.when(r.At) }},
		{"Operator", func(r journalRow) string { return r.Operator }},
	}, last...)
}

func newJournalListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list FILE", Short: "Show what is in a journal, without secrets", Args: args(1, 1, "FILE"),
		Long: `Show what is in a journal, without secrets. Its signatures are checked by the key that it names itself; whether that is the station's is
checked by journal import.`,
		RunE: func(cmd *cobra.Command, given []string) error {
			in, err := a.openInput(cmd.Context(), given[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }()
			f, err := journal.Read(in)
			if err != nil {
				return err
			}
			all, err := f.Entries()
			if err != nil {
				return err
			}
			rows := make([]journalRow, len(all))
			for i, e := range all {
				rows[i] = journalRowOf(f.Header.Station, e)
			}
			for _, c := range f.Claims() {
				a.say("%s", claimText(f.Header.Station, c))
			}
			err = list(a, "journal", rows, a.journalColumns(column[journalRow]{"Phase", func(r journalRow) string { return string(r.Phase) }}))
			if err == nil && f.Cause != nil {
				err = restProblem(given[0], f.Rest, f.Cause)
			}
			return err
		},
	}
}

// claimText is one line about what a station says of a key.
func claimText(station string, c journal.Claim) string {
	if c.Refused == "" {
		return fmt.Sprintf("key %s is genuine, says %s", c.Serial, station)
	}
	return fmt.Sprintf("key %s is not proven genuine, says %s: %s", c.Serial, station, printable(c.Refused))
}

func restProblem(name string, rest int64, cause error) *problem {
	return problemf(exitPartly, "%s: the last %d bytes do not verify: %s", printable(name), rest, oneLine(cause)).
		hint("the copy may be cut short: copy it again; or the station lost its power: open it there once, and copy it then")
}

func newJournalImportCmd(a *app) *cobra.Command {
	var open bool
	cmd := &cobra.Command{
		Use: "import FILE…", Short: "Take in what stations wrote", Args: args(1, -1, "FILE"),
		Long: `Take in the journals of stations. Each write counts once, whatever number of copies comes: the same again changes nothing, and what was
interrupted goes on. A key whose token was blocked meanwhile comes in blocked. What contradicts the store is a conflict and is left out, with the
reason; when that is solved, import again. So is a key that is not proven genuine, where the site requires that: what the station proved is proven
again here, by its certificates. Exit code 8: not all was taken.

A write that the station did not finish waits for the station. If the station is gone, --take-open takes it into the store: then
tokendesk provision resume finishes it here, with the key.`,
		Example: "  tokendesk journal import /media/stick/journal",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.importJournals(cmd.Context(), given, open)
		},
	}
	cmd.Flags().BoolVar(&open, "take-open", false, "also take what the station did not finish: it is gone")
	return cmd
}

func (a *app) importJournals(ctx context.Context, files []string, open bool) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	p, err := a.paths()
	if err != nil {
		return err
	}
	key, err := a.transferKey(p, false)
	if err != nil {
		return err
	}
	rows := &stream[journalRow]{w: a.stdout, format: a.format, name: "imported", columns: a.journalColumns(
		column[journalRow]{"Outcome", func(r journalRow) string { return r.Outcome }}, column[journalRow]{"Why", func(r journalRow) string { return r.Why }})}
	run := journalImport{a: a, st: st, key: key, open: open, rows: rows}
	for _, name := range files {
		if err := run.file(ctx, name); err != nil {
			return errors.Join(rows.close(), err)
		}
	}
	if err := rows.close(); err != nil {
		return err
	}
	if a.format == "table" {
		if err := list(a, "imported", run.all, rows.columns); err != nil {
			return err
		}
	}
	a.say("%s taken, %d before, %d left", count(run.done, "write"), run.before, run.left)
	return run.problem()
}

// journalImport is one run of journal import.
type journalImport struct {
	a      *app
	st     *sqlstore.Store
	key    seal.TransferKey
	open   bool
	rows   *stream[journalRow]
	all    []journalRow // for a table
	done   int
	before int
	left   int
	rest   *problem          // the last file that did not verify to its end, or was refused
	failed int               // files
	claims []journal.Claimed // that do not hold here
}

// file takes one journal. The error ends the run; a journal that is refused does not.
func (i *journalImport) file(ctx context.Context, name string) error {
	in, err := i.a.openInput(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	report, err := journal.Import(ctx, i.st, i.key, in, i.open, func(x journal.Imported) {
		row := journalRowOf(x.Station, x.Entry)
		row.Outcome, row.Why = string(x.Outcome), x.Why
		switch x.Outcome {
		case journal.Already:
			i.before++
		case journal.Conflict, journal.Unready:
			i.left++
		default:
			i.done++
		}
		i.rows.add(row)
		i.all = append(i.all, row)
	})
	for _, c := range report.Claims {
		switch c.Outcome {
		case journal.Done:
			i.a.say("%s", claimText(report.Header.Station, c.Claim))
		case journal.Conflict:
			i.a.say("key %s is not taken as genuine: %s", c.Serial, printable(c.Why))
			i.claims = append(i.claims, c)
		}
	}
	for _, refused := range []error{journal.ErrDamaged, journal.ErrVersion, journal.ErrOther, journal.ErrFork, journal.ErrEnded, token.ErrNotFound} {
		if errors.Is(err, refused) {
			x := explain(err)
			i.failed++
			i.rest = &problem{line: printable(name) + ": " + x.line, hints: x.hints, code: x.code, cause: err}
			i.a.say("%s", i.rest.line)
			return nil
		}
	}
	if err == nil && report.Cause != nil {
		i.rest = restProblem(name, report.Rest, report.Cause)
	}
	return err
}

// problem is what is left to do; nil for nothing.
func (i *journalImport) problem() error {
	switch {
	case i.failed > 0 && i.done+i.before+i.left == 0:
		return i.rest
	case i.left > 0:
		p := problemf(exitPartly, "%s not taken", count(i.left, "write"))
		for _, r := range i.all {
			if r.Outcome == string(journal.Conflict) || r.Outcome == string(journal.Unready) {
				p = p.hint("key %s: %s", r.Serial, r.Why)
			}
		}
		return p
	case len(i.claims) > 0:
		p := problemf(exitPartly, "%s not taken as genuine", count(len(i.claims), "key"))
		for _, c := range i.claims {
			p = p.hint("key %s: %s", c.Serial, printable(c.Why))
		}
		return p
	case i.rest != nil:
		i.rest.code = exitPartly
		return i.rest
	}
	return nil
}

// journalKinds are the causes of package journal.
func journalKinds() []struct {
	is   error
	code exitCode
	hint string
} {
	return []struct {
		is   error
		code exitCode
		hint string
	}{
		{journal.ErrOver, exitRefused, "get a new snapshot from the server: tokendesk journal station NAME --out FILE"},
		{journal.ErrMost, exitRefused, "get a new snapshot from the server: tokendesk journal station NAME --out FILE"},
		{journal.ErrNeedsServer, exitRefused, "use an empty slot, or another key"},
		{journal.ErrHeld, exitRefused, "use another key"},
		{journal.ErrBusy, exitBusy, "end the other program, or wait for it"},
		{journal.ErrNotProven, exitRefused, "use another key; what is proven where the store is, is in the next snapshot: tokendesk device attest"},
		{journal.ErrVersion, exitRefused, "use the same version of tokendesk at the server and at its stations, and a snapshot that it made"},
		{journal.ErrOlder, exitRefused, "nothing was changed"},
		{journal.ErrFork, exitIntegrity, "a copy of the station, or an older state of it, wrote keys too: find out who has it, and end the station: tokendesk journal end NAME"},
		{journal.ErrEnded, exitRefused, "see: tokendesk journal stations"},
		{journal.ErrSignature, exitIntegrity, "get the file again from where it was made"},
		{journal.ErrOther, exitIntegrity, "it is for another station, or of another store"},
		{journal.ErrBroken, exitError, "nothing that was confirmed is lost: make room on the disk, and begin again"},
		{journal.ErrDamaged, exitIntegrity, "copy it again from the station; if that is damaged, the keys that were issued since the last import are to be written anew"},
	}
}

// explainJournal: a station or its journal.
func explainJournal(err error, x *explained) bool {
	for _, k := range journalKinds() {
		if errors.Is(err, k.is) {
			x.code, x.hints = k.code, []string{k.hint}
			return true
		}
	}
	return false
}
