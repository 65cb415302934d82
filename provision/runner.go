package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Ledger is the write-ahead record. Every method is durable before it returns, and writes its audit event in the same
// transaction.
type Ledger interface {
	// Reserve takes the public ID. token.ErrDuplicate: a live credential has it, other than the one that the slot holds;
	// token.ErrUnsettled: an open entry holds the slot.
	Reserve(ctx context.Context, r token.Reservation) (token.Entry, error)
	// Seal stores the secrets, sealed. The caller keeps its own copy.
	Seal(ctx context.Context, id token.EntryID, s token.Secrets) error
	// Mark moves the phase forward; a phase that was passed already changes nothing. From token.Writing on neither the former
	// nor the new credential validates. token.ErrConflict: the entry is settled.
	Mark(ctx context.Context, id token.EntryID, p token.Phase) error
	// Commit makes the new credential live, with the counters of its proof, revokes the former one and binds the holder.
	// Without a proof (nil) the first good OTP is it.
	Commit(ctx context.Context, id token.EntryID, proof *token.Counters) error
	// Abort gives up the new credential and its secrets; the former one is live again, with counters raised to those given, if
	// any. token.ErrConflict: the entry is no longer in the phase from, so somebody may be writing those secrets now.
	Abort(ctx context.Context, id token.EntryID, from token.Phase, reason string, former *token.Counters) error
}

// Device is one opened key, a Key outside tests. It belongs to the goroutine that runs.
type Device interface {
	// Status is the status seen last.
	Status() ykslot.Status
	// ReadStatus reads it anew.
	ReadStatus(ctx context.Context) (ykslot.Status, error)
	// Write programs a slot. After an error that wraps ykslot.ErrUnsettled the slot may hold either configuration; after any
	// other it holds what it held before.
	Write(ctx context.Context, slot ykslot.Slot, c ykslot.Config, current secret.Bytes) error
	// Press waits for one touch and returns what the key typed, of which chars characters are due; 0: a Yubico OTP.
	Press(ctx context.Context, chars int) (string, error)
	// DropTyped forgets what was typed until now and not read.
	DropTyped(ctx context.Context) error
	// ChallengeHMAC and ChallengeYubico are as those of ykslot.Session.
	ChallengeHMAC(ctx context.Context, slot ykslot.Slot, challenge []byte, p ykslot.Padding, touch ykslot.TouchFunc) (secret.Bytes, error)
	ChallengeYubico(ctx context.Context, slot ykslot.Slot, challenge [ykslot.YubicoChallengeLen]byte, touch ykslot.TouchFunc) (secret.Bytes, error)
}

// Key is a Device: a session on a held key and its keyboard reports.
type Key struct {
	*ykslot.Session
	Input ykslot.InputReader
	Map   ykslot.ScanMap // by which it types; zero: that of a new key
}

// Mapped is a Device whose presses are read by the key's own scan map.
type Mapped interface{ ScanMap() ykslot.ScanMap }

// ScanMap implements Mapped.
func (k Key) ScanMap() ykslot.ScanMap { return k.Map }

// Press implements Device.
func (k Key) Press(ctx context.Context, chars int) (string, error) {
	if chars == 0 {
		return ykslot.ReadPress(ctx, k.Map.Input(k.Input))
	}
	return ykslot.ReadPressOf(ctx, k.Map.Input(k.Input), chars)
}

// DropTyped implements Device.
func (k Key) DropTyped(ctx context.Context) error { return ykslot.DropTyped(ctx, k.Input) }

// Step is a point that a run has passed, for progress.
type Step string

// The steps in their order.
const (
	StepReserved Step = "reserved"
	StepSealed   Step = "sealed"
	StepWritten  Step = "written"
	StepTouch    Step = "touch"        // now waiting for one
	StepTouch1   Step = "touch slot 1" // as StepTouch, of a swap: both slots are asked
	StepTouch2   Step = "touch slot 2"
	StepProven   Step = "proven"
	StepDone     Step = "committed"
)

// Runner writes slots. Its zero value lacks Ledger and Rand; the hooks may be nil.
type Runner struct {
	Ledger    Ledger
	Rand      io.Reader          // crypto/rand.Reader outside tests
	Now       func() time.Time   // for the time of a proof
	TouchWait time.Duration      // how long to wait for a touch; 0: until the context ends
	Progress  func(Step)         // called after each step
	Mispress  func(why Mispress) // called for a touch that proves nothing; waiting goes on
}

// Mispress is why a touch proved nothing.
type Mispress string

// The mispresses.
const (
	OtherOutput   Mispress = "that is not what this slot types: the touch was too short or too long"
	OtherKey      Mispress = "that was an OTP of another credential"
	NotDecrypting Mispress = "the OTP does not decrypt with the key that was written"
	SameSlot      Mispress = "both touches were of the same slot, or of none that is known: a short one is for slot 1, a long one for slot 2"
)

// Result is what a run or a resume did.
type Result struct {
	Entry     token.Entry
	Outcome   Outcome
	Proof     *token.Counters // nil: no touch
	HasCode   bool
	Rewritten bool // Resume wrote the sealed secret again
}

// Outcome is how an entry ended.
type Outcome string

// The outcomes.
const (
	Programmed Outcome = "programmed" // the slot holds the new credential
	Undone     Outcome = "undone"     // the slot holds what it held before
	Unknown    Outcome = "unknown"    // of a change that was given up: Unknowable
)

// UncertainError says that the slot, or the account, may hold the former or the new credential. Neither validates until Resume settled it.
type UncertainError struct {
	Entry token.Entry
	Err   error
}

func (e *UncertainError) Error() string {
	return fmt.Sprintf("key %s, %s: not settled: %v", e.Entry.Serial, e.Entry.Place(), e.Err)
}

// Unwrap returns the cause.
func (e *UncertainError) Unwrap() error { return e.Err }

// ErrNoTouch is the cause of an UncertainError when nobody touched the key in time.
var ErrNoTouch = errors.New("the key was not touched in time")

// Run carries out a plan on dev, which must be the key the plan was made for. On a failure before the device was written, or
// a write that the device refused, the store is as before; otherwise the error is an *UncertainError and the entry waits
// for Resume. Cancelling ctx stops between two steps.
func (r *Runner) Run(ctx context.Context, dev Device, p Plan) (Result, error) {
	entry, err := r.reserve(ctx, p)
	if err != nil {
		return Result{}, err
	}
	r.passed(StepReserved)
	entry.Credential.Secrets, err = r.draw(p)
	defer entry.Credential.Secrets.Destroy()
	if err != nil {
		return Result{}, r.abort(ctx, entry, err)
	}
	if err := r.Ledger.Seal(ctx, entry.ID, entry.Credential.Secrets); err != nil {
		return Result{}, r.abort(ctx, entry, err)
	}
	entry.Phase = token.Sealed
	r.passed(StepSealed)
	if err := r.Ledger.Mark(ctx, entry.ID, token.Writing); err != nil {
		return Result{}, r.abort(ctx, entry, err)
	}
	entry.Phase = token.Writing
	if err := r.write(ctx, dev, entry, p.guard(), entry.Credential.Secrets.AccessCode); err != nil {
		return Result{}, r.failedWrite(ctx, entry, err)
	}
	return r.finish(ctx, dev, entry)
}

// reserve draws a random public ID again while it is taken: with five random bytes a second draw is already rare.
func (r *Runner) reserve(ctx context.Context, p Plan) (token.Entry, error) {
	const draws = 8
	for i := 0; ; i++ {
		if p.RandomID {
			id, err := r.randomPublicID()
			if err != nil {
				return token.Entry{}, err
			}
			p.Reservation.PublicID = id
		}
		entry, err := r.Ledger.Reserve(ctx, p.Reservation)
		if err == nil || !p.RandomID || !errors.Is(err, token.ErrDuplicate) || i == draws {
			return entry, err
		}
	}
}

// randomPublicID is ff and five random bytes. Source: reference yubikey-otp.md §4.2.
func (r *Runner) randomPublicID() (token.PublicID, error) {
	b := [6]byte{0xff}
	if _, err := io.ReadFull(r.Rand, b[1:]); err != nil {
		return token.PublicID{}, fmt.Errorf("draw public ID: %w", err)
	}
	return token.NewPublicID(b[:])
}

// draw makes the secrets of the new credential.
func (r *Runner) draw(p Plan) (token.Secrets, error) {
	c, s, err := p.want.draft(r.Rand, p.version, p.Reservation.Serial, p.Reservation.PublicID)
	DestroyConfig(c)
	if err != nil {
		return s, err
	}
	switch p.NewCode {
	case RandomCode:
		s.AccessCode, err = secret.Random(r.Rand, ykslot.AccessCodeLen)
	case KeepCode:
		s.AccessCode = p.guard().Clone()
	case GivenCode:
		s.AccessCode = p.want.own().AccessCode.Clone()
	}
	return s, err
}

// write sends the entry's configuration, with each code that may guard the slot, and reads back that the slot is in use. If a write
// that looked refused has gone through, the new code opens the slot.
func (r *Runner) write(ctx context.Context, dev Device, e token.Entry, codes ...secret.Bytes) error {
	c, err := SlotConfig(e.Credential)
	if err != nil {
		return err
	}
	defer DestroyConfig(c)
	slot := ykslot.Slot(e.Slot)
	return Insist(codes, func(code secret.Bytes) error {
		err := dev.Write(ctx, slot, c, code)
		if err == nil && !dev.Status().Configured(slot) {
			return fmt.Errorf("read back %v: %w: the key took the write but says that the slot is empty", slot, ykslot.ErrUnsettled)
		}
		return err
	})
}

func refused(err error) bool {
	var r *ykslot.RejectedError
	return errors.As(err, &r)
}

// sameSequence reports whether two refusals came at the same programming sequence.
func sameSequence(err, other error) bool {
	var a, b *ykslot.RejectedError
	return errors.As(err, &a) && errors.As(other, &b) && a.Before.ProgSeq == b.Before.ProgSeq
}

// guard is the access code that guards the slot now.
func (p Plan) guard() secret.Bytes {
	if c := formerCode(p.Former); c.Len() > 0 {
		return c
	}
	return p.want.own().Current
}

// formerCode is the access code of the credential that is replaced; empty without one.
func formerCode(former *token.Credential) secret.Bytes {
	if former == nil {
		return secret.Bytes{}
	}
	return former.Secrets.AccessCode
}

// failedWrite keeps the entry open only if the outcome of the write was not seen.
func (r *Runner) failedWrite(ctx context.Context, e token.Entry, err error) error {
	if errors.Is(err, ykslot.ErrUnsettled) {
		return &UncertainError{Entry: e, Err: err}
	}
	return r.abort(ctx, e, err)
}

// finish is what follows an accepted write: mark, prove, commit. The ledger is told even when ctx has ended meanwhile.
func (r *Runner) finish(ctx context.Context, dev Device, e token.Entry) (Result, error) {
	lctx := context.WithoutCancel(ctx)
	if err := r.Ledger.Mark(lctx, e.ID, token.Written); err != nil {
		return Result{}, &UncertainError{Entry: e, Err: err}
	}
	e.Phase = token.Written
	r.passed(StepWritten)
	var proof *token.Counters
	if e.Proof != token.NoProof {
		c, err := r.prove(ctx, dev, e)
		if err != nil {
			return Result{}, &UncertainError{Entry: e, Err: err}
		}
		proof = &c
		r.passed(StepProven)
	}
	return r.commit(lctx, e, proof)
}

func (r *Runner) commit(ctx context.Context, e token.Entry, proof *token.Counters) (Result, error) {
	if err := r.Ledger.Commit(ctx, e.ID, proof); err != nil {
		return Result{}, &UncertainError{Entry: e, Err: err}
	}
	e.Phase = token.Committed
	r.passed(StepDone)
	return Result{Entry: e, Outcome: Programmed, Proof: proof, HasCode: e.Credential.Settings.HasAccessCode}, nil
}

// abort gives the entry up and returns cause, joined with what went wrong meanwhile.
func (r *Runner) abort(ctx context.Context, e token.Entry, cause error) error {
	if err := r.Ledger.Abort(context.WithoutCancel(ctx), e.ID, e.Phase, abortReason(cause), nil); err != nil {
		return errors.Join(cause, fmt.Errorf("give up the reservation: %w", err))
	}
	return cause
}

// abortReason is a short text for the audit chain.
func abortReason(cause error) string {
	switch {
	case refused(cause):
		return "the key refused the write"
	case errors.Is(cause, context.Canceled):
		return "cancelled before writing"
	}
	return "failed before writing"
}

func (r *Runner) passed(s Step) {
	if r.Progress != nil {
		r.Progress(s)
	}
}
