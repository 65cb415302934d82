package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// shownRemains are r as they are printed.
func shownRemains(r desk.Remains) desk.Remains {
	r.Revoked, r.Certificates = slices.Clone(r.Revoked), slices.Clone(r.Certificates)
	for i := range r.Revoked {
		r.Revoked[i] = printable(r.Revoked[i])
	}
	for i := range r.Certificates {
		c := &r.Certificates[i]
		c.Number, c.Issuer, c.Subject = printable(c.Number), printable(c.Issuer), printable(c.Subject)
	}
	return r
}

// sayRemains says what ended with a token, what no server of ours can kill, and what is to be wiped.
func (a *app) sayRemains(t token.Token, r desk.Remains) {
	for _, account := range r.Revoked {
		a.say("account %q of it is revoked: its former holder may know the secret, or codes of times to come", account)
	}
	for _, c := range r.Certificates {
		a.say("%s", certificateLine(c))
	}
	if slices.Contains(r.Wipe, desk.WipeOATH) {
		a.say("before somebody else gets it, wipe its accounts: tokendesk oath reset --serial %s", t.Serial)
	}
	if slices.Contains(r.Wipe, desk.WipePIV) {
		a.say("before somebody else gets it, wipe its PIV application: tokendesk piv reset --serial %s --reason returned", t.Serial)
	}
}

// certificateLine is a certificate, and what makes it worthless.
func certificateLine(c desk.LiveCertificate) string {
	kind := "certificate"
	if c.SelfSigned {
		kind = "self-signed certificate"
	}
	return fmt.Sprintf("%s %s of %s in slot %s: %s", kind, c.Number, c.Issuer, c.Slot, c.Do)
}

// handedOn is what remains of a key that went from its holder to somebody else, without being taken back. The zero value: it did not.
type handedOn struct {
	From string `json:"former_holder,omitempty"` // account
	desk.Remains
}

// handedOn tells, and says, what remains of a token if it has another holder than before. before are its live credentials then, made is the
// PIV slot whose key was made for the new one, "": none. What cannot be read is said: the key is written all the same.
func (a *app) handedOn(ctx context.Context, st *sqlstore.Store, was token.Token, before []token.Credential, made string) (out handedOn) {
	if was.Holder == nil {
		return out
	}
	d := a.desk(st)
	now, err := d.Find(ctx, desk.ByID(was.ID))
	if err == nil && now.Holder != nil && now.Holder.ID == was.Holder.ID {
		return out
	}
	var r desk.Remains
	if err == nil {
		r, err = d.RemainsOf(ctx, now, before)
	}
	if err != nil {
		a.say("what remains of %s for its former holder is not known (%s): tokendesk token show", desk.Name(was), oneLine(err))
	}
	r.Certificates = slices.DeleteFunc(r.Certificates, func(c desk.LiveCertificate) bool { return c.Slot == made })
	out = handedOn{printable(was.Holder.Account), shownRemains(r)}
	a.say("%s was %s's before", desk.Name(was), out.From)
	a.sayRemains(now, out.Remains)
	return out
}

// rowWith is a token with what remains of it.
func rowWith(t token.Token, r desk.Remains) tokenRow {
	row := tokenOf(t)
	row.Remains = shownRemains(r)
	return row
}

// showEnded shows a token that was blocked or given up, and says what remains of it.
func (a *app) showEnded(ctx context.Context, d *desk.Desk, t token.Token) error {
	r, err := d.Remains(ctx, t)
	row := rowWith(t, r)
	a.sayRemains(t, row.Remains)
	return a.showSettled(ctx, d, row, err, t)
}

// showBack shows a token that is accepted again, or that may be some day.
func (a *app) showBack(ctx context.Context, d *desk.Desk, t token.Token) error {
	r, err := d.Remains(ctx, t)
	return a.showSettled(ctx, d, rowWith(t, r), err, t)
}

// showSettled shows a token as it is here, and then sees to the targets of all that changed with it. unread is why something is missing in
// the row.
func (a *app) showSettled(ctx context.Context, d *desk.Desk, row tokenRow, unread error, changed ...token.Token) error {
	shown := errors.Join(unread, show(a, "token", row, tokenColumns())) // nobody may read it, and the targets are asked all the same
	var settled error
	for _, t := range changed {
		settled = errors.Join(settled, a.settleTargets(ctx, d, t))
	}
	if settled != nil {
		return settled
	}
	return shown
}
