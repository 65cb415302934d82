package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// lookUp asks key and store what the plan starts from. The caller destroys the secrets by destroyLive.
func lookUp(ctx context.Context, st *sqlstore.Store, k *key) (provision.Have, error) {
	have := provision.Have{Serial: k.serial, Version: k.version(), InUse: k.inUse()}
	if k.serial == 0 { // the plan refuses it
		return have, nil
	}
	var err error
	have.Token, have.Live, err = st.Slots(ctx, k.serial)
	if errors.Is(err, token.ErrNotFound) {
		err = nil
	}
	return have, err
}

// refuseUnsettled refuses a slot that an interruption left open: what it holds is not known, so no plan can be made.
func refuseUnsettled(ctx context.Context, st *sqlstore.Store, k *key, slot token.Slot) error {
	entries, err := st.Open(ctx)
	if err != nil {
		return err
	}
	defer destroyEntries(entries)
	for _, e := range entries {
		if e.Serial == k.serial && e.Slot == slot {
			return fmt.Errorf("%s, slot %d: %w", k.name(), slot, token.ErrUnsettled)
		}
	}
	return refuseOpenChange(ctx, st, k)
}

// refuseOpenChange is the same for what is done to slots beside writing them.
func refuseOpenChange(ctx context.Context, st *sqlstore.Store, k *key) error {
	changes, err := st.OpenChanges(ctx)
	if err != nil {
		return err
	}
	defer destroyChanges(changes)
	for _, c := range changes {
		if c.Serial == k.serial {
			return fmt.Errorf("%s: %w", k.name(), token.ErrUnsettled)
		}
	}
	return nil
}

func destroyChanges(changes []token.SlotChange) {
	for _, c := range changes {
		c.Destroy()
	}
}

func destroyLive(have provision.Have) {
	for _, c := range have.Live {
		c.Secrets.Destroy()
	}
}

// sayPlan says what will happen before it happens.
func (a *app) sayPlan(k *key, p provision.Plan) {
	what := map[provision.Class]string{
		provision.Empty:   "is empty",
		provision.Ours:    "holds a key of this store, which is replaced",
		provision.Factory: "seems to hold the key from the factory, which is lost",
		provision.Foreign: "holds something of others, which is lost",
	}[p.Class]
	a.say("%s (%s, firmware %v): slot %d %s", k.name(), a.mark(printable(productName(k.attached))), k.version(), p.Reservation.Slot, what)
	for _, n := range p.Notes {
		a.say("note: %s", n)
	}
}

// touches says how each slot is touched. Source: reference yubikey-otp.md §2.
var touches = map[token.Slot]string{1: "touch it shortly", 2: "touch it and hold for three seconds"}

// runner is a Runner that talks, about a slot that holds or gets a kind of credential.
func (a *app) runner(st provision.Ledger, slot token.Slot, kind token.Kind) *provision.Runner {
	touch, proof := touches[slot], "proven by touch"
	if kind == token.ChallengeResponse { // it is the host that asks a slot
		touch, proof = "touch it", "proven by the answer to a challenge"
	}
	return &provision.Runner{
		Ledger: st, Rand: a.rand, Now: a.now, TouchWait: a.touchWait,
		Progress: func(s provision.Step) {
			switch s {
			case provision.StepSealed:
				a.say("a fresh secret is safe in the store")
			case provision.StepWritten:
				a.say("slot %d is written and was read back", slot)
			case provision.StepTouch:
				a.say("now the key blinks: %s", touch)
			case provision.StepProven:
				a.say("%s", proof)
			}
		},
		Mispress: func(why provision.Mispress) { a.say("%s; once more: %s", why, touch) },
	}
}

// quiet keeps a touch from being read as a command, where the transport cannot keep it from the desktop. The caller calls
// restore when the touch is over.
func (a *app) quiet(k *key) (restore func()) {
	if k.dev == nil { // its presses are read where people type, unseen
		return func() {}
	}
	if g, ok := k.dev.(interface{ Grabbed() bool }); !ok || g.Grabbed() {
		return func() {}
	}
	a.say("note: this user may not grab the key's keyboard, so what it types also reaches the window in front: keep this one there")
	if !a.stdinTTY {
		return func() {}
	}
	return a.hush()
}

// written is one slot write as provision and resume show it.
type written struct {
	Serial     token.Serial      `json:"serial"`
	Slot       token.Slot        `json:"slot"`
	Account    string            `json:"account,omitempty"` // of the OATH application, with slot 0
	Kind       token.Kind        `json:"kind"`
	PublicID   string            `json:"public_id"`
	Outcome    provision.Outcome `json:"outcome"`
	Holder     string            `json:"holder,omitempty"`
	AccessCode string            `json:"access_code"` // "kept in the store" or "none": never the code
	Proof      string            `json:"proof"`
	handedOn
}

func writtenOf(r provision.Result) written {
	if r.Entry.Slot == 0 {
		return writtenAccount(r)
	}
	w := written{
		Serial: r.Entry.Serial, Slot: r.Entry.Slot, Kind: r.Entry.Credential.Kind, PublicID: r.Entry.Credential.TypedID(), Outcome: r.Outcome,
		AccessCode: "none", Proof: "the first good one-time password",
	}
	if r.Entry.Holder != nil {
		w.Holder = r.Entry.Holder.Account
	}
	if r.HasCode {
		w.AccessCode = "kept in the store"
	}
	if r.Proof != nil {
		w.Proof = proofText(r)
	} else if k := r.Entry.Credential.Kind; k == token.Static || k == token.ChallengeResponse {
		w.Proof = "none"
	}
	if r.Outcome == provision.Undone {
		w.Holder, w.AccessCode = "", "as before"
		if r.Proof == nil {
			w.Proof = "nothing was sent to the key"
		}
	}
	return w
}

// proofText says how the slot proved what it holds. Of an undone write that is the former credential.
func proofText(r provision.Result) string {
	c := r.Entry.Credential
	if r.Outcome == provision.Undone && r.Entry.Former != nil {
		c = *r.Entry.Former
	}
	switch c.Kind {
	case token.HOTP:
		return fmt.Sprintf("touch, moving factor %d", r.Proof.Moving)
	case token.ChallengeResponse:
		return "the answer to a challenge"
	case token.Static:
		return "touch"
	}
	by := "touch"
	if r.Entry.Credential.Counters.Use >= 0 { // of the new credential, before its proof
		by = "one-time password that a server saw"
	}
	return fmt.Sprintf("%s, counters %d/%d", by, r.Proof.Use, r.Proof.Session)
}

func writtenColumns() []column[written] {
	return []column[written]{
		{"Serial", func(w written) string { return w.Serial.String() }},
		{"Slot", func(w written) string { return cmp.Or(w.Account, fmt.Sprint(w.Slot)) }},
		{"Kind", func(w written) string { return string(w.Kind) }},
		{"Public ID", func(w written) string { return w.PublicID }},
		{"Outcome", func(w written) string { return string(w.Outcome) }},
		{"Holder", func(w written) string { return w.Holder }},
		{"Access code", func(w written) string { return w.AccessCode }},
		{"Proof", func(w written) string { return w.Proof }},
	}
}

// showWritten shows what became of a write, and what of the key that it may have taken from somebody; was and before are as for handedOn.
func (a *app) showWritten(ctx context.Context, st *sqlstore.Store, r provision.Result, was token.Token, before []token.Credential) error {
	w := writtenOf(r)
	w.handedOn = a.handedOn(ctx, st, was, before, "")
	return show(a, "provisioned", w, writtenColumns())
}
