package desk

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Bind hands over a key from stock by one touch: the OTP says which key it is. It is Issue, by the OTP, with the receipt.
func (d *Desk) Bind(ctx context.Context, otp string, i Issue) (token.Token, token.Receipt, Proof, error) {
	i.Codes = []string{otp}
	t, proof, err := d.Issue(ctx, otp, i)
	if err != nil || proof != Proven {
		return t, token.Receipt{}, proof, err
	}
	r, err := d.ReceiptOf(ctx, t.ID)
	return t, r, proof, err
}

// ReceiptOf is the newest receipt of a token; token.ErrNotFound if it was never handed over with an identity check.
func (d *Desk) ReceiptOf(ctx context.Context, id token.ID) (token.Receipt, error) {
	list, err := d.Store.Receipts(ctx, ReceiptFilter{Token: id}, 1)
	if err == nil && len(list) == 0 {
		err = token.ErrNotFound
	}
	if err != nil {
		return token.Receipt{}, fmt.Errorf("receipt: %w", err)
	}
	return list[0], nil
}

// Receipts are the newest first, most of them at most (0: all).
func (d *Desk) Receipts(ctx context.Context, f ReceiptFilter, most int) ([]token.Receipt, error) {
	return d.Store.Receipts(ctx, f, most)
}

// Holds are the tokens that a person could be asked about before another one is given: those that are not given up, by number.
// What to do then, a second one, a replacement (Issue.Replace, token.Handover.Replace) or nothing, the operator says.
func (d *Desk) Holds(ctx context.Context, account string) ([]token.Token, error) {
	_, list, err := d.Person(ctx, account)
	return slices.DeleteFunc(list, func(t token.Token) bool { return t.State == token.Revoked }), err
}

// Owed are the tokens that were replaced and did not come back yet.
func (d *Desk) Owed(ctx context.Context) ([]token.Token, error) { return d.Store.Owed(ctx) }

// SettleOwed notes that a replaced token is back, or is not waited for any more. token.ErrConflict if it is not owed.
func (d *Desk) SettleOwed(ctx context.Context, query, note string) (token.Token, error) {
	if err := checkText("note", note, false); err != nil {
		return token.Token{}, err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return t, err
	}
	if err := d.Store.SettleOwed(ctx, t.ID, note); err != nil {
		return t, fmt.Errorf("settle %s: %w", Name(t), err)
	}
	return d.again(ctx, t)
}
