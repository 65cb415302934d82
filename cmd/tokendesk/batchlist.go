package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// batchRow is a batch as batch list shows it.
type batchRow struct {
	Batch     token.BatchID `json:"batch"`
	Profile   string        `json:"profile"`
	State     string        `json:"state"` // "open" or "closed"
	Wanted    int           `json:"wanted"`
	Done      int           `json:"done"`
	Uncertain int           `json:"uncertain"`
	Aside     int           `json:"put_aside"`
	Touch     string        `json:"touch"`
	Order     string        `json:"order,omitempty"`
	Place     string        `json:"place,omitempty"`
	Budget    string        `json:"budget,omitempty"`
	Ticket    string        `json:"ticket,omitempty"`
	Operator  string        `json:"operator"`
	Started   time.Time     `json:"started"`
	Ended     *time.Time    `json:"ended,omitempty"`
}

func batchRowOf(b token.Batch) batchRow {
	r := batchRow{b.ID, b.Profile, "open", b.Wanted, b.Done, b.Uncertain, b.Aside, b.Touch, b.Order, b.Place, b.Budget, b.Ticket, b.Operator, b.Started, nil}
	if !b.Open() {
		r.State, r.Ended = "closed", &b.Ended
	}
	return r
}

func newBatchListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List batches, the newest first", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			all, err := st.Batches(cmd.Context())
			if err != nil {
				return err
			}
			var rows []batchRow
			for _, b := range all {
				rows = append(rows, batchRowOf(b))
			}
			return list(a, "batches", rows, []column[batchRow]{
				{"Batch", func(r batchRow) string { return fmt.Sprint(r.Batch) }},
				{"Profile", func(r batchRow) string { return r.Profile }},
				{"State", func(r batchRow) string { return r.State }},
				{"Done", func(r batchRow) string { return fmt.Sprintf("%d/%d", r.Done, r.Wanted) }},
				{"Uncertain", func(r batchRow) string { return fmt.Sprint(r.Uncertain) }},
				{"Put aside", func(r batchRow) string { return fmt.Sprint(r.Aside) }},
				{"Touch", func(r batchRow) string { return r.Touch }},
				{"Order", func(r batchRow) string { return r.Order }},
				{"Started", func(r batchRow) string { return a.when(r.Started) }},
			})
		},
	}
}

// batchKey is a key of a batch as batch show shows it.
type batchKey struct {
	Position    int          `json:"position,omitempty"`
	Serial      token.Serial `json:"serial,omitempty"`
	StockNumber string       `json:"stock_number,omitempty"`
	PublicID    string       `json:"public_id,omitempty"`
	State       string       `json:"state"` // "done", "uncertain", "put aside"
	Proof       string       `json:"proof,omitempty"`
	Reason      token.Aside  `json:"reason,omitempty"`
	Detail      string       `json:"detail,omitempty"`
	Port        string       `json:"port,omitempty"`
}

// batchShown is a batch with its keys.
type batchShown struct {
	batchRow
	Keys     []batchKey      `json:"keys"`
	Delivery *batch.Delivery `json:"delivery,omitempty"`
}

// withBatch calls do with a batch, the profile as it was when it began, and what its files need, which is asked for before the store opens.
func (a *app) withBatch(ctx context.Context, number string, o closingFlags, do func(st *sqlstore.Store, id token.BatchID, p profile.Profile, ends *closing) error) error {
	id, err := batchNumber(number)
	if err != nil {
		return err
	}
	ends, err := a.prepareClosing(ctx, o)
	if err != nil {
		return err
	}
	defer ends.destroy()
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	b, err := st.Batch(ctx, id)
	if err != nil {
		return batchProblem(err, int64(id))
	}
	p, err := profile.Parse(b.ProfileText)
	if err != nil {
		return err
	}
	return do(st, id, p, ends)
}

func newBatchShowCmd(a *app) *cobra.Command {
	var o closingFlags
	cmd := &cobra.Command{
		Use: "show N", Short: "Show a batch and its keys; make its files again", Args: args(1, 1, "N"),
		Example: "  tokendesk provision batch show 7\n  tokendesk provision batch show 7 --manifest box.json --delivery-note note.csv",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withBatch(cmd.Context(), given[0], o, func(st *sqlstore.Store, id token.BatchID, p profile.Profile, ends *closing) error {
				text, err := st.Manifest(cmd.Context(), id)
				if err != nil {
					return err
				}
				if text == "" && o.manifest != "" {
					return problemf(exitRefused, "batch %d is open, and has no manifest yet", id).hint("close it: tokendesk provision batch close %d", id)
				}
				p.Exports = nil
				return a.leave(cmd.Context(), st, id, p, ends, text)
			})
		},
	}
	o.flags(cmd)
	return cmd
}

func newBatchCloseCmd(a *app) *cobra.Command {
	var o closingFlags
	var uncertain bool
	cmd := &cobra.Command{
		Use: "close N", Short: "Close a batch before it has all keys, and sign its manifest", Args: args(1, 1, "N"),
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withBatch(cmd.Context(), given[0], o, func(st *sqlstore.Store, id token.BatchID, p profile.Profile, ends *closing) error {
				return a.closeBatch(cmd.Context(), st, id, p, ends, uncertain)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&uncertain, "uncertain", false, "also while writes are not settled: those keys are on the manifest as uncertain")
	return cmd
}

// showBatch shows a batch, its keys in the order of their positions, those that were put aside, and how it differs from the note.
func (a *app) showBatch(b token.Batch, items []token.BatchItem, aside []token.PutAside, c *closing) error {
	s := batchShown{batchRow: batchRowOf(b), Keys: []batchKey{}}
	for _, i := range items {
		k := batchKey{Position: i.Position, Serial: i.Serial, StockNumber: i.StockNumber, PublicID: i.PublicID.String(), State: "done", Proof: "none"}
		if i.State != token.ItemDone {
			k.State, k.Proof = "uncertain", ""
		} else if !i.Proven.IsZero() {
			k.Proof = "touch"
		}
		s.Keys = append(s.Keys, k)
	}
	for _, p := range aside {
		s.Keys = append(s.Keys, batchKey{Serial: p.Serial, State: "put aside", Reason: p.Reason, Detail: p.Detail, Port: p.Port})
	}
	if c.notes != nil {
		d := batch.Compare(c.notes, items, aside)
		s.Delivery = &d
		a.say("%s compared with the delivery note: %s missing, %s surplus", batch.StepNote, count(len(d.Missing), "key"), count(len(d.Surplus), "key"))
		a.sayDelivery("missing", d.Missing)
		a.sayDelivery("surplus", d.Surplus)
	}
	if a.format == "json" && c.lines {
		return json.NewEncoder(a.stdout).Encode(struct {
			Schema int        `json:"schema"`
			Batch  batchShown `json:"batch"`
		}{schema, s})
	}
	if a.format == "json" {
		return writeJSON(a.stdout, "batch", s)
	}
	if a.format == "table" {
		a.say("batch %d, profile %s: %d/%d done, %d uncertain, %d put aside; touch: %s", b.ID, printable(b.Profile), b.Done, b.Wanted, b.Uncertain, b.Aside, b.Touch)
	}
	return list(a, "keys", s.Keys, []column[batchKey]{
		{"Position", func(k batchKey) string {
			if k.Position == 0 {
				return ""
			}
			return fmt.Sprint(k.Position)
		}},
		{"Serial", func(k batchKey) string { return k.Serial.String() }},
		{"Stock number", func(k batchKey) string { return k.StockNumber }},
		{"Public ID", func(k batchKey) string { return k.PublicID }},
		{"State", func(k batchKey) string { return k.State }},
		{"Proof", func(k batchKey) string { return k.Proof }},
		{"Reason", func(k batchKey) string { return string(k.Reason) }},
		{"Port", func(k batchKey) string { return k.Port }},
	})
}

// mostSaid is how many serials are said; -o json has all.
const mostSaid = 50

func (a *app) sayDelivery(what string, list []token.Serial) {
	if len(list) == 0 {
		return
	}
	var words []string
	for _, s := range list[:min(len(list), mostSaid)] {
		words = append(words, s.String())
	}
	if len(list) > mostSaid {
		words = append(words, "…")
	}
	a.say("%s: %s", what, strings.Join(words, " "))
}
