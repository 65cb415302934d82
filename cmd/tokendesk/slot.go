package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

func newSlotCmd(a *app) *cobra.Command {
	return group("slot", "Write, change and ask the slots of a YubiKey",
		newSlotProgramCmd(a), newSlotSettingsCmd(a), newSlotSwapCmd(a), newSlotEraseCmd(a), newSlotNDEFCmd(a), newSlotScanMapCmd(a),
		newSlotChallengeCmd(a), newSlotCodeCmd(a), newSlotListCmd(a), newSlotShowCmd(a))
}

// oneSlot is how the operator names a slot of a key.
type oneSlot struct {
	choice
	slot int
}

func (o *oneSlot) flags(cmd *cobra.Command, a *app) {
	cmd.Flags().IntVar(&o.slot, "slot", 0, "slot 1 (short touch) or 2 (long touch)")
	complete(cmd, "slot", "1", "2")
	o.choice.flags(cmd, a)
}

func (o oneSlot) check() error { return checkSlot(o.slot) }

// checkSlot looks at --slot.
func checkSlot(slot int) error {
	switch slot {
	case 1, 2:
		return nil
	case 0:
		return usagef("--slot is missing: it is 1 (short touch) or 2 (long touch)")
	}
	return usagef("--slot is 1 (short touch) or 2 (long touch)")
}

// held is a key at hand and what the store knows of it.
type held struct {
	st   *sqlstore.Store
	k    *key
	have provision.Have
}

// hold opens store and key for f, unless something is left unsettled on the key.
func (a *app) hold(ctx context.Context, c *choice, f func(held) error) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	k, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer k.close()
	for _, slot := range []token.Slot{1, 2} {
		if err := refuseUnsettled(ctx, st, k, slot); err != nil {
			return err
		}
	}
	have, err := lookUp(ctx, st, k)
	if err != nil {
		return err
	}
	defer destroyLive(have)
	return f(held{st, k, have})
}

// in is the live credential that the store knows in a slot, or nil.
func (h held) in(slot int) *token.Credential {
	for i := range h.have.Live {
		if h.have.Live[i].Slot == token.Slot(slot) {
			return &h.have.Live[i]
		}
	}
	return nil
}

// change carries out a change of slots.
func (a *app) change(ctx context.Context, h held, c token.SlotChange, current secret.Bytes) error {
	slot := c.Slot
	if slot == 0 {
		slot = 1
	}
	r := a.runner(h.st, slot, kindIn(c))
	r.Progress = nil
	var record provision.Changes = h.st
	if h.have.Token.ID == 0 {
		record = stranger{h.st}
	}
	return r.Change(ctx, record, h.k.device(), c, current)
}

// kindIn is what the slot holds that a change concerns, as we know; "": nothing of ours.
func kindIn(c token.SlotChange) token.Kind {
	if c.Credential == nil {
		return ""
	}
	return c.Credential.Kind
}

// stranger records what is done to a key that the store has never seen: nothing goes by it, so the audit chain is enough.
type stranger struct{ st *sqlstore.Store }

// BeginChange implements provision.Changes.
func (s stranger) BeginChange(ctx context.Context, c token.SlotChange) (token.SlotChange, error) {
	return c, s.st.NoteSlot(ctx, c.Serial, string(c.Work), c.Slot, c.Reason)
}

// EndChange implements provision.Changes.
func (s stranger) EndChange(context.Context, token.ChangeID) error { return nil }

// DropChange implements provision.Changes.
func (s stranger) DropChange(context.Context, token.ChangeID, string) error { return nil }

// accessCode reads a code of 12 hexadecimal digits from a file, or for "-" from the terminal or standard input; "" is none.
func (a *app) accessCode(ctx context.Context, file, what string) (secret.Bytes, error) {
	return decodedCode(a.sharedSecret(ctx, file, what))
}

// newAccessCode is accessCode for one that is to be set. At a terminal it is typed twice: a slot with a mistyped code is lost.
func (a *app) newAccessCode(ctx context.Context, file string) (secret.Bytes, error) {
	return decodedCode(a.newSecret(ctx, file, "the new access code", nil))
}

// decodedCode destroys the text.
func decodedCode(text secret.Bytes, err error) (secret.Bytes, error) {
	defer text.Destroy()
	if err != nil || text.Len() == 0 {
		return secret.Bytes{}, err
	}
	return hexSecret(text, ykslot.AccessCodeLen, "an access code")
}

// hexSecret decodes hexadecimal text of n bytes; 0: of any number.
func hexSecret(text secret.Bytes, n int, what string) (secret.Bytes, error) {
	raw := make([]byte, hex.DecodedLen(text.Len()))
	_, err := hex.Decode(raw, text.Reveal())
	if err != nil || len(raw) == 0 || n > 0 && len(raw) != n {
		clear(raw)
		if n == 0 {
			return secret.Bytes{}, usagef("%s is written in hexadecimal", what)
		}
		return secret.Bytes{}, usagef("%s is %d hexadecimal digits", what, 2*n)
	}
	return secret.New(raw), nil
}

const (
	currentCodeFlag = "current-code-file"
	currentCodeText = "file with the access code of a slot that is not ours, in hexadecimal; - asks for it or reads standard input"
)

// explainSlot: a change of slots that is open, or was refused.
func explainSlot(err error, x *explained) bool {
	var u *provision.UnsettledError
	var invalid *ykslot.InvalidError
	switch {
	case errors.As(err, &u):
	case errors.As(err, &invalid):
		x.code = exitRefused
		return true
	default:
		return false
	}
	cause := explain(u.Err)
	x.code = cause.code
	x.line = fmt.Sprintf("key %s: the %s is not settled: %s", u.Change.Serial, u.Change.Work, cause.line)
	if errors.Is(u.Err, context.Canceled) {
		x.line = fmt.Sprintf("key %s: interrupted in the middle of the %s", u.Change.Serial, u.Change.Work)
	}
	x.hints = append(cause.hints, fmt.Sprintf("finish it with the key attached: tokendesk provision resume --serial %s", u.Change.Serial))
	return true
}

// slotHints are the ways on from a refusal.
func slotHints(r *provision.RefusedError) []string {
	switch {
	case errors.Is(r, provision.ErrNoRecord):
		return []string{"name all flags, or give those that are not named their defaults: --reset"}
	case errors.Is(r, provision.ErrCodeGuards):
		return []string{fmt.Sprintf("tokendesk slot access-code remove --slot %d", r.Slot)}
	case errors.Is(r, provision.ErrNoCode):
		return []string{"for a slot that is not ours: --" + currentCodeFlag + " FILE"}
	case errors.Is(r, provision.ErrHasCode):
		return []string{fmt.Sprintf("tokendesk slot access-code change --slot %d", r.Slot)}
	case errors.Is(r, provision.ErrNotUpdatable):
		return []string{fmt.Sprintf("write it anew: tokendesk slot program --slot %d", max(r.Slot, 1))}
	case errors.Is(r, provision.ErrHidden):
		return []string{"leave serial-api-visible on, or on in the other slot"}
	}
	return nil
}
