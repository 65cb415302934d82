// Package provision decides what to write into a slot and writes it in the only allowed order.
//
//	want (Spec) + have (Have)  ->  BuildPlan  ->  Plan
//	Runner.Run: reserve -> sealed record durable -> write -> read back -> prove by touch -> commit
//
// BuildPlan is pure and reads like the policy. Runner talks to one device and one Ledger; after a failure at any point
// the ledger says what the slot may hold, and Runner.Resume brings both to agreement with the secret that was already
// sealed: a second one is never drawn.
package provision

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

// PublicIDScheme says where a public ID comes from.
type PublicIDScheme string

// The values of `provision --public-id`; any other text is the ID itself in hexadecimal.
const (
	FromSerial PublicIDScheme = "serial" // ff 00 and the serial
	Random     PublicIDScheme = "random" // ff and five random bytes
	Given      PublicIDScheme = "given"  // Spec.Given
)

// AccessCodeMode says what guards the slot afterwards.
type AccessCodeMode string

// The values of `provision --access-code`.
const (
	RandomCode AccessCodeMode = "random" // six random bytes, escrowed
	NoCode     AccessCodeMode = "none"
	KeepCode   AccessCodeMode = "keep"  // the one that guards the slot: escrowed, or OwnSecrets.Current, escrowed from now on
	GivenCode  AccessCodeMode = "given" // OwnSecrets.AccessCode, escrowed
)

// Class says whose configuration a slot holds.
type Class string

// The classes. A slot cannot be read, so Factory is a guess: slot 1 in use, slot 2 empty, and no record of ours.
const (
	Empty   Class = "empty"
	Ours    Class = "ours"
	Factory Class = "factory"
	Foreign Class = "foreign"
)

// Spec is what the operator wants.
type Spec struct {
	Slot         token.Slot
	Kind         token.Kind // YubicoOTP, HOTP, ChallengeResponse or Static; "" is YubicoOTP
	Options      Options
	Holder       *token.Person // nil: nobody
	PublicID     PublicIDScheme
	Given        token.PublicID
	LongPublicID bool // allow more than token.ServerPublicID bytes
	AccessCode   AccessCodeMode
	Verify       token.ProofRequired // ByTouch is ByHost for challenge-response
	Overwrite    Class               // Factory or Foreign: what may be lost; "" otherwise
	Reason       string              // needed with Overwrite
	Reassign     bool                // take a key from another person
	Handover     token.Handover

	Own *OwnSecrets // nil: all are drawn
}

// OwnSecrets are what the operator gives. The caller destroys them after the run.
type OwnSecrets struct {
	Key        secret.Bytes // written instead of a drawn one; for a password of scan codes its text
	PrivateID  secret.Bytes
	AccessCode secret.Bytes // with GivenCode
	Current    secret.Bytes // the access code that guards a slot of which nothing is known
}

// Destroy clears them.
func (o OwnSecrets) Destroy() {
	for _, s := range []secret.Bytes{o.Key, o.PrivateID, o.AccessCode, o.Current} {
		s.Destroy()
	}
}

// own are the operator's secrets, all empty if there are none.
func (s Spec) own() OwnSecrets {
	if s.Own == nil {
		return OwnSecrets{}
	}
	return *s.Own
}

// Have is what the device and the store say. Token and Live are zero for a key that the store has never seen.
type Have struct {
	Serial  token.Serial
	Version ykslot.Version
	InUse   [2]bool // slot 1, slot 2 hold a configuration
	Token   token.Token
	Live    []token.Credential // the key's live credentials
}

// Plan is what will be done.
type Plan struct {
	Class       Class
	Reservation token.Reservation
	RandomID    bool           // the public ID is drawn when the plan runs, again after a duplicate
	NewCode     AccessCodeMode // RandomCode, NoCode, GivenCode, or KeepCode when there is one to keep
	Former      *token.Credential
	Notes       []string // what the operator should know before

	want    Spec // of which draw makes the secrets
	version ykslot.Version
}

// Flags are those that the slot will have.
func (p Plan) Flags() ykslot.Flags { return FlagsOf(p.Reservation.Settings) }

// The reasons to refuse a plan, beside ykslot's version errors.
var (
	ErrNoSerial      = errors.New("the key does not tell its serial number")
	ErrOccupied      = errors.New("the slot holds a configuration that is not ours")
	ErrNoReason      = errors.New("overwriting needs a reason")
	ErrTooLong       = errors.New("validation servers take public IDs of 8 bytes at most")
	ErrFactoryPrefix = errors.New("public IDs that begin with 00 (cc in ModHex) belong to keys programmed in the factory")
	ErrSerialInUse   = errors.New("the public ID made of the serial is in use by the other slot of this key")
	ErrHeld          = errors.New("the key is held by another person")
	ErrBlocked       = errors.New("the token is blocked")
	ErrHidden        = errors.New("the key would hide its serial number and could not be found again")
	ErrBadSpec       = errors.New("impossible request")
)

// RefusedError is a plan that was refused: Err is one of the errors above.
type RefusedError struct {
	Serial token.Serial
	Slot   token.Slot
	Class  Class
	Detail string
	Err    error
}

func (e *RefusedError) Error() string {
	s := "key " + e.Serial.String()
	if e.Serial == 0 {
		s = "a key without serial number"
	}
	if e.Slot != 0 { // otherwise the key's settings
		s += fmt.Sprintf(", slot %d", e.Slot)
	}
	s += fmt.Sprintf(": %v", e.Err)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// BuildPlan decides. It reads no device and no clock, and draws nothing. The error is a *RefusedError.
func BuildPlan(want Spec, have Have) (Plan, error) {
	class := classOf(want.Slot, have)
	refused := func(detail string, err error) (Plan, error) {
		return Plan{}, &RefusedError{Serial: have.Serial, Slot: want.Slot, Class: class, Detail: detail, Err: err}
	}
	want.Kind, want.Verify = want.kind(), want.proof()
	detail, err := mayWrite(want, have, class)
	if err != nil {
		return refused(detail, err)
	}
	id, err := choosePublicID(want, have)
	if err != nil {
		return refused("", err)
	}
	p := Plan{
		Class:    class,
		Former:   live(have, want.Slot),
		RandomID: want.Kind == token.YubicoOTP && want.PublicID == Random,
		NewCode:  want.AccessCode,
		Reservation: token.Reservation{
			Serial: have.Serial, Firmware: have.Version.String(), Slot: want.Slot, Kind: want.Kind, PublicID: id,
			Holder: holderID(want, have), Proof: want.Verify, Reason: want.Reason, Handover: want.Handover,
		},
		want: want, version: have.Version,
	}
	if class == Factory || class == Foreign {
		p.Reservation.Overwrite = string(class)
	}
	if p.NewCode == KeepCode && p.guard().IsZero() {
		p.NewCode = NoCode
		p.Notes = append(p.Notes, "no access code of this slot is known, so none is set")
	}
	if err := p.settings(have); err != nil {
		if detail, err, ok := strip(err); ok {
			return refused(detail, err)
		}
		return refused("", err)
	}
	if p.NewCode != NoCode {
		p.Notes = append(p.Notes, "an access code will guard the slot: swapping slots, NDEF and mode changes fail while it is set")
	}
	return p, nil
}

// settings makes the configuration with zeros' places taken by ones, to see whether it is possible, and keeps what is no secret.
func (p *Plan) settings(have Have) error {
	c, record, err := p.want.draft(ones{}, have.Version, have.Serial, p.Reservation.PublicID)
	defer DestroyConfig(c)
	defer record.Destroy()
	if err == nil {
		err = c.Supported(have.Version)
	}
	if err == nil && p.want.Slot == 2 {
		err = ykslot.FeatureSlot2.Supported(have.Version)
	}
	if err != nil {
		return err
	}
	s := &p.Reservation.Settings
	setFlags(s, c.Flags)
	s.HasAccessCode = p.NewCode != NoCode
	if p.want.Kind == token.HOTP {
		s.Digits, s.Hash, s.FirstMoving = c.Digits(), string(oath.SHA1), c.MovingFactor()
		if p.Reservation.PublicID, err = token.NewPublicID(c.Fixed); err != nil {
			return err
		}
	}
	return p.visible(have)
}

// visible refuses a configuration after which the key could not be found, or a proof that it could not give.
func (p *Plan) visible(have Have) error {
	f := p.Flags()
	other := live(have, 3-p.want.Slot)
	if f.Ext&ykslot.SerialAPIVisible == 0 && (other == nil || FlagsOf(other.Settings).Ext&ykslot.SerialAPIVisible == 0) {
		return ErrHidden
	}
	if f.Ext&ykslot.Dormant != 0 && p.want.Verify != token.NoProof {
		return fmt.Errorf("%w: a dormant slot proves nothing: it is verified by the first use", ErrBadSpec)
	}
	if f.Ext&ykslot.AllowUpdate == 0 {
		p.Notes = append(p.Notes, "without ALLOW_UPDATE nothing can change the slot but writing it anew, and slots cannot be swapped")
	}
	if p.want.Kind == token.YubicoOTP && f.Config&ykslot.SendRef != 0 {
		p.Notes = append(p.Notes, "servers do not take one-time passwords behind the reference text")
	}
	return nil
}

// strip takes one of our own reasons out of an error, the rest is its detail.
func strip(err error) (detail string, reason error, ok bool) {
	var invalid *ykslot.InvalidError
	var char *keyboard.CharError
	switch {
	case errors.As(err, &invalid):
		return invalid.Rule, ErrBadSpec, true
	case errors.As(err, &char):
		return char.Error(), ErrBadSpec, true
	case errors.Is(err, ErrBadSpec):
		return strings.TrimPrefix(err.Error(), ErrBadSpec.Error()+": "), ErrBadSpec, true
	}
	return "", nil, false
}

// ones is randomness for a draft that is never written.
type ones struct{}

func (ones) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 1
	}
	return len(b), nil
}

// proof is what the commit waits for.
func (s Spec) proof() token.ProofRequired {
	if s.Verify == token.ByTouch && s.kind() == token.ChallengeResponse {
		return token.ByHost
	}
	return s.Verify
}

// mayWrite holds what is wanted against what is there, the public ID apart.
func mayWrite(want Spec, have Have, class Class) (detail string, err error) {
	if err := want.stray(); err != nil {
		return err.Error(), ErrBadSpec
	}
	switch {
	case want.Slot != 1 && want.Slot != 2:
		return "a key has slot 1 and slot 2", ErrBadSpec
	case !slices.Contains([]AccessCodeMode{RandomCode, NoCode, KeepCode, GivenCode}, want.AccessCode):
		return "the access code is random, none, keep or given", ErrBadSpec
	case want.AccessCode == GivenCode && (want.own().AccessCode.Len() != ykslot.AccessCodeLen || want.own().AccessCode.IsZero()):
		return "an access code has 6 bytes, not all of them zero", ErrBadSpec
	case want.Kind == token.ChallengeResponse && want.Verify != token.ByHost && want.Verify != token.NoProof:
		return "challenge-response is verified by the host or not", ErrBadSpec
	case want.Kind != token.ChallengeResponse && want.Verify != token.ByTouch && want.Verify != token.NoProof:
		return "a write is verified by touch or not", ErrBadSpec
	case have.Serial == 0:
		return "", ErrNoSerial
	case have.Token.State.Blocked():
		return string(have.Token.State), ErrBlocked
	}
	if h := have.Token.Holder; h != nil && want.Holder != nil && h.ID != want.Holder.ID && !want.Reassign {
		return h.Account, ErrHeld
	}
	return string(class), mayOverwrite(want, class)
}

// classOf says whose configuration the slot holds.
func classOf(s token.Slot, have Have) Class {
	switch {
	case s != 1 && s != 2:
		return ""
	case !have.InUse[s-1]:
		return Empty
	case live(have, s) != nil:
		return Ours
	case s == 1 && !have.InUse[1]:
		return Factory
	}
	return Foreign
}

// mayOverwrite is the rule that what is neither empty nor ours needs its own flag and a reason. Foreign covers Factory, which
// is only a guess.
func mayOverwrite(want Spec, class Class) error {
	if class == Empty || class == Ours {
		return nil
	}
	if want.Overwrite != class && want.Overwrite != Foreign {
		return ErrOccupied
	}
	if want.Reason == "" {
		return ErrNoReason
	}
	return nil
}

// choosePublicID is empty for Random, which is drawn when the plan runs.
func choosePublicID(want Spec, have Have) (token.PublicID, error) {
	if want.Kind == token.Static && want.PublicID == Given {
		return want.Given, nil
	}
	if want.Kind != token.YubicoOTP { // HOTP has its token identifier
		return token.PublicID{}, nil
	}
	switch want.PublicID {
	case Random:
		return token.PublicID{}, nil
	case FromSerial:
		id := token.SerialPublicID(have.Serial)
		if other := live(have, 3-want.Slot); other != nil && other.PublicID == id {
			return id, ErrSerialInUse
		}
		return id, nil
	case Given:
		if want.Given.Len() > token.ServerPublicID && !want.LongPublicID {
			return want.Given, ErrTooLong
		}
		if b := want.Given.Bytes(); len(b) > 0 && b[0] == 0 {
			return want.Given, ErrFactoryPrefix
		}
		return want.Given, nil
	}
	return token.PublicID{}, ErrBadSpec
}

// live returns the key's live credential in a slot, or nil.
func live(have Have, s token.Slot) *token.Credential {
	for i := range have.Live {
		if have.Live[i].Slot == s {
			return &have.Live[i]
		}
	}
	return nil
}

// holderID keeps the present holder when none is named.
func holderID(want Spec, have Have) token.PersonID {
	switch {
	case want.Holder != nil:
		return want.Holder.ID
	case have.Token.Holder != nil:
		return have.Token.Holder.ID
	}
	return 0
}
