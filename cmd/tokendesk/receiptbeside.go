package main

import (
	"context"
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
}

// addBeside adds to a receipt what its key got beside its slot, until it was handed over again; of a key that was not, also what it had
// before and has still. What was taken off it since stays: a copy says what the receipt said.
func addBeside(ctx context.Context, st besides, kept token.Receipt, r *paper.Receipt) error {
	all, err := st.Receipts(ctx, desk.ReceiptFilter{Token: kept.Token}, 0)
	if err != nil {
		return err
	}
	// until is zero where nobody else has it.
	var until time.Time
	if i := slices.IndexFunc(all, func(x token.Receipt) bool { return x.Ref() == kept.Ref() }); i > 0 { // the newest is the first
		until = all[i-1].At
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
