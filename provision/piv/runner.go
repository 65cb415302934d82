package piv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Runner works on one card after the other. Its methods read the card first, and change what differs.
type Runner struct {
	Escrow Escrow
	Rand   io.Reader // crypto/rand.Reader
	Now    func() time.Time
	// Begin is told each step of Init before it is done; nil: nobody is.
	Begin func(Step)
	// Touch is called when the key must be touched now; nil: nobody is told.
	Touch func(Slot)
}

// Plan reads a card and what the store has for it, and says what Init will do; it changes nothing. Management keys are tried, which no
// card counts; PIN and PUK are not. The caller destroys the plan. Errors wrap ErrForeign (nothing that is known opens the
// card: Given, or Want.Reset), ErrPIN, or are *PINError (blocked), *LastTryError or *UnsupportedError.
func (r *Runner) Plan(ctx context.Context, card Card, w Want) (Plan, error) {
	f, err := card.Facts(ctx)
	if err != nil {
		return Plan{}, err
	}
	known, err := r.secrets(ctx, f.Serial)
	if err != nil {
		return Plan{}, err
	}
	var current secret.Bytes
	if !w.Reset {
		current, err = r.opens(ctx, card, f, known.Management, w.Given)
		if err != nil && (f.Management.Touch || !errors.Is(err, ErrManagementUnknown)) {
			known.Destroy()
			return Plan{}, err
		}
	}
	p, err := buildPlan(f, known, current, w)
	if err != nil {
		p.Destroy()
		return Plan{}, err
	}
	return p, nil
}

// Init carries out a plan on card, which must be the one that it was made for. Interrupted anywhere, the store has the PIN, PUK and
// management key that the card has, or the card has those of a new one; plan again to finish.
func (r *Runner) Init(ctx context.Context, card Card, p Plan) error {
	if err := same(ctx, card, p.Facts.Serial); err != nil {
		return err
	}
	management, puk := p.current.Clone(), secret.Bytes{}
	if e, ok := held(p.secrets.PUK); ok {
		puk = e.Secret.Clone()
	}
	var early []secret.Bytes
	defer func() { management.Destroy(); puk.Destroy(); destroyAll(early) }()
	steps := slices.Clone(p.Steps)
	for _, e := range p.former {
		if err := r.forget(ctx, p.Facts.Serial, e); err != nil {
			return err
		}
	}
	for i := range steps {
		step := &steps[i]
		if r.Begin != nil {
			r.Begin(*step)
		}
		var err error
		switch step.Do {
		case TryNew:
			err = r.tryNew(ctx, card, p)
		case ResetCard:
			err = r.reset(ctx, card, p.Facts.Serial)
		case SetManagementKey:
			var fresh secret.Bytes
			if err = r.ahead(ctx, p, steps, SetPUK, &early); err != nil {
				break
			}
			if fresh, err = r.setManagement(ctx, card, p, *step); err == nil {
				management.Destroy()
				management = fresh
			}
		case SetTries:
			if err = card.SetRetries(ctx, management, step.olds[0], p.want.PINTries, p.want.PUKTries); err != nil {
				err = r.drop(ctx, p.Facts.Serial, token.Escrow{}, p.secrets.PIN, step.olds, err)
			}
		case SetPUK:
			var fresh secret.Bytes
			if err = r.ahead(ctx, p, steps, SetPIN, &early); err != nil {
				break
			}
			if fresh, err = r.setPUK(ctx, card, p, *step); err == nil {
				puk.Destroy()
				puk = fresh
			}
		case SetPIN:
			err = r.setPIN(ctx, card, p, *step, puk)
		case WriteCHUID:
			err = r.writeCHUID(ctx, card, management)
		case WriteCCC:
			err = r.writeCCC(ctx, card, management)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.Do, err)
		}
	}
	return nil
}

// touch says that the key must be touched now.
func (r *Runner) touch(s Slot) {
	if r.Touch != nil {
		r.Touch(s)
	}
}

// same compares the card with the one that a plan was made for.
func same(ctx context.Context, card Card, serial token.Serial) error {
	f, err := card.Facts(ctx)
	if err == nil && f.Serial != serial {
		err = fmt.Errorf("%w: %v instead of %v", ErrOtherCard, f.Serial, serial)
	}
	return err
}

// settle says what the card was seen to have. The card has it: what the store says must not depend on what comes now.
func (r *Runner) settle(ctx context.Context, serial token.Serial, what token.EscrowKind, id token.EscrowID) error {
	return r.Escrow.SettleEscrow(context.WithoutCancel(ctx), serial, what, id)
}

// setManagement returns the management key that the card has afterwards; the caller destroys it.
func (r *Runner) setManagement(ctx context.Context, card Card, p Plan, step Step) (secret.Bytes, error) {
	now, err := r.fresh(ctx, p.Facts.Serial, token.PIVManagementKey, step.now, func() (secret.Bytes, error) { return RandomManagementKey(r.Rand) })
	if err != nil {
		return secret.Bytes{}, err
	}
	if !now.Secret.Equal(step.olds[0]) {
		if p.Facts.Management.Touch {
			r.touch(ManagementReference)
		}
		err = card.SetManagementKey(ctx, step.olds[0], now.Secret)
	}
	if err == nil {
		err = r.settle(ctx, p.Facts.Serial, token.PIVManagementKey, now.ID)
		if err == nil && p.Facts.OnCard { // which is not true any more: other programs would take the former key
			err = card.PutObject(ctx, now.Secret, AdminData, nil)
		}
	} else {
		err = r.drop(ctx, p.Facts.Serial, now, p.secrets.Management, nil, err)
	}
	if err != nil {
		now.Secret.Destroy()
		return secret.Bytes{}, err
	}
	return now.Secret, nil
}

// fresh is what a card shall get, durable in the store: the one that is there, or a new one. The caller destroys its secret.
func (r *Runner) fresh(ctx context.Context, serial token.Serial, what token.EscrowKind, now token.Escrow, draw func() (secret.Bytes, error)) (token.Escrow, error) {
	if now.ID != 0 {
		now.Secret = now.Secret.Clone()
		return now, nil
	}
	s, err := draw()
	if err != nil {
		return token.Escrow{}, err
	}
	id, err := r.Escrow.KeepEscrow(ctx, serial, what, s)
	if err != nil {
		s.Destroy()
		return token.Escrow{}, err
	}
	return token.Escrow{ID: id, What: what, Secret: s}, nil
}

// ahead keeps what a later step will set, where the firmware does not tell whether the card has the PIN and PUK of a new one: to the run after an
// interruption, what is on its way says that it had, and that they may be tried. One that was refused is forgotten, and so tried by no later run.
func (r *Runner) ahead(ctx context.Context, p Plan, steps []Step, do Action, early *[]secret.Bytes) error {
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Do == do })
	if p.Facts.Metadata() || i < 0 || steps[i].now.ID != 0 || !isDefault(steps[i].olds[0]) {
		return nil
	}
	what := token.PIVPIN
	if do == SetPUK {
		what = token.PIVPUK
	}
	now, err := r.fresh(ctx, p.Facts.Serial, what, token.Escrow{}, r.draw(do, p.want))
	if err != nil {
		return err
	}
	steps[i].now, *early = now, append(*early, now.Secret)
	return nil
}

// draw is what a step sets where nothing is kept yet.
func (r *Runner) draw(do Action, w Want) func() (secret.Bytes, error) {
	return func() (secret.Bytes, error) {
		switch {
		case do == SetPUK:
			return RandomPIN(r.Rand, pukDigits)
		case w.PIN.Len() > 0:
			return w.PIN.Clone(), nil
		}
		return RandomPIN(r.Rand, pinDigits)
	}
}

// drop forgets what the card was seen not to have, after it refused a change: the secret that this run kept, so that it does not stand for a change
// that was interrupted, and those of the store that were tried, so that no later run tries them again. What was on its way before and was not tried
// stays, and what another run keeps.
func (r *Runner) drop(ctx context.Context, serial token.Serial, now token.Escrow, before []token.Escrow, tried []secret.Bytes, refused error) error {
	var wrong *PINError
	isPIN := errors.As(refused, &wrong)
	if !isPIN && !errors.Is(refused, ErrPIN) && !errors.Is(refused, ErrManagementKey) {
		return refused
	}
	if now.ID != 0 && !slices.ContainsFunc(before, func(e token.Escrow) bool { return e.ID == now.ID }) {
		refused = errors.Join(refused, r.forget(ctx, serial, now))
	}
	for _, e := range before {
		if isPIN && wrong.What == e.What && slices.ContainsFunc(tried, e.Secret.Equal) {
			refused = errors.Join(refused, r.forget(ctx, serial, e))
		}
	}
	return refused
}

func (r *Runner) forget(ctx context.Context, serial token.Serial, e token.Escrow) error {
	return r.Escrow.ForgetEscrow(context.WithoutCancel(ctx), serial, e.What, e.ID)
}

// Lengths of what is drawn.
const (
	pinDigits = 6
	pukDigits = 8
)

// setPUK changes the PUK to what the store has for it, trying each that it may be now once. It returns it; the caller destroys it.
func (r *Runner) setPUK(ctx context.Context, card Card, p Plan, step Step) (secret.Bytes, error) {
	now, err := r.fresh(ctx, p.Facts.Serial, token.PIVPUK, step.now, r.draw(SetPUK, p.want))
	if err != nil {
		return secret.Bytes{}, err
	}
	tried := 0
	for i, old := range step.olds {
		tried = i + 1
		err = card.ChangePUK(ctx, old, now.Secret)
		var wrong *PINError
		if !errors.As(err, &wrong) || wrong.Left == 0 || i == len(step.olds)-1 {
			break
		}
		if wrong.Left == 1 && !p.want.Given.LastTry {
			err = fmt.Errorf("%w: %w", &LastTryError{What: token.PIVPUK}, err)
			break
		}
	}
	if err == nil {
		err = r.settle(ctx, p.Facts.Serial, token.PIVPUK, now.ID)
	} else {
		err = r.drop(ctx, p.Facts.Serial, now, p.secrets.PUK, step.olds[:tried], err)
	}
	if err != nil {
		now.Secret.Destroy()
		return secret.Bytes{}, err
	}
	return now.Secret, nil
}

// setPIN changes the PIN to what the store has for it. Where a change was interrupted, so that the card may have one of two, the PUK sets
// it, which burns no try of the PIN.
func (r *Runner) setPIN(ctx context.Context, card Card, p Plan, step Step, puk secret.Bytes) error {
	now, err := r.fresh(ctx, p.Facts.Serial, token.PIVPIN, step.now, r.draw(SetPIN, p.want))
	if err != nil {
		return err
	}
	defer now.Secret.Destroy()
	switch old := step.olds[0]; {
	case step.byPUK:
		err = card.Unblock(ctx, puk, now.Secret)
	case old.Equal(now.Secret):
		err = card.VerifyPIN(ctx, old)
	default:
		err = card.ChangePIN(ctx, old, now.Secret)
	}
	if err != nil {
		return r.drop(ctx, p.Facts.Serial, now, p.secrets.PIN, step.olds[:1], err)
	}
	return r.settle(ctx, p.Facts.Serial, token.PIVPIN, now.ID)
}

// tryNew makes sure that a card whose firmware does not tell has the PIN of a new one, before anything is changed. What the store has is of before
// somebody reset the card, and forgotten.
func (r *Runner) tryNew(ctx context.Context, card Card, p Plan) error {
	isNew := DefaultPIN()
	defer isNew.Destroy()
	var wrong *PINError
	if err := VerifyPIN(ctx, card, isNew, false); errors.As(err, &wrong) {
		return fmt.Errorf("%w: it has not the PIN of a new card: %w", ErrForeign, err)
	} else if err != nil {
		return err
	}
	for _, what := range []token.EscrowKind{token.PIVPIN, token.PIVPUK} {
		list, err := r.Escrow.Escrows(ctx, p.Facts.Serial, what)
		if err != nil {
			return err
		}
		destroy(list)
		if len(list) == 0 {
			continue
		}
		if err := r.settle(ctx, p.Facts.Serial, what, 0); err != nil {
			return err
		}
	}
	return nil
}

// Reset wipes the PIV application, whatever is on it, and forgets what the store had for it once that is done.
func (r *Runner) Reset(ctx context.Context, card Card) error {
	f, err := card.Facts(ctx)
	if err != nil {
		return err
	}
	return r.reset(ctx, card, f.Serial)
}

func (r *Runner) reset(ctx context.Context, card Card, serial token.Serial) error {
	if err := card.Reset(ctx); err != nil {
		return err
	}
	for _, what := range []token.EscrowKind{token.PIVPIN, token.PIVPUK, token.PIVManagementKey} {
		if err := r.settle(ctx, serial, what, 0); err != nil {
			return err
		}
	}
	return nil
}
