package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

// deskCards is what a desk's profile has put on each key beside its slot.
type deskCards struct {
	want     profile.Profile
	st       *sqlstore.Store
	letters  string   // directory for letters with PINs
	requests string   // directory for certificate requests
	language string   // of the letters
	left     []string // what the operator is told at the end; written by one goroutine at a time
}

// newDeskCards is what the profile wants; nil: nothing.
func (a *app) newDeskCards(o deskOptions, p profile.Profile, store enroller) (*deskCards, error) {
	switch {
	case !p.PIV && o.letters != "":
		return nil, usagef("--pin-letters is for a profile with piv = yes")
	case !p.PIVRequest && o.requests != "":
		return nil, usagef("--requests is for a profile with piv-csr = yes")
	case !p.Cards.Any():
		return nil, nil
	case o.offline:
		return nil, usagef("profile %s puts accounts or PIV on a key, which needs the store: take one without oath and piv", p.Name).
			hint("add them where the store is: tokendesk provision --oath ISSUER:NAME --piv --to PERSON")
	case o.video:
		return nil, usagef("profile %s puts accounts or PIV on a key, which nobody holds before it arrives: take one without oath and piv", p.Name).
			hint("add them when its holder brings it: tokendesk provision --oath ISSUER:NAME --piv --to PERSON")
	case p.PIV && o.letters == "":
		return nil, usagef("profile %s sets PIV up: its PIN is handed over by a letter: --pin-letters DIR", p.Name)
	case p.PIVRequest && o.requests == "":
		return nil, usagef("profile %s has a certificate request made for each key: --requests DIR", p.Name)
	}
	c := &deskCards{want: p, st: store.beside(), letters: o.letters, requests: o.requests, language: cmp.Or(p.Language, "en")}
	for what, dir := range map[string]string{"letters": c.letters, "requests": c.requests} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, problemf(exitError, "the directory for %s cannot be made: %s", what, oneLine(err))
		}
	}
	return c, nil
}

// sayLeft says at the end which keys lack something, and how to finish them.
func (c *deskCards) sayLeft(a *app) {
	if c == nil {
		return
	}
	for _, line := range c.left {
		a.say("%s", line)
	}
}

// errNoCard is a key whose slot could be written, and nothing else.
var errNoCard = errors.New("its smart-card interface is off, or it has none: this desk puts more on a key than its slot")

// takes refuses a key before its slot is written that could not get the rest.
func (c *deskCards) takes(at usbhid.Attached) error {
	if c == nil || at.Model.Interfaces.Has(usbhid.CCID) {
		return nil
	}
	return errNoCard
}

// fits refuses a key before its slot is written whose firmware cannot hold the accounts.
func (c *deskCards) fits(firmware ykslot.Version) error {
	if c == nil || len(c.want.Accounts) == 0 {
		return nil
	}
	return formOf(c.want.AccountForm).fits(firmware)
}

// lacks reports whether a key that somebody holds has not all that it would get here.
func (c *deskCards) lacks(ctx context.Context, have provision.Have, open []token.Entry) (bool, error) {
	if c == nil || have.Token.Holder == nil {
		return false, nil
	}
	if slices.ContainsFunc(open, func(e token.Entry) bool { return e.Serial == have.Serial && e.Slot == 0 }) {
		return true, nil
	}
	form := formOf(c.want.AccountForm)
	for _, a := range c.want.AccountsOf(have.Token.Holder.Account) {
		if !hasAccount(have.Live, form.id(a)) {
			return true, nil
		}
	}
	if !c.want.PIV {
		return false, nil
	}
	whole, err := c.hasPIV(ctx, have.Token)
	return err == nil && !whole, err
}

// hasPIV reports whether the holder of a key has all of PIV that the profile wants.
func (c *deskCards) hasPIV(ctx context.Context, k token.Token) (bool, error) {
	over, err := inTime(ctx, func(ctx context.Context) (bool, error) { return c.handedOver(ctx, k) })
	if err != nil || !over || !c.want.PIVSelfSigned {
		return over, err
	}
	certs, err := inTime(ctx, func(ctx context.Context) ([]token.Certificate, error) { return c.st.Certificates(ctx, k.Serial) })
	return slices.ContainsFunc(certs, func(x token.Certificate) bool { return x.Slot == c.want.PIVSlot && x.Gone.IsZero() }), err
}

// handedOver reports whether PIV of a key was set up to its end since its holder got it, with the letter, and not wiped after that.
func (c *deskCards) handedOver(ctx context.Context, k token.Token) (bool, error) {
	var since time.Time // of a key without receipt: ever
	got, err := c.st.Receipts(ctx, desk.ReceiptFilter{Token: k.ID}, 1)
	if err != nil {
		return false, err
	}
	if len(got) > 0 {
		since = got[0].At
	}
	return c.st.PIVHandedOver(ctx, k.Serial, since)
}

func hasAccount(live []token.Credential, id string) bool {
	return slices.ContainsFunc(live, func(c token.Credential) bool { return c.Settings.Account == id && c.State != token.Pending })
}

// options are the flags of provision that say the same for somebody's key.
func (c *deskCards) options(d appointment.Done, letter, request string) (provisionOptions, error) {
	o := plainCards()
	o.to, o.overwrite, o.reason = d.Account, c.want.Overwrite, c.want.Reason
	o.piv.letter.file, o.piv.letter.language, o.piv.key.csr = letter, c.language, request
	err := o.byCards(c.want.Cards, d.Account, func(flag string) bool { return flag == "piv-csr" && request != "" })
	return o, err
}

// equipment is one run on one key.
type equipment struct {
	s      *station
	job    appointment.Job
	done   appointment.Done
	card   string // "oath" or "piv"
	text   string // what was said last
	o      provisionOptions
	on     appointment.Cards
	letter string
	csr    string // the file of the request
}

// equip puts on a key that was issued what the profile wants beside its slot. What fails takes nothing back: it is said how to finish it.
func (s *station) equip(ctx context.Context, e appointment.Equip) any {
	x := &equipment{s: s, job: e.Job, done: e.Done}
	if s.cards.want.PIV {
		x.letter = filepath.Join(s.cards.letters, fmt.Sprintf("pin-%s-%s.txt", e.Done.Serial, s.a.now().Format("20060102-150405")))
	}
	var err error
	held := s.holding()
	if s.cards.want.PIVRequest {
		x.csr = s.requestFile(ctx, e.Done)
	}
	x.o, err = s.cards.options(e.Done, x.letter, x.csr)
	switch {
	case err != nil:
	case !e.Held || held == nil || held.serial != e.Done.Serial:
		err = errNotHeld
	default:
		at := held.attached
		s.free("") // its card is reached in another way
		if err = x.run(ctx); err == nil {
			s.holdAgain(ctx, at)
		}
	}
	if err != nil {
		x.on.Why, x.on.Finish = x.why(ctx, err), x.finish(ctx, err)
		key := "key " + e.Done.Serial.String()
		s.cards.left = append(s.cards.left, fmt.Sprintf("%s of %s: %s; to finish it: %s",
			key, printable(e.Done.Account), strings.TrimPrefix(strings.TrimPrefix(x.on.Why, key+", "), key+": "), strings.Join(x.on.Finish, "; then: ")))
	}
	return appointment.Equipped{Job: e.Job, Cards: x.on}
}

// requestFile is where the request for a key is put: one file for each time that it was handed over, so that a run which finishes one that was
// interrupted finds what that left.
func (s *station) requestFile(ctx context.Context, d appointment.Done) string {
	r := paper.Receipt{Number: d.Receipt}
	if kept, err := s.store.ReceiptOf(ctx, d.Token); err == nil {
		r.Number = kept.Ref()
	}
	name := "request-" + d.Serial.String() + "-" + s.cards.want.PIVSlot
	if r.Number != "" {
		name += "-" + receiptFile(r)
	}
	return filepath.Join(s.cards.requests, name+".pem")
}

// holdAgain takes the keyboard of a key that is still there, so that its touches type nowhere until it is pulled out.
func (s *station) holdAgain(ctx context.Context, at usbhid.Attached) {
	s.mu.Lock()
	now, in := s.ports[at.Path]
	s.mu.Unlock()
	if !in || now.Address != at.Address {
		return
	}
	k, err := openKey(ctx, s.a, at, s.transport)
	if err != nil {
		return // it is issued, and what it types now is ignored
	}
	if k.dev == nil {
		k.close()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = k
}

// run takes the steps of the command, one after the other.
func (x *equipment) run(ctx context.Context) error {
	p, _, err := x.s.store.PersonHolds(ctx, x.done.Account)
	if err != nil {
		return err
	}
	w := cardWork{
		app: x.app(), st: x.s.cards.st, ledger: x.s.store, choice: choice{serial: uint32(x.done.Serial), transport: string(auto)}, holder: &p,
		foreign: x.o.overwrite == string(provision.Foreign), reason: x.o.reason, yes: true,
		did: func(account string) { x.on.Accounts = append(x.on.Accounts, account) },
	}
	x.card = "oath"
	if x.done.Recovered {
		if err := x.settle(ctx, w); err != nil {
			return err
		}
	}
	accounts, err := x.o.oathSteps()
	if err != nil {
		return err
	}
	x.o.piv.key.reason = x.o.reason
	last, err := x.o.piv.steps(x.done.Account)
	if err != nil {
		return err
	}
	for _, step := range accounts {
		if err := step(ctx, w); err != nil {
			return err
		}
	}
	x.card = "piv"
	if err := x.o.piv.ready(ctx, w); err != nil {
		return err
	}
	for _, step := range last {
		if err := step(ctx, w); err != nil {
			return err
		}
		x.on.PIV, x.on.Letter, x.on.Request = true, x.letter, x.csr
	}
	return nil
}

// settle ends what an interruption left of accounts on this key. What is on it then, accounts and PIV, is not put there again.
func (x *equipment) settle(ctx context.Context, w cardWork) error {
	entries, err := x.s.store.Open(ctx)
	defer destroyEntries(entries)
	if err != nil {
		return err
	}
	r := resumption{a: w.app, st: w.st, choice: w.choice}
	for _, e := range entries {
		if e.Serial != x.done.Serial || e.Slot != 0 {
			continue
		}
		if _, err := r.settleAccount(ctx, e); err != nil {
			return err
		}
	}
	k, live, err := x.s.store.Slots(ctx, x.done.Serial)
	defer destroyLive(provision.Have{Live: live})
	if err != nil {
		return err
	}
	if x.o.piv.on {
		if x.on.PIV, err = x.s.cards.hasPIV(ctx, k); err != nil {
			return err
		}
		if x.on.PIV { // its holder has the letter, and its key may have a certificate of the authority by now
			x.o.piv = plainCards().piv
		}
	}
	x.o.oath = slices.DeleteFunc(x.o.oath, func(a string) bool {
		id := x.o.form.id(a)
		on := hasAccount(live, id)
		if on {
			x.on.Accounts = append(x.on.Accounts, id)
		}
		return on
	})
	if len(x.o.oath) == 0 {
		x.o.form = usualForm()
	}
	return nil
}

// app is the program for these steps: what it says is told as events, and nobody is asked.
func (x *equipment) app() *app {
	e := *x.s.a.env
	e.stdin, e.stdout, e.stderr = strings.NewReader(""), io.Discard, x
	e.stdinTTY, e.stdoutTTY, e.stderrTTY = false, false, false
	e.blinks = func() { x.tell(true) }
	return &app{env: &e, format: "table", store: x.s.a.store, key: x.s.a.key}
}

// Write implements io.Writer for what the steps say.
func (x *equipment) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		if x.text = string(bytes.TrimSpace(line)); x.text != "" {
			x.tell(false)
		}
	}
	return len(b), nil
}

func (x *equipment) tell(blinks bool) {
	x.s.post(appointment.Carded{Job: x.job, Card: x.card, Text: printable(x.text), Blinks: blinks})
}

func (x *equipment) why(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return "it was stopped"
	}
	return explain(err).line
}

// finish are the commands that do what is left: first an account of which is not known whether the key has it.
func (x *equipment) finish(ctx context.Context, err error) (out []string) {
	done := slices.Clone(x.on.Accounts)
	var u *provision.UncertainError
	open := errors.Is(err, token.ErrUnsettled)
	if errors.As(err, &u) && u.Entry.Slot == 0 {
		open, done = true, append(done, u.Entry.Credential.Settings.Account)
	}
	entries, _ := x.s.store.Open(context.WithoutCancel(ctx)) // if it does not answer, resume says so
	for _, e := range entries {
		open = open || e.Serial == x.done.Serial && e.Slot == 0
	}
	destroyEntries(entries)
	if open {
		out = append(out, "tokendesk provision resume --serial "+x.done.Serial.String())
	}
	rest := commandLine{"tokendesk", "provision"}
	for _, a := range x.o.oath {
		if !slices.Contains(done, x.o.form.id(a)) {
			rest.add("--oath", a, "")
		}
	}
	if len(rest) > 2 {
		x.o.form.words(&rest)
	}
	if x.o.piv.on && !x.on.PIV {
		rest.on("--piv", true)
		x.o.piv.key.words(&rest)
		x.o.piv.letter.words(&rest)
	}
	if len(rest) == 2 {
		return out
	}
	if x.o.overwrite == string(provision.Foreign) {
		rest.add("--overwrite", x.o.overwrite, "")
		rest.add("--reason", x.o.reason, "")
	}
	rest.add("--to", x.done.Account, "")
	rest.add("--serial", x.done.Serial.String(), "")
	return append(out, rest.String())
}
