package main

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
)

// besides is the part of the store that knows what a key has beside its slot.
type besides interface {
	Receipts(ctx context.Context, f desk.ReceiptFilter, most int) ([]token.Receipt, error)
	Credentials(ctx context.Context, id token.ID) ([]token.Credential, error)
	Certificates(ctx context.Context, serial token.Serial) ([]token.Certificate, error)
	History(ctx context.Context, id token.ID, most int) ([]desk.Happened, error)
}

// addBeside adds to a receipt what its key got beside its slot, until it was handed over again; of a key that was not, also what it had
// before and has still. What was taken off it since stays: a copy says what the receipt said.
func addBeside(ctx context.Context, st besides, kept token.Receipt, r *paper.Receipt) error {
	all, err := st.Receipts(ctx, desk.ReceiptFilter{Token: kept.Token}, 0)
	if err != nil {
		return err
	}
	// until is zero where its person has it still.
	var until time.Time
	if i := slices.IndexFunc(all, func(x token.Receipt) bool { return x.Ref() == kept.Ref() }); i > 0 { // the newest is the first
		until = all[i-1].At
	}
	history, err := st.History(ctx, kept.Token, math.MaxInt32)
	if err != nil {
		return err
	}
	if left := leftHolder(history, kept); !left.IsZero() && (until.IsZero() || left.Before(until)) {
		until = left
	}
	then := func(at time.Time, here bool) bool {
		return (until.IsZero() || at.Before(until)) && !at.Before(kept.At) || until.IsZero() && here
	}
	creds, err := st.Credentials(ctx, kept.Token)
	if err != nil {
		return err
	}
	for _, c := range creds {
		live := c.State != token.Pending && c.State != token.Revoked
		if id := c.Settings.Account; id != "" && (live || !c.ProvenAt.IsZero()) && then(c.Created, live) && !slices.Contains(r.Accounts, id) {
			r.Accounts = append(r.Accounts, id)
		}
	}
	if kept.Serial == 0 {
		return nil
	}
	certs, err := st.Certificates(ctx, kept.Serial)
	if err != nil {
		return err
	}
	for _, c := range certs { // of each slot the newest first
		named := slices.ContainsFunc(r.Certificates, func(x paper.Certificate) bool { return x.Slot == c.Slot })
		if then(c.Seen, c.Gone.IsZero()) && !named {
			r.Certificates = append(r.Certificates, paper.Certificate{Slot: c.Slot, Subject: c.Subject, Until: c.NotAfter.Local()})
		}
	}
	return nil
}

// leftHolder is when the person of a receipt gave the key back, or somebody else got it, who may have no receipt; zero: neither happened.
func leftHolder(newestFirst []desk.Happened, kept token.Receipt) time.Time {
	begun := map[token.EntryID]time.Time{} // when the store made what a write puts on the key
	for _, h := range slices.Backward(newestFirst) {
		if !h.At.After(kept.At) {
			continue
		}
		var d struct {
			Entry   token.EntryID
			Account string
		}
		if json.Unmarshal([]byte(h.Detail), &d) != nil {
			continue // it is of another shape, and names nobody
		}
		at := h.At
		if first, known := begun[d.Entry]; known {
			at = first
		} else if d.Entry != 0 {
			begun[d.Entry] = at
		}
		if h.Action == "token.return" || d.Account != "" && d.Account != kept.Account {
			return at
		}
	}
	return time.Time{}
}
