package desk

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/token"
)

// IDCheck is how the person was known when a token was handed over.
type IDCheck = token.IDCheck

// The identity checks: see package token.
const (
	ByStaffCard    = token.ByStaffCard
	ByNationalID   = token.ByNationalID
	ByPassport     = token.ByPassport
	ByAcquaintance = token.ByAcquaintance
	ByVideo        = token.ByVideo
)

// IDChecks lists them.
func IDChecks() []IDCheck { return token.IDChecks() }

// Issue says to whom a token goes.
type Issue struct {
	To      string // account
	IDCheck IDCheck
	Codes   []string // one, or two that follow each other
	Replace string   // query of the person's token that this one replaces, which is revoked; "": none
	Note    string
}

// Issue hands the token that the query names to a person, with a proof that it is the one in the hand: the query and the code must
// agree. A token in stock may be used for the first time in years: a code far from its time, or far ahead of its counter, is NeedSecond.
// With OtherToken the token that comes back is the one in stock that the code is of, or the named one if the code is nobody's. The
// errors are *TextError, token.ErrNotFound, ErrHeld, *LockedError and *token.TransitionError.
func (d *Desk) Issue(ctx context.Context, query string, i Issue) (token.Token, Proof, error) {
	if !slices.Contains(IDChecks(), i.IDCheck) {
		return token.Token{}, "", &TextError{"id-check", "staff-card, national-id, passport, known and video are possible"}
	}
	if err := checkText("note", i.Note, false); err != nil {
		return token.Token{}, "", err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, "", err
	}
	h, err := d.handing(ctx, "issue", token.Issue, t, i)
	if err != nil {
		return t, "", err
	}
	e, proof, err := d.prove(ctx, t, i.Codes, issuing)
	if err == nil && (proof == WrongCode || proof == OtherToken) {
		return d.whose(ctx, t, i.Codes)
	}
	if err != nil || proof != Proven {
		return t, proof, err
	}
	ok, err := d.Store.Issue(ctx, t.ID, h, e)
	return d.changed(ctx, "issue", t, ok, err)
}

// handing checks what can be checked before the proof.
func (d *Desk) handing(ctx context.Context, verb string, event token.Event, t token.Token, i Issue) (Handing, error) {
	h := Handing{IDCheck: i.IDCheck, Note: i.Note}
	if err := allowed(verb, t, event); err != nil {
		return h, err
	}
	p, err := d.Store.Person(ctx, i.To)
	if err != nil {
		return h, fmt.Errorf("holder: %w", err)
	}
	h.To = p.ID
	if t.Holder != nil && t.Holder.ID != p.ID {
		return h, fmt.Errorf("%s %s: %w", verb, Name(t), ErrHeld)
	}
	if i.Replace == "" {
		return h, nil
	}
	old, err := d.Find(ctx, i.Replace)
	switch {
	case err != nil:
		return h, fmt.Errorf("token to be replaced: %w", err)
	case old.ID == t.ID:
		return h, &TextError{"replace", "names the token that is issued"}
	case old.Holder == nil || old.Holder.ID != p.ID:
		return h, &TextError{"replace", "names a token that this person does not hold"}
	}
	h.Replace = old.ID
	return h, allowed("replace", old, token.Revoke)
}
