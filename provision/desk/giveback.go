package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Return takes a token back from its holder, with a proof that it is here: it is in stock then. An app cannot be handed to anybody
// else: it is revoked. A token without a live credential has nothing to prove it with: it is pending then, to be
// written again. Accounts of its OATH application whose secret its holder may know are revoked; where nothing is left, it is pending too. The errors are *TextError, *LockedError, token.ErrUnsettled and *token.TransitionError.
func (d *Desk) Return(ctx context.Context, query string, codes []string, note string) (token.Token, Proof, error) {
	if err := checkText("note", note, false); err != nil {
		return token.Token{}, "", err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, "", err
	}
	if _, err := t.State.Next(token.Empty); err == nil {
		err := d.Store.Empty(ctx, t.ID, note)
		if !errors.Is(err, token.ErrConflict) { // done, or failed
			return d.changed(ctx, "return", t, true, err)
		}
	}
	if err := allowed("return", t, token.Return); err != nil {
		return t, "", err
	}
	e, proof, err := d.prove(ctx, t, codes, returning)
	if err != nil || proof != Proven {
		return t, proof, err
	}
	ok, err := d.Store.Return(ctx, t.ID, note, e)
	return d.changed(ctx, "return", t, ok, err)
}

// NeedsProof reports whether Return asks for a code of the token that the query names.
func (d *Desk) NeedsProof(ctx context.Context, query string) (bool, error) {
	t, list, err := d.Show(ctx, query)
	if err != nil {
		return false, err
	}
	for _, c := range list {
		if c.State != token.Revoked {
			return true, nil
		}
	}
	_, err = t.State.Next(token.Empty)
	return err != nil, nil
}

// Retire ends a token for ever: given up, destroyed, replaced. It needs no proof.
func (d *Desk) Retire(ctx context.Context, query, note string) (token.Token, error) {
	if err := checkText("note", note, true); err != nil {
		return token.Token{}, err
	}
	t, err := d.Find(ctx, query)
	if err != nil {
		return token.Token{}, err
	}
	if err := d.Store.Retire(ctx, t.ID, note); err != nil {
		return t, fmt.Errorf("retire %s: %w", Name(t), err)
	}
	return d.again(ctx, t)
}
