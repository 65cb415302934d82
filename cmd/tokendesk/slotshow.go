package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

// slotRow is a slot as the store knows it.
type slotRow struct {
	Serial       token.Serial `json:"serial"`
	Slot         token.Slot   `json:"slot"`
	Kind         token.Kind   `json:"kind"`
	Mode         string       `json:"mode"`
	PublicID     string       `json:"public_id,omitempty"` // as it is typed: public ID or token identifier
	State        token.State  `json:"state"`
	Holder       string       `json:"holder,omitempty"`
	Flags        string       `json:"flags,omitempty"`
	Names        string       `json:"flag_names,omitempty"`
	Digits       int          `json:"digits,omitempty"`
	MovingFactor *int64       `json:"moving_factor,omitempty"` // of the last code
	AccessCode   bool         `json:"access_code"`
	ProvenAt     *time.Time   `json:"proven_at,omitempty"`
	Created      time.Time    `json:"created"`
	NDEF         string       `json:"ndef,omitempty"`      // as the key was told last
	ScanMap      string       `json:"scan_map,omitempty"`  // of the whole key, if it was ever set here
	Unsettled    []string     `json:"unsettled,omitempty"` // which of these
}

func slotOf(t token.Token, c token.Credential) slotRow {
	f := provision.FlagsOf(c.Settings)
	r := slotRow{
		Serial: t.Serial, Slot: c.Slot, Kind: c.Kind, Mode: f.Mode().String(), PublicID: c.TypedID(), State: c.State, Digits: c.Settings.Digits,
		AccessCode: c.Settings.HasAccessCode, ProvenAt: orNil(c.ProvenAt), Created: c.Created, Flags: flagBytes(f), Names: flagNames(f, c.Kind),
	}
	if f == (ykslot.Flags{}) { // it came in a file, which does not tell
		r.Mode, r.Flags, r.Names = "", "", ""
	}
	if c.State == token.Active { // as far as the key itself is
		r.State = t.State
	}
	if c.Kind == token.HOTP {
		r.MovingFactor = &c.Counters.Moving
	}
	if t.Holder != nil {
		r.Holder = t.Holder.Account
	}
	return r
}

func slotColumns() []column[slotRow] {
	return []column[slotRow]{
		{"Serial", func(r slotRow) string { return r.Serial.String() }},
		{"Slot", func(r slotRow) string { return fmt.Sprint(r.Slot) }},
		{"Kind", func(r slotRow) string { return string(r.Kind) }},
		{"Public ID", func(r slotRow) string { return r.PublicID }},
		{"State", func(r slotRow) string { return string(r.State) }},
		{"Access code", func(r slotRow) string { return yesNo(r.AccessCode) }},
		{"Flags", func(r slotRow) string { return r.Flags }},
		{"Holder", func(r slotRow) string { return r.Holder }},
	}
}

func newSlotListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list [QUERY]", Short: "List what the store knows of slots", Args: args(0, 1, "QUERY"), ValidArgsFunction: a.tokenWords,
		Long: "List the live credentials in slots: of every key, or of the one that QUERY finds. A key tells only whether a slot is in use.",
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSlots(cmd.Context(), given, func(rows []slotRow) error { return list(a, "slots", rows, slotColumns()) })
		},
	}
}

// withSlots reads what is known of slots, and says what is not settled.
func (a *app) withSlots(ctx context.Context, query []string, act func([]slotRow) error) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	rows, err := slotRows(ctx, a.desk(st), query)
	if err != nil {
		return err
	}
	var serial token.Serial
	if len(query) == 1 {
		if serial, err = a.serialOf(ctx, st, query[0]); err != nil { // found, but no YubiKey
			return act(rows)
		}
	}
	settings, err := st.KeySettings(ctx, serial)
	if err != nil {
		return err
	}
	for _, s := range settings {
		if s.Open {
			a.say("key %s: %s", s.Serial, unsettledText(s))
		}
		for i := range rows {
			rows[i].take(s)
		}
	}
	return act(rows)
}

// take has a row tell a setting of its key or slot.
func (r *slotRow) take(s token.KeySetting) {
	if r.Serial != s.Serial || s.Slot != 0 && s.Slot != r.Slot {
		return
	}
	text := printable(s.Text)
	if s.Open {
		r.Unsettled = append(r.Unsettled, string(s.What))
		text += ", not settled"
	}
	if s.What == token.ScanMap {
		r.ScanMap = text
	} else {
		r.NDEF = text
	}
}

// slotRows are the live credentials in slots, of all keys or of one.
func slotRows(ctx context.Context, d *desk.Desk, query []string) ([]slotRow, error) {
	tokens, err := d.Store.Tokens(ctx, desk.Match{})
	if len(query) == 1 {
		var one token.Token
		one, _, err = d.Show(ctx, query[0])
		tokens, err = []token.Token{one}, queryProblem(err)
	}
	if err != nil {
		return nil, err
	}
	var rows []slotRow
	for _, t := range tokens {
		if t.Model != token.YubiKey {
			continue
		}
		list, err := d.Store.Credentials(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if c.Slot != 0 && c.Kind != token.PIV && c.State != token.Revoked {
				rows = append(rows, slotOf(t, c))
			}
		}
	}
	return rows, nil
}

func newSlotShowCmd(a *app) *cobra.Command {
	var slot int
	cmd := &cobra.Command{
		Use: "show QUERY", Short: "Show everything that the store knows of one slot", Args: args(1, 1, "QUERY"), ValidArgsFunction: a.tokenWords,
		Example: "  tokendesk slot show 12345678 --slot 2",
		RunE: func(cmd *cobra.Command, given []string) error {
			if err := (oneSlot{slot: slot}).check(); err != nil {
				return err
			}
			return a.withSlots(cmd.Context(), given, func(rows []slotRow) error {
				for _, r := range rows {
					if r.Slot == token.Slot(slot) {
						return a.showSlot(r)
					}
				}
				return problemf(exitNotFound, "the store knows nothing of that slot").hint("what a key tells: tokendesk device info")
			})
		},
	}
	cmd.Flags().IntVar(&slot, "slot", 0, "slot 1 or 2")
	complete(cmd, "slot", "1", "2")
	return cmd
}

func (a *app) showSlot(r slotRow) error {
	columns := append(slotColumns(), []column[slotRow]{
		{"Mode", func(r slotRow) string { return r.Mode }},
		{"On", func(r slotRow) string { return r.Names }},
		{"Digits", func(r slotRow) string { return orEmpty(r.Digits) }},
		{"Moving factor", func(r slotRow) string {
			if r.MovingFactor == nil || *r.MovingFactor < 0 {
				return ""
			}
			return fmt.Sprint(*r.MovingFactor)
		}},
		{"Proven", func(r slotRow) string {
			if r.ProvenAt == nil {
				return "no"
			}
			return a.when(*r.ProvenAt)
		}},
		{"Since", func(r slotRow) string { return a.when(r.Created) }},
	}...)
	for _, more := range []struct{ title, text string }{{"NDEF", r.NDEF}, {"Scan map", r.ScanMap}} {
		if more.text != "" {
			columns = append(columns, column[slotRow]{more.title, func(slotRow) string { return more.text }})
		}
	}
	return show(a, "slot", r, columns)
}

// showSlots lists what a key has after it was changed, or would have without a slot; 0: without none.
func (a *app) showSlots(ctx context.Context, st *sqlstore.Store, serial token.Serial, without token.Slot) error {
	k, live, err := st.Slots(ctx, serial)
	if errors.Is(err, token.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return err
	}
	rows := []slotRow{}
	for _, c := range live {
		if c.Slot != 0 && c.Slot != without {
			rows = append(rows, slotOf(k, c))
		}
		c.Secrets.Destroy()
	}
	return list(a, "slots", rows, slotColumns())
}
