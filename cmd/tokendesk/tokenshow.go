package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// lastEvents is how much of a token's history is shown.
const lastEvents = 10

// credentialRow is a credential as token show shows it: no secret, and only whether there is an access code.
type credentialRow struct {
	Slot       token.Slot  `json:"slot,omitempty"`
	Account    string      `json:"account,omitempty"` // in the OATH application, instead of a slot
	Kind       token.Kind  `json:"kind"`
	PublicID   string      `json:"public_id,omitempty"`
	State      token.State `json:"state"`
	Validates  bool        `json:"validates"`
	Caution    int         `json:"caution,omitempty"`
	Counters   string      `json:"counters,omitempty"`
	NearEnd    bool        `json:"near_end,omitempty"` // the use counter is almost used up
	Moving     *int64      `json:"moving_factor,omitempty"`
	Drift      *int64      `json:"drift_steps,omitempty"`
	Clock      string      `json:"clock,omitempty"`
	AccessCode bool        `json:"access_code"`
	ProvenAt   *time.Time  `json:"proven_at,omitempty"`
	Created    time.Time   `json:"created"`
}

func credentialOf(c token.Credential) credentialRow {
	r := credentialRow{
		Slot: c.Slot, Account: printable(c.Settings.Account), Kind: c.Kind, PublicID: c.TypedID(), State: c.State, Validates: c.Enabled && c.Kind.Validates(), Caution: c.Caution,
		AccessCode: c.Settings.HasAccessCode, ProvenAt: orNil(c.ProvenAt), Created: c.Created,
	}
	if c.Counters.Use >= 0 {
		r.Counters = fmt.Sprintf("%d/%d", c.Counters.Use, c.Counters.Session)
		r.NearEnd = c.Counters.Use >= validate.NearEnd
	}
	if c.Counters.Moving >= 0 {
		r.Moving, r.Counters = &c.Counters.Moving, fmt.Sprint(c.Counters.Moving)
	}
	if c.Kind == token.TOTP {
		r.Drift, r.Clock = &c.Counters.Clock.Drift, clockText(c.Counters.Clock, c.Settings.Period)
	}
	return r
}

// clockText is what is known of a token's clock: "2m0s slow", "right" or "not known".
func clockText(c token.Clock, period time.Duration) string {
	off := time.Duration(c.Drift) * period
	switch {
	case c.At.IsZero() && off == 0:
		return "not known"
	case off == 0:
		return "right"
	case off < 0:
		return fmt.Sprintf("%v slow", -off)
	}
	return fmt.Sprintf("%v fast", off)
}

// shownToken is a token with everything on it, and what happened to it last.
type shownToken struct {
	tokenRow
	Genuine     string          `json:"genuine,omitempty"`        // whether it is, if somebody asked
	Kept        []string        `json:"kept,omitempty"`           // names of secrets that guard its applications
	StillValid  []string        `json:"still_valid_at,omitempty"` // targets, although it is blocked or given up here
	Credentials []credentialRow `json:"credentials"`
	Events      []desk.Happened `json:"events"`
}

func newTokenShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show QUERY", Short: "Show one token, everything on it, and what happened to it last", Args: args(1, 1, "QUERY"),
		Example: "  tokendesk token show 12345678\n  tokendesk token show ada -o json", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				t, credentials, err := d.Show(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				events, err := d.Store.History(cmd.Context(), t.ID, lastEvents)
				if err != nil {
					return err
				}
				proof, err := d.Store.Attestation(cmd.Context(), t.Serial)
				if err != nil && !errors.Is(err, token.ErrNotFound) {
					return err
				}
				rows := make([]credentialRow, len(credentials))
				for i, c := range credentials {
					rows[i] = credentialOf(c)
				}
				r, err := d.Remains(cmd.Context(), t)
				if err != nil {
					return err
				}
				kept, err := d.Store.Escrowed(cmd.Context(), t.Serial)
				if err != nil {
					return err
				}
				pushes, err := d.PushStatus(cmd.Context(), desk.ByID(t.ID))
				if err != nil {
					return err
				}
				return a.showToken(shownToken{rowWith(t, r), attestText(proof), escrowNames(kept), stillValid(pushes), rows, events})
			})
		},
	}
}

// escrowNames are the names of what is kept, in the order of the kinds.
func escrowNames(kept []token.EscrowKind) (names []string) {
	for _, kind := range token.EscrowKinds() {
		if slices.Contains(kept, kind) {
			names = append(names, escrowName(kind))
		}
	}
	return names
}

// stillValid are the names of the targets that may accept a token which is blocked or given up here, each once.
func stillValid(pushes []desk.Push) (names []string) {
	for _, p := range pushes {
		if name := printable(p.Target.Name); p.StillValid() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// countersText warns of a key that stops soon.
func countersText(c credentialRow) string {
	if c.NearEnd {
		return c.Counters + ": almost used up, replace it"
	}
	return c.Counters
}

// showToken: comma-separated values are those of the credentials alone.
func (a *app) showToken(t shownToken) error {
	if a.format == "json" {
		return writeJSON(a.stdout, "token", t)
	}
	if a.format == "table" {
		columns := tokenColumns()
		for _, more := range [][2]string{
			{"Genuine", t.Genuine}, {"Kept in the store", strings.Join(t.Kept, ", ")}, {"Still valid at", strings.Join(t.StillValid, ", ")},
		} {
			if more[1] != "" {
				columns = append(columns, column[tokenRow]{more[0], func(tokenRow) string { return more[1] }})
			}
		}
		if err := show(a, "token", t.tokenRow, columns); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.stdout); err != nil {
			return err
		}
	}
	err := list(a, "credentials", t.Credentials, []column[credentialRow]{
		{"Slot", func(c credentialRow) string { return cmp.Or(c.Account, strings.TrimPrefix(fmt.Sprint(c.Slot), "0")) }},
		{"Kind", func(c credentialRow) string { return string(c.Kind) }},
		{"Public ID", func(c credentialRow) string { return c.PublicID }},
		{"State", func(c credentialRow) string { return string(c.State) }},
		{"Validates", func(c credentialRow) string {
			if c.Caution > 0 {
				return "not trusted yet"
			}
			return yesNo(c.Validates)
		}},
		{"Counters", countersText},
		{"Access code", func(c credentialRow) string { return yesNo(c.AccessCode) }},
		{"Since", func(c credentialRow) string { return c.Created.Local().Format(time.DateOnly) }},
		{"Clock", func(c credentialRow) string { return c.Clock }},
	})
	if err == nil && a.format == "table" && len(t.Certificates) > 0 {
		err = a.listCertificates(t.Certificates)
	}
	if err != nil || a.format != "table" || len(t.Events) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(a.stdout); err != nil {
		return err
	}
	return list(a, "events", t.Events, []column[desk.Happened]{
		{"At", func(h desk.Happened) string { return h.At.Local().Format(time.DateTime) }},
		{"By", func(h desk.Happened) string { return h.Actor }},
		{"What", func(h desk.Happened) string { return h.Action }},
		{"Detail", func(h desk.Happened) string { return h.Detail }},
	})
}
