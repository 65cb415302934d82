package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func newTokenCmd(a *app) *cobra.Command {
	cmd := group("token", "Find, register, issue, prove, block and take back tokens",
		newTokenListCmd(a), newTokenFindCmd(a), newTokenShowCmd(a), newTokenAddCmd(a), newTokenSetCmd(a), newTokenQRCmd(a), newTokenCalibrateCmd(a), newTokenIssueCmd(a), newTokenArriveCmd(a), newTokenCancelShipmentCmd(a), newTokenReceiptsCmd(a), newTokenVerifyCmd(a),
		newTokenResyncCmd(a), newTokenBlockCmd(a), newTokenLostCmd(a), newTokenRestoreCmd(a), newTokenReturnCmd(a), newTokenRetireCmd(a))
	cmd.Long = `Find, register, issue, prove, block and take back tokens.

A QUERY is a serial number, a public ID, a stock number or label, a person's account or name, or a one-time password typed
into its place. More than one hit is an error that lists them, never a guess.

Where a token must be at hand, a code or a one-time password of it is asked for, or read from standard input; where one code is
not enough, the one after it, too. Each counts as used afterwards. Wrong codes are counted as those of a log-in are.`
	return cmd
}

// withDesk opens the store for one act of staff.
func (a *app) withDesk(ctx context.Context, act func(*desk.Desk) error) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	return act(a.desk(st))
}

// withSwept is withDesk for what goes by the state of tokens: what is over is ended first.
func (a *app) withSwept(ctx context.Context, act func(*desk.Desk) error) error {
	return a.withDesk(ctx, func(d *desk.Desk) error {
		if _, err := d.Sweep(ctx); err != nil { // a lost token must be blocked all the same
			a.say("what is over was not ended: %s", oneLine(err))
		}
		return act(d)
	})
}

// queryProblem says that a QUERY fits nothing. The query is not repeated: it may be a one-time password.
func queryProblem(err error) error {
	if errors.Is(err, token.ErrNotFound) {
		return problemf(exitNotFound, "no token fits the query").hint("see: tokendesk token list")
	}
	return err
}

// tokenRow is a token as token list shows it.
type tokenRow struct {
	Serial       token.Serial `json:"serial,omitempty"`
	Label        string       `json:"label,omitempty"`
	Stock        string       `json:"stock_number,omitempty"`
	Model        token.Model  `json:"model"`
	Firmware     string       `json:"firmware,omitempty"`
	State        token.State  `json:"state"`
	Reason       token.Reason `json:"reason,omitempty"`
	Holder       string       `json:"holder,omitempty"`
	Name         string       `json:"name,omitempty"`
	Until        *time.Time   `json:"until,omitempty"`
	Blocked      *time.Time   `json:"blocked_at,omitempty"`
	By           string       `json:"blocked_by,omitempty"`
	Issued       *time.Time   `json:"issued_at,omitempty"`
	Owed         *time.Time   `json:"owed_since,omitempty"`
	Created      time.Time    `json:"created"`
	desk.Remains              // where one token is shown
	Replaced     *tokenRow    `json:"replaced,omitempty"` // by this one, with what was done
}

func tokenOf(t token.Token) tokenRow {
	r := tokenRow{
		Serial: t.Serial, Label: t.Label, Stock: t.StockNumber, Model: t.Model, Firmware: t.Firmware, State: t.State, Reason: t.Reason, Name: t.Name,
		Until: orNil(t.Until), Blocked: orNil(t.BlockedAt), By: t.BlockedBy, Issued: orNil(t.IssuedAt), Owed: orNil(t.Owed), Created: t.Created,
	}
	if t.Holder != nil {
		r.Holder = t.Holder.Account
	}
	return r
}

// orNil is a time for JSON; nil for none.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// stateText is the state with the reason behind it: "lost (stolen)".
func (r tokenRow) stateText() string {
	if r.Reason != "" && string(r.Reason) != string(r.State) {
		return fmt.Sprintf("%s (%s)", r.State, r.Reason)
	}
	return string(r.State)
}

func tokenColumns() []column[tokenRow] {
	return []column[tokenRow]{
		{"Serial", func(r tokenRow) string { return r.Serial.String() }},
		{"Label", func(r tokenRow) string { return r.Label }},
		{"Model", func(r tokenRow) string { return string(r.Model) }},
		{"Firmware", func(r tokenRow) string { return r.Firmware }},
		{"State", tokenRow.stateText},
		{"Holder", func(r tokenRow) string { return r.Holder }},
		{"Since", func(r tokenRow) string { return r.Created.Local().Format(time.DateOnly) }},
		{"Name", func(r tokenRow) string { return r.Name }},
		{"Stock number", func(r tokenRow) string { return r.Stock }},
		{"Until", func(r tokenRow) string { return minute(r.Until) }},
	}
}

// minute is a time as it is read here; "" for none.
func minute(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

func newTokenListCmd(a *app) *cobra.Command {
	var states []string
	var owed bool
	cmd := &cobra.Command{
		Use: "list", Short: "List all tokens, or those in a state", Args: args(0, 0, ""),
		Example: "  tokendesk token list --state in_stock --state shipped\n  tokendesk token list --owed",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range states {
				if !token.State(s).Valid() {
					return usagef("--state %s is unknown", printable(s)).hint("it is one of: %s", strings.Join(stateWords(), ", "))
				}
			}
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				all, err := d.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				var rows []tokenRow
				for _, t := range all {
					if (len(states) == 0 || slices.Contains(states, string(t.State))) && (!owed || !t.Owed.IsZero()) {
						rows = append(rows, tokenOf(t))
					}
				}
				return list(a, "tokens", rows, tokenColumns())
			})
		},
	}
	cmd.Flags().StringArrayVar(&states, "state", nil, "only those in this state (may be repeated)")
	cmd.Flags().BoolVar(&owed, "owed", false, "only those that were replaced and did not come back yet")
	complete(cmd, "state", stateWords()...)
	return cmd
}

func stateWords() []string {
	var words []string
	for _, s := range token.States() {
		words = append(words, string(s))
	}
	return words
}

// tokenWords offers serials, labels and holders.
func (a *app) tokenWords(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if len(given) == 0 {
		// What cannot be read is not offered.
		_ = a.withDesk(cmd.Context(), func(d *desk.Desk) error {
			all, err := d.Tokens(cmd.Context())
			for _, t := range all {
				if word := cmp.Or(t.Serial.String(), t.Label); word != "" {
					words = append(words, word+"\t"+desk.Name(t))
				}
			}
			return err
		})
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// explainDesk: what staff asked for.
func explainDesk(err error, x *explained) bool {
	var several *desk.AmbiguousError
	var text *desk.TextError
	var undo *desk.UndoError
	var locked *desk.LockedError
	switch {
	case errors.As(err, &several):
		x.code = exitAmbiguous
		x.line = fmt.Sprintf("%d tokens fit, and only one can be meant", len(several.Tokens))
		for _, t := range several.Tokens {
			x.hints = append(x.hints, desk.Name(t))
		}
	case errors.Is(err, desk.ErrReason), errors.As(err, &text):
		x.code = exitUsage
	case errors.Is(err, desk.ErrHeld):
		x.code = exitRefused
		x.hints = []string{"take it back first: tokendesk token return QUERY"}
	case errors.Is(err, desk.ErrLink):
		x.code = exitRefused
		x.hints = []string{"whoever has the link and its PIN sees it", "a new link: tokendesk app enroll PERSON --by link"}
	case errors.Is(err, desk.ErrNoClock):
		x.code = exitRefused
	case errors.As(err, &undo):
		x.code = exitRefused
		x.hints = []string{"bring it back with a proof: tokendesk token restore QUERY"}
	case errors.As(err, &locked):
		x.code = exitVerify
		x.line = "too many wrong codes were typed: the next one is looked at from " + locked.Until.Local().Format(time.DateTime)
	default:
		return false
	}
	return true
}
