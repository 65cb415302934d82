package provision

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// CodeChange is what becomes of a slot's access code.
type CodeChange string

// The changes of access codes.
const (
	CodeKept    CodeChange = "" // as it is
	CodeSet     CodeChange = "set"
	CodeRemoved CodeChange = "remove"
)

// UpdateSpec is what the operator wants of an update.
type UpdateSpec struct {
	Slot       token.Slot
	Kind       token.Kind   // of a slot without record, "" if only what every kind has is to be set
	Set, Clear ykslot.Flags // of those that an update can change
	Complete   bool         // Set and Clear name every flag: no record is needed
	Code       CodeChange
	NewCode    secret.Bytes // CodeSet
	Current    secret.Bytes // the access code of a slot without record; empty: none
	Reason     string
}

// Difference is a flag that an update switches.
type Difference struct {
	Toggle Toggle
	To     bool
}

// The reasons to refuse a change, beside those of a plan.
var (
	ErrNoRecord     = errors.New("nothing is known of what the slot holds")
	ErrSlotEmpty    = errors.New("the slot is empty")
	ErrNotUpdatable = errors.New("the slot was written without ALLOW_UPDATE")
	ErrCodeGuards   = errors.New("an access code guards a slot")
	ErrNoCode       = errors.New("the slot has no access code that is known")
	ErrHasCode      = errors.New("the slot has an access code already")
	ErrSame         = errors.New("the slot is so already")
)

// BuildUpdate decides about an update. Flags cannot be read back and an update writes all of them, so those that are not named are
// taken from the record. The error is a *RefusedError.
func BuildUpdate(want UpdateSpec, have Have) (token.SlotChange, []Difference, error) {
	c, err := begin(token.Update, want.Slot, want.Reason, have)
	if err != nil {
		return c, nil, err
	}
	refuse := refusal(want.Slot, have)
	if detail := otherKind(want.Kind, c.Credential); detail != "" {
		return c, nil, refuse(detail, ErrBadSpec)
	}
	before := FlagsOf(token.Settings{})
	known := c.Credential != nil && FlagsOf(c.Credential.Settings) != ykslot.Flags{}
	switch {
	case known:
		before = FlagsOf(c.Credential.Settings)
		if !updatable(c.Credential) {
			return c, nil, refuse("write it anew: slot program", ErrNotUpdatable)
		}
	case !want.Complete:
		return c, nil, refuse("an update writes every flag: name all of them", ErrNoRecord)
	}
	after := merge(before, want.Set, want.Clear)
	if err := updateFlags(want, c.Credential, after, have); err != nil {
		return c, nil, err
	}
	had := c.Credential != nil && c.Credential.Settings.HasAccessCode
	switch {
	case want.Code == CodeRemoved && c.Credential != nil && !had, want.Code == CodeRemoved && c.Credential == nil && want.Current.IsZero():
		return c, nil, refuse("", ErrNoCode)
	case want.Code == CodeSet && (want.NewCode.Len() != ykslot.AccessCodeLen || want.NewCode.IsZero()):
		return c, nil, refuse("an access code has 6 bytes, not all of them zero", ErrBadSpec)
	case want.Code != CodeKept:
		if err := ykslot.FeatureUpdateAccessCode.Supported(have.Version); err != nil {
			return c, nil, refuse("write the slot anew: slot program", err)
		}
	}
	if c.Credential != nil {
		c.After = c.Credential.Settings
	}
	setFlags(&c.After, after)
	switch want.Code {
	case CodeSet:
		c.Code = want.NewCode
	case CodeKept:
		c.Code = guardOf(c, want.Current)
	}
	c.After.HasAccessCode = c.Code.Len() > 0
	diffs := differences(before, after, known)
	if len(diffs) == 0 && known && want.Code == CodeKept {
		return c, nil, refuse("", ErrSame)
	}
	return c, diffs, nil
}

// otherKind says why a slot does not hold what it is said to hold; "" if it may.
func otherKind(said token.Kind, c *token.Credential) string {
	switch {
	case said == "":
	case !slices.Contains(SlotKinds(), said):
		return fmt.Sprintf("a slot cannot hold %s", said)
	case c != nil && c.Kind != said:
		return fmt.Sprintf("the slot holds %s of ours, not %s", c.Kind, said)
	}
	return ""
}

// updateFlags checks the flags that are wanted.
func updateFlags(want UpdateSpec, c *token.Credential, after ykslot.Flags, have Have) error {
	refuse := refusal(want.Slot, have)
	named := merge(want.Set, want.Clear, ykslot.Flags{})
	kind := want.Kind
	if c != nil {
		kind = c.Kind
	}
	for _, t := range Toggles() {
		if !t.On(named) {
			continue
		}
		if !t.Update {
			return refuse(fmt.Sprintf("%s can only be written with the slot: slot program", t.Name), ErrBadSpec)
		}
		if t.On(want.Set) && kind != "" && !t.Goes(kind) {
			return refuse(fmt.Sprintf("%s does not go with %s", t.Name, kind), ErrBadSpec)
		}
	}
	if err := (ykslot.Config{Flags: updateBits(after, kind)}).Supported(have.Version); err != nil {
		return refuse("", err)
	}
	if after.Ext&ykslot.Dormant != 0 && after.Ext&ykslot.AllowUpdate == 0 {
		return refuse("a dormant slot without allow-update could never be woken", ErrBadSpec)
	}
	other := live(have, 3-want.Slot)
	if after.Ext&ykslot.SerialAPIVisible == 0 && (other == nil || FlagsOf(other.Settings).Ext&ykslot.SerialAPIVisible == 0) {
		return refuse("", ErrHidden)
	}
	return nil
}

// updateBits are those that an update sends: in challenge-response the bits of pacing mean something else, also where the flags of a slot are
// not known, and so do not tell the kind. Source: reference yubikey-otp.md §3.2.
func updateBits(f ykslot.Flags, kind token.Kind) ykslot.Flags {
	if f = ykslot.UpdateFlags(f); kind == token.ChallengeResponse {
		f.Config = 0
	}
	return f
}

func differences(before, after ykslot.Flags, known bool) []Difference {
	var out []Difference
	for _, t := range Toggles() {
		if t.Update && (!known || t.On(before) != t.On(after)) {
			out = append(out, Difference{t, t.On(after)})
		}
	}
	return out
}

func updatable(c *token.Credential) bool {
	return FlagsOf(c.Settings).Ext&(ykslot.AllowUpdate|ykslot.Dormant) != 0
}

// hides reports whether a credential's slot, as far as is known, does not show the key's serial number.
func hides(c token.Credential) bool {
	f := FlagsOf(c.Settings)
	return f != ykslot.Flags{} && f.Ext&ykslot.SerialAPIVisible == 0
}

// guardOf is the access code that guards the slot of a change now.
func guardOf(c token.SlotChange, given secret.Bytes) secret.Bytes {
	if c.Credential != nil && c.Credential.Secrets.AccessCode.Len() > 0 {
		return c.Credential.Secrets.AccessCode
	}
	return given
}

// EraseSpec is what the operator wants of an erasure.
type EraseSpec struct {
	Slot      token.Slot
	Overwrite Class  // Factory or Foreign: what may be lost; "" otherwise
	Reason    string // needed with Overwrite
}

// BuildErase decides about an erasure. The error is a *RefusedError.
func BuildErase(want EraseSpec, have Have) (token.SlotChange, error) {
	class := classOf(want.Slot, have)
	if class == Empty {
		return token.SlotChange{}, refusal(want.Slot, have)("", ErrSlotEmpty)
	}
	if err := mayOverwrite(Spec{Overwrite: want.Overwrite, Reason: want.Reason}, class); err != nil {
		return token.SlotChange{}, refusal(want.Slot, have)(string(class), err)
	}
	if left := live(have, 3-want.Slot); left != nil && hides(*left) { // what shows the serial number now is this slot
		return token.SlotChange{}, refusal(want.Slot, have)("the other slot hides it: slot settings --serial-api-visible", ErrHidden)
	}
	return begin(token.Erase, want.Slot, want.Reason, have)
}

// BuildSwap decides about a swap: no access code may guard a slot, and each must allow updates, as far as is known. The error is a
// *RefusedError.
func BuildSwap(have Have) (token.SlotChange, error) {
	c, err := begin(token.Swap, 0, "", have)
	if err != nil {
		return c, err
	}
	c.Credential, c.Other = live(have, 1), live(have, 2)
	if err := ykslot.FeatureSwap.Supported(have.Version); err != nil {
		return c, refusal(0, have)("", err)
	}
	if have.InUse == [2]bool{} {
		return c, refusal(0, have)("there is nothing to swap", ErrSlotEmpty)
	}
	for _, in := range []*token.Credential{c.Credential, c.Other} {
		switch {
		case in == nil:
		case in.Settings.HasAccessCode:
			return c, refusal(in.Slot, have)("remove it, swap, and set it again", ErrCodeGuards)
		case FlagsOf(in.Settings) != ykslot.Flags{} && !updatable(in):
			return c, refusal(in.Slot, have)("", ErrNotUpdatable)
		}
	}
	return c, nil
}

// begin is what every change starts from.
func begin(w token.Work, slot token.Slot, reason string, have Have) (token.SlotChange, error) {
	c := token.SlotChange{Work: w, Serial: have.Serial, Slot: slot, Firmware: have.Version.String(), Reason: reason, Credential: live(have, slot)}
	refuse := refusal(slot, have)
	switch {
	case w != token.Swap && slot != 1 && slot != 2:
		return c, refuse("a key has slot 1 and slot 2", ErrBadSpec)
	case have.Serial == 0:
		return c, refuse("", ErrNoSerial)
	case w != token.Swap && !have.InUse[slot-1]:
		return c, refuse("", ErrSlotEmpty)
	}
	if w == token.Update {
		if err := ykslot.FeatureUpdate.Supported(have.Version); err != nil {
			return c, refuse("", err)
		}
	}
	return c, nil
}

// refusal makes the errors of this file.
func refusal(slot token.Slot, have Have) func(detail string, err error) error {
	return func(detail string, err error) error {
		return &RefusedError{Serial: have.Serial, Slot: slot, Class: classOf(slot, have), Detail: detail, Err: err}
	}
}
