package desk

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The bounds of the number that goes with a token in the post.
//
// Guessing: a number is one of 10^6 and takes ShipTries tries, each of which needs a fresh OTP or code of the very token, odds of 5e-6;
// then it is dead, and staff give out another one.
const (
	DefaultShipTime = 14 * 24 * time.Hour
	MaxShipTime     = 90 * 24 * time.Hour
	ShipTries       = 5
	shipDigits      = 6
)

// Further outcomes of Arrive.
const (
	WrongNumber Proof = "the number is not the one that was told"
	NumberOver  Proof = "the number is not good any more: it was tried too often, has expired or was cancelled"
)

// Ship says to whom a token goes by post.
type Ship struct {
	To      string // account
	IDCheck IDCheck
	Replace string        // as of Issue
	Valid   time.Duration // of the number; 0: DefaultShipTime
	Note    string
}

// Posting is a Ship as the store keeps it. Of Number it keeps a keyed hash.
type Posting struct {
	Handing
	Number secret.Bytes
	Until  time.Time
}

// Shipment is what Ship made: Number is told to the person over the call, and stands in the letter if the site wants that. It is shown
// once; the caller destroys it.
type Shipment struct {
	Token   token.Token
	Number  secret.Bytes // six decimal digits
	Until   time.Time
	Receipt token.Receipt
}

// Handovers keeps receipts and what is in the post.
type Handovers interface {
	// Ship binds a token to a person without making it valid: shipped, with the hash of a number. One that is shipped to the same
	// person already gets another number, and the former is dead. ErrHeld while somebody else, or, unless it is shipped, anybody
	// holds it.
	Ship(ctx context.Context, id token.ID, p Posting) error
	// Arrive makes a shipped token active, if the evidence is newer than what is stored (NotNewer) and the number is right (WrongNumber,
	// which counts a try) and good (NumberOver). Newer evidence is spent whatever the number is.
	Arrive(ctx context.Context, id token.ID, number string, e Evidence) (Proof, error)
	// CancelShipment ends the number of a shipped token and blocks the token as lost. token.ErrConflict if nothing is on its way.
	CancelShipment(ctx context.Context, id token.ID, note string) error
	// Receipts are the newest first, most of them at most (0: all): those that fit every field of the filter that is not zero.
	Receipts(ctx context.Context, f ReceiptFilter, most int) ([]token.Receipt, error)
	// Owed are the tokens that were replaced and did not come back yet, by number.
	Owed(ctx context.Context) ([]token.Token, error)
	// SettleOwed notes that what was owed is back or is not waited for any more; token.ErrConflict if it is not owed.
	SettleOwed(ctx context.Context, id token.ID, note string) error
}

// ReceiptFilter selects receipts; zero fields select all.
type ReceiptFilter struct {
	Token  token.ID
	Person token.PersonID
	Number int64 // with Station
	// Station is that of a journal; "" with Number is the store's own.
	Station string
}

// Ship sends the token that the query names to a person by post. It is of no use on the way: it becomes active by Arrive. No proof is asked
// for: it was proven when it was written, or is when it arrives. The errors are *TextError, token.ErrNotFound, ErrHeld,
// *token.TransitionError and token.ErrUnsettled.
func (d *Desk) Ship(ctx context.Context, query string, s Ship) (Shipment, error) {
	s.Valid = orDefault(s.Valid, DefaultShipTime)
	if !slices.Contains(IDChecks(), s.IDCheck) {
		return Shipment{}, &TextError{"id-check", "staff-card, national-id, passport, known and video are possible"}
	}
	if s.Valid < time.Hour || s.Valid > MaxShipTime {
		return Shipment{}, &TextError{"valid", "an hour to 90 days are possible"}
	}
	if err := checkText("note", s.Note, false); err != nil {
		return Shipment{}, err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return Shipment{}, err
	}
	h, err := d.handing(ctx, "ship", token.Ship, t, Issue{To: s.To, IDCheck: s.IDCheck, Replace: s.Replace, Note: s.Note})
	if err != nil {
		return Shipment{}, err
	}
	number, err := drawDigits(d.Rand, shipDigits)
	if err != nil {
		return Shipment{}, err
	}
	out := Shipment{Number: number, Until: d.Now().Add(s.Valid)}
	if err = d.Store.Ship(ctx, t.ID, Posting{h, number, out.Until}); err != nil {
		err = fmt.Errorf("ship %s: %w", Name(t), err)
	} else if out.Token, err = d.again(ctx, t); err == nil {
		out.Receipt, err = d.ReceiptOf(ctx, t.ID)
	}
	if err != nil {
		number.Destroy()
		return Shipment{}, err
	}
	return out, nil
}

// Arrive is how a shipped token becomes active: a touch or code of it, and the number. Blanks in the number do not count. The errors are
// *LockedError and *token.TransitionError for a token that is not on its way.
func (d *Desk) Arrive(ctx context.Context, query string, codes []string, number string) (token.Token, Proof, error) {
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, "", err
	}
	if err := allowed("activate", t, token.Arrive); err != nil {
		return t, "", err
	}
	e, proof, err := d.prove(ctx, t, codes, issuing)
	if err != nil || proof != Proven {
		return t, proof, err
	}
	proof, err = d.Store.Arrive(ctx, t.ID, strings.Join(strings.Fields(number), ""), e)
	if err != nil || proof != Proven {
		if err != nil {
			err = fmt.Errorf("activate %s: %w", Name(t), err)
		}
		return t, proof, err
	}
	return d.changed(ctx, "activate", t, true, nil)
}

// CancelShipment ends what is on its way: the number is dead, and the token is blocked as lost until it is back (token return).
func (d *Desk) CancelShipment(ctx context.Context, query, note string) (token.Token, error) {
	if err := checkText("note", note, false); err != nil {
		return token.Token{}, err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return t, err
	}
	if err := d.Store.CancelShipment(ctx, t.ID, note); err != nil {
		return t, fmt.Errorf("cancel the shipment of %s: %w", Name(t), err)
	}
	return d.again(ctx, t)
}

// drawDigits draws n decimal digits, each as likely as the others. The caller destroys them.
func drawDigits(random io.Reader, n int) (secret.Bytes, error) {
	out := make([]byte, 0, n)
	for len(out) < n {
		b, err := secret.Random(random, 1)
		if err != nil {
			clear(out)
			return secret.Bytes{}, err
		}
		if v := b.Reveal()[0]; v < 250 {
			out = append(out, '0'+v%10)
		}
		b.Destroy()
	}
	return secret.New(out), nil
}
