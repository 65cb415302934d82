package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// shipment is a hand-over output, shown once: the number is told to the person.
type shipment struct {
	Number  string       `json:"number"`
	Until   time.Time    `json:"until"`
	Receipt string       `json:"receipt"`
	Serial  token.Serial `json:"serial,omitempty"`
	Label   string       `json:"label,omitempty"`
	Account string       `json:"account"`

	Replaced *tokenRow `json:"replaced,omitempty"` // by this one
}

func (a *app) ship(ctx context.Context, query string, s desk.Ship) error {
	return a.withSwept(ctx, func(d *desk.Desk) error {
		if _, err := d.Store.Person(ctx, s.To); errors.Is(err, token.ErrNotFound) {
			return noPerson(s.To)
		} else if err != nil {
			return err
		}
		old, err := toReplace(ctx, d, &s.Replace)
		if err != nil {
			return err
		}
		out, err := d.Ship(ctx, query, s)
		if err != nil {
			return queryProblem(err)
		}
		defer out.Number.Destroy()
		a.say("%s is shipped; the number is shown once: tell it to %s over the call", desk.Name(out.Token), printable(s.To))
		row := shipment{string(out.Number.Reveal()), out.Until, out.Receipt.Ref(), out.Token.Serial, out.Token.Label, s.To, nil}
		var unread error
		if old.ID != 0 {
			row.Replaced, unread = a.replaced(ctx, d, old)
			old.State = token.Revoked
		}
		shown := show(a, "shipment", row, []column[shipment]{
			{"Number", func(s shipment) string { return s.Number }},
			{"Until", func(s shipment) string { return a.when(s.Until) }},
			{"Receipt", func(s shipment) string { return s.Receipt }},
			{"Serial", func(s shipment) string { return s.Serial.String() }},
			{"Label", func(s shipment) string { return s.Label }},
			{"Person", func(s shipment) string { return s.Account }},
		})
		if old.ID != 0 {
			unread = errors.Join(a.settleTargets(ctx, d, old), unread)
		}
		return errors.Join(shown, unread)
	})
}

func newTokenArriveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "arrive QUERY", Short: "Make a shipped token active: its holder touches it and tells the number", Args: args(1, 1, "QUERY"),
		Long: `Make a token active that came by post: its holder has it in the hand and types a code or one-time password of it, and the six digits
that were told over the call or stand in the letter. Five wrong numbers end it; tokendesk token issue --ship makes another one.

Without a terminal the code and then the number are lines of standard input.`,
		Example: "  tokendesk token arrive 12345678", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				t, err := d.Find(cmd.Context(), given[0])
				if err != nil {
					return queryProblem(err)
				}
				codes, number, err := a.askArrival(cmd.Context())
				if err != nil {
					return err
				}
				t, proof, err := d.Arrive(cmd.Context(), desk.ByID(t.ID), codes, number)
				switch {
				case err != nil:
					return err
				case proof == desk.NumberOver:
					return problemf(exitVerify, "%s is not active: %s", desk.Name(t), proof).hint("another number: tokendesk token issue QUERY --to PERSON --id-check video --ship")
				case proof != desk.Proven:
					return proofProblem(t, "is not active", proof)
				}
				a.say("%s has arrived: it is active", desk.Name(t))
				return a.showBack(cmd.Context(), d, t)
			})
		},
	}
}

// askArrival asks for a code and the number; without a terminal the number is the last of two or three lines.
func (a *app) askArrival(ctx context.Context) (codes []string, number string, err error) {
	if a.stdinTTY {
		text, err := a.askOTP(ctx, "Touch the key, or type the code that the token shows (it is not shown here):")
		if err != nil {
			return nil, "", err
		}
		number, err = a.askOTP(ctx, "The number of six digits (it is not shown here):")
		return []string{text}, number, err
	}
	lines, err := until(ctx, func() (out []string, err error) {
		in := bufio.NewScanner(io.LimitReader(a.stdin, maxTyped))
		for len(out) < 3 && in.Scan() {
			if text := strings.TrimSpace(in.Text()); text != "" {
				out = append(out, text)
			}
		}
		return out, in.Err()
	})
	if err == nil && len(lines) < 2 {
		err = usagef("standard input should hold a one-time password or code, and then the number, each on a line")
	}
	if err != nil {
		return nil, "", err
	}
	return lines[:len(lines)-1], lines[len(lines)-1], nil
}

func newTokenCancelShipmentCmd(a *app) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use: "cancel-shipment QUERY", Short: "End what is in the post: the number is dead, and the token is blocked", Args: args(1, 1, "QUERY"),
		Long:    `End what is in the post: the number is dead, and the token is blocked as lost. When it comes back: tokendesk token return.`,
		Example: "  tokendesk token cancel-shipment 12345678 --note 'wrong address'", ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withSwept(cmd.Context(), func(d *desk.Desk) error {
				t, err := d.CancelShipment(cmd.Context(), given[0], note)
				if errors.Is(err, token.ErrConflict) {
					return problemf(exitRefused, "%s is not on its way", desk.Name(t)).hint("see: tokendesk token list --state shipped")
				}
				if err != nil {
					return queryProblem(err)
				}
				a.say("%s is not waited for any more; it is %s", desk.Name(t), t.State)
				return a.showEnded(cmd.Context(), d, t)
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "kept in the audit chain")
	return cmd
}

// receiptRow is a receipt as token receipts shows it.
type receiptRow struct {
	Number     string        `json:"receipt"`
	Kind       string        `json:"kind"`
	At         time.Time     `json:"at"`
	Serial     token.Serial  `json:"serial,omitempty"`
	Label      string        `json:"label,omitempty"`
	PublicID   string        `json:"public_id,omitempty"`
	Account    string        `json:"account"`
	IDCheck    token.IDCheck `json:"id_check"`
	Operator   string        `json:"operator"`
	Replaces   string        `json:"replaces,omitempty"`
	Checkpoint int64         `json:"checkpoint"`
	Hash       string        `json:"hash"`
}

func newTokenReceiptsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "receipts [QUERY]", Short: "List what was handed over: to whom, by whom, after which identity check", Args: args(0, 1, "QUERY"),
		Long:              `List receipts, the newest first. Each names the event of the audit chain that records it, and its hash, as they stand on the paper.`,
		ValidArgsFunction: a.tokenWords,
		RunE: func(cmd *cobra.Command, given []string) error {
			return a.withDesk(cmd.Context(), func(d *desk.Desk) error {
				var f desk.ReceiptFilter
				if len(given) == 1 {
					t, err := d.Find(cmd.Context(), given[0])
					if err != nil {
						return queryProblem(err)
					}
					f.Token = t.ID
				}
				all, err := d.Receipts(cmd.Context(), f, 0)
				if err != nil {
					return err
				}
				rows := make([]receiptRow, len(all))
				for i, r := range all {
					rows[i] = receiptRow{r.Ref(), string(r.Kind), r.At, r.Serial, r.Label, r.PublicID.String(), r.Account, r.IDCheck, r.Operator, r.Replaces, r.Checkpoint, r.Hash}
				}
				return list(a, "receipts", rows, []column[receiptRow]{
					{"Receipt", func(r receiptRow) string { return r.Number }},
					{"Kind", func(r receiptRow) string { return r.Kind }},
					{"At", func(r receiptRow) string { return a.when(r.At) }},
					{"Serial", func(r receiptRow) string { return r.Serial.String() }},
					{"Label", func(r receiptRow) string { return r.Label }},
					{"Public ID", func(r receiptRow) string { return r.PublicID }},
					{"Person", func(r receiptRow) string { return r.Account }},
					{"Identity", func(r receiptRow) string { return string(r.IDCheck) }},
					{"Operator", func(r receiptRow) string { return r.Operator }},
					{"Replaces", func(r receiptRow) string { return r.Replaces }},
				})
			})
		},
	}
}
