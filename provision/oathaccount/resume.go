package oathaccount

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
)

// resumeWindow is how many codes ahead of the store an HOTP account may be: each run that was interrupted behind a calculation took one.
const resumeWindow = 20

// Resume settles an open entry of an account with its key, on which e.Credential carries its secrets. The key says what it holds:
//
//	no such account                         write the same sealed secret
//	the code of the new credential          commit: nothing is written again
//	the code of the former credential       write the same sealed secret
//	nothing without a touch                 as the former one's code if that asks for a touch and the new one does not, else as another
//	another code, and it may be lost        write the same sealed secret
//	another code                            give up: the account is not ours; the error wraps ErrNotOurs
//
// A second secret is never drawn. An entry of which nothing was sent to the key is given up, and needs no card.
func (r *Runner) Resume(ctx context.Context, card Card, e token.Entry) (provision.Result, error) {
	if !e.Phase.Uncertain() {
		if err := r.Ledger.Abort(ctx, e.ID, e.Phase, "interrupted before writing", nil); err != nil {
			return provision.Result{}, err
		}
		return provision.Result{Entry: e, Outcome: provision.Undone}, nil
	}
	on, err := find(ctx, card, e.Credential.Settings.Account)
	if err != nil {
		return provision.Result{}, uncertain(e, err)
	}
	replace := on != nil
	if replace {
		var proof token.Counters
		whose := nobodys
		if on.Kind == e.Credential.Kind { // the other kind is not asked: that might use up a code of somebody's
			proof, whose, err = r.ask(ctx, card, e, resumeWindow)
		}
		if errors.Is(err, oathapplet.ErrTouchTimeout) && !e.Credential.Settings.Touch { // the new one asks for none
			whose, err = nobodys, nil
			if e.Former != nil && e.Former.Kind == on.Kind && e.Former.Settings.Touch {
				whose = formerOnes
			}
		}
		otherKind := e.Former != nil && e.Former.Kind == on.Kind && on.Kind != e.Credential.Kind
		switch {
		case err != nil:
			return provision.Result{}, uncertain(e, err)
		case whose == newOnes:
			r.passed(provision.StepProven)
			return r.commit(context.WithoutCancel(ctx), e, &proof)
		case whose == nobodys && e.Overwrite == "" && !otherKind:
			refused := &provision.RefusedError{Serial: e.Serial, Detail: fmt.Sprintf("%q", e.Credential.Settings.Account), Class: provision.Foreign, Err: ErrNotOurs}
			return provision.Result{}, r.abort(ctx, e, refused)
		}
	}
	res, err := r.write(ctx, card, e, replace)
	res.Rewritten = true
	return res, err
}
