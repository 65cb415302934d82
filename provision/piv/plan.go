package piv

import (
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Want is how a card shall be set up. The operator's side destroys the secrets in it.
type Want struct {
	// PIN is the new PIN; empty: the one the store has, or a random one.
	PIN secret.Bytes
	// PINTries and PUKTries are how often a wrong one may be tried, 1 to 255; 0: as it is. Both or none.
	PINTries, PUKTries int
	// Reset wipes the application first: every key and certificate on it.
	Reset bool
	Given Given
}

// Action is one kind of step.
type Action string

// The actions, in the order in which they are done.
const (
	TryNew           Action = "try-new" // tries the PIN of a new card, which firmware before 5.3 does not tell by itself; wrong, it costs a try
	ResetCard        Action = "reset"
	SetManagementKey Action = "management-key"
	SetTries         Action = "tries" // sets PIN and PUK to the ones of a new card
	SetPUK           Action = "puk"
	SetPIN           Action = "pin"
	WriteCHUID       Action = "chuid"
	WriteCCC         Action = "ccc"
)

// Step is one change of the card.
type Step struct {
	Do Action
	// Resumed: an interrupted run had begun it; the secret that was on its way is used again.
	Resumed bool
	// Guess: of TryNew; it may cost a try.
	Guess bool

	olds []secret.Bytes // what the card may have now, the likeliest first; each is tried once at most
	now  token.Escrow   // what it shall have, if the store has it already
	// byPUK: the PUK sets the PIN, as the card may have one of two, or has blocked it.
	byPUK bool
}

// Plan is what Init will do. Destroy it.
type Plan struct {
	Facts Facts
	Steps []Step

	want    Want
	secrets Secrets
	former  []token.Escrow // of before somebody reset the card, without the secrets: to be forgotten
	current secret.Bytes   // the management key that the card takes; empty before a reset
	own     []secret.Bytes
}

// Destroy clears the secrets in it.
func (p *Plan) Destroy() {
	p.secrets.Destroy()
	p.current.Destroy()
	destroyAll(p.own)
}

func destroyAll(list []secret.Bytes) {
	for _, s := range list {
		s.Destroy()
	}
}

// Ready reports whether nothing is to be done.
func (p *Plan) Ready() bool { return len(p.Steps) == 0 }

// buildPlan compares a card with what it shall be. current is the management key that it takes, empty if none is known. The plan
// owns secrets and current also when there is an error. Errors wrap ErrForeign, ErrPIN or are *PINError, *LastTryError or *UnsupportedError.
func buildPlan(f Facts, secrets Secrets, current secret.Bytes, w Want) (p Plan, err error) {
	p = Plan{Facts: f, want: w, secrets: secrets, current: current}
	if w.PIN.Len() > 0 {
		if err := CheckPIN(w.PIN); err != nil {
			return p, err
		}
	}
	if (w.PINTries == 0) != (w.PUKTries == 0) || w.PINTries < 0 || w.PINTries > 255 || w.PUKTries < 0 || w.PUKTries > 255 {
		return p, fmt.Errorf("tries are 1 to 255, of PIN and PUK both")
	}
	if w.Reset {
		p.Steps = append(p.Steps, Step{Do: ResetCard})
		f = asNew(f)
		p.Facts.CHUID, p.Facts.CCC, p.Facts.OnCard = false, false, false
		p.secrets = Secrets{}
		secrets.Destroy()
		p.current.Destroy()
		p.current = p.keep(DefaultManagementKey())
	}
	if f, err = p.planGuess(f); err != nil {
		return p, err
	}
	p.forgetFormer(f)
	if err := p.planManagement(); err != nil {
		return p, err
	}
	if err := p.planTries(f); err != nil {
		return p, err
	}
	if err := p.planPIN(f, token.PIVPUK, SetPUK); err != nil {
		return p, err
	}
	if err := p.planPIN(f, token.PIVPIN, SetPIN); err != nil {
		return p, err
	}
	if !p.Facts.CHUID {
		p.Steps = append(p.Steps, Step{Do: WriteCHUID})
	}
	if !p.Facts.CCC {
		p.Steps = append(p.Steps, Step{Do: WriteCCC})
	}
	return p, nil
}

// asNew is what a card tells after a reset.
func asNew(f Facts) Facts {
	return Facts{
		Serial: f.Serial, Version: f.Version, Maker: f.Maker,
		PIN: Reference{Left: 3, Total: 3, Default: Yes}, PUK: Reference{Left: 3, Total: 3, Default: Yes},
		Management: Management{Algorithm: f.Management.Algorithm, Default: Yes},
	}
}

// keep remembers a secret that the plan made, to destroy it.
func (p *Plan) keep(s secret.Bytes) secret.Bytes {
	p.own = append(p.own, s)
	return s
}

// ours reports whether the management key that the card takes is one of the store's.
func (p *Plan) ours() bool {
	return slices.ContainsFunc(p.secrets.Management, func(e token.Escrow) bool { return e.Secret.Equal(p.current) })
}

// planGuess takes a card before firmware 5.3 for a new one, or one that was reset, if it takes the default management key: Init replaces that
// before PIN and PUK. What the store has for those is of before the reset then.
func (p *Plan) planGuess(f Facts) (Facts, error) {
	isNew := p.keep(DefaultManagementKey())
	if f.PIN.Default != Unknown || !p.current.Equal(isNew) || p.want.Given.PIN.Len() > 0 || p.want.Given.PUK.Len() > 0 {
		return f, nil
	}
	if f.PIN.Left < freshTries { // a guess that was wrong is not made again
		return f, fmt.Errorf("%w: %w, and of its tries %d are left", ErrForeign, ErrPINUnknown, f.PIN.Left)
	}
	p.Steps = append(p.Steps, Step{Do: TryNew, Guess: true})
	f.PIN.Default, f.PUK.Default = Yes, Yes
	destroy(p.secrets.PIN)
	destroy(p.secrets.PUK)
	p.secrets.PIN, p.secrets.PUK = nil, nil
	return f, nil
}

// forgetFormer: a card that says that it has the secrets of a new one was reset since PIN and PUK were kept; a holder who knew them may have
// been another.
func (p *Plan) forgetFormer(f Facts) {
	isNew := p.keep(DefaultManagementKey())
	if !f.Metadata() || !p.current.Equal(isNew) {
		return
	}
	for _, of := range []struct {
		ref  Reference
		list *[]token.Escrow
	}{{f.PIN, &p.secrets.PIN}, {f.PUK, &p.secrets.PUK}} {
		if of.ref.Default != Yes {
			continue
		}
		for _, e := range *of.list {
			e.Secret.Destroy()
			p.former = append(p.former, token.Escrow{ID: e.ID, What: e.What})
		}
		*of.list = nil
	}
}

const (
	freshTries = 3  // of a new card
	maxTold    = 15 // what a status word can say
)

func (p *Plan) planManagement() error {
	if p.current.Len() == 0 {
		return fmt.Errorf("%w: %w; its keys and certificates would be lost by a reset", ErrForeign, unknownManagement(p.Facts))
	}
	if e, ok := held(p.secrets.Management); ok && e.Secret.Equal(p.current) && len(p.secrets.Management) == 1 {
		return nil
	}
	step := Step{Do: SetManagementKey, olds: []secret.Bytes{p.current}}
	if e, ok := inFlight(p.secrets.Management); ok {
		step.now, step.Resumed = e, true
	}
	for _, e := range p.secrets.Management { // what it has already is settled, not replaced
		if e.Secret.Equal(p.current) {
			step.now = e
		}
	}
	p.Steps = append(p.Steps, step)
	return nil
}

// planTries sets the tries where they are others. That sets PIN and PUK to the default ones, so on firmware that does not tell whether
// they are, it is done before anything else.
func (p *Plan) planTries(f Facts) error {
	w := p.want
	if w.PINTries == 0 || f.PIN.Total == w.PINTries && f.PUK.Total == w.PUKTries {
		return nil
	}
	if begun := len(p.secrets.PIN) > 0; !f.Metadata() && begun {
		if _, done := held(p.secrets.PIN); !done || f.PIN.Left == min(w.PINTries, maxTold) {
			return nil // they were set before a PIN was kept
		}
		return &UnsupportedError{What: "changing the tries of a card in use", Has: f.Version, Since: ykslot.Version{Major: 5, Minor: 3}}
	}
	step := Step{Do: SetTries}
	var err error
	if step.olds, err = p.olds(f, token.PIVPIN); err != nil {
		return err
	}
	if len(step.olds) > 1 {
		return fmt.Errorf("tries: %w: a change of it was interrupted and must be finished first", ErrPINUnknown)
	}
	p.Steps = append(p.Steps, step)
	return p.tryable(f.PIN, token.PIVPIN)
}

// tryable is an error where a PIN or PUK must not be tried.
func (p *Plan) tryable(ref Reference, what token.EscrowKind) error {
	switch {
	case ref.Left == 0:
		return &PINError{What: what}
	case ref.Left == 1 && !p.want.Given.LastTry:
		return &LastTryError{What: what}
	}
	return nil
}

// planPIN plans the change of PIN or PUK.
func (p *Plan) planPIN(f Facts, what token.EscrowKind, do Action) error {
	list, ref, isNew := p.secrets.PIN, f.PIN, DefaultPIN
	if what == token.PIVPUK {
		list, ref, isNew = p.secrets.PUK, f.PUK, DefaultPUK
	}
	typed := what == token.PIVPIN && p.want.PIN.Len() > 0
	step := Step{Do: do}
	if e, ok := held(list); ok {
		step.now = e
	}
	if e, ok := inFlight(list); ok {
		step.now, step.Resumed = e, true
	}
	if typed && !(step.now.ID != 0 && step.now.Secret.Equal(p.want.PIN)) {
		step.now, step.Resumed = token.Escrow{}, false
		for _, e := range list {
			if e.Secret.Equal(p.want.PIN) {
				step.now, step.Resumed = e, !e.Held
			}
		}
	}
	if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Do == SetTries }) {
		step.olds = []secret.Bytes{p.keep(isNew())}
		p.Steps = append(p.Steps, step)
		return nil
	}
	if step.now.Held && ref.Default != Yes && len(list) == 1 {
		return nil // it is what it shall be
	}
	var err error
	if step.olds, err = p.olds(f, what); err != nil {
		return err
	}
	// The PUK is the card's and ours by then.
	step.byPUK = what == token.PIVPIN && (len(step.olds) > 1 || ref.Left == 0)
	p.Steps = append(p.Steps, step)
	if step.byPUK {
		ref, what = f.PUK, token.PIVPUK
	}
	return p.tryable(ref, what)
}

// olds are what the PIN or PUK of the card may be now, the likeliest first.
func (p *Plan) olds(f Facts, what token.EscrowKind) (olds []secret.Bytes, err error) {
	list, ref, given, isNew, unknown := p.secrets.PIN, f.PIN, p.want.Given.PIN, DefaultPIN, ErrPINUnknown
	if what == token.PIVPUK {
		list, ref, given, isNew, unknown = p.secrets.PUK, f.PUK, p.want.Given.PUK, DefaultPUK, ErrPUKUnknown
	}
	if ref.Default == Yes {
		return []secret.Bytes{p.keep(isNew())}, nil
	}
	_, begun := inFlight(p.secrets.PUK) // by a run that had found a new card, see Runner.ahead
	if _, pin := inFlight(p.secrets.PIN); pin && what == token.PIVPIN {
		begun = true
	}
	if given.Len() > 0 {
		if err := Possible(what, given); err != nil {
			return nil, err
		}
		olds = append(olds, given)
	} else if _, done := held(list); ref.Default == Unknown && p.ours() && !done && begun {
		olds = append(olds, p.keep(isNew()))
	}
	for _, e := range list {
		if given.Len() == 0 || !e.Held { // what was on its way may have got there
			olds = append(olds, e.Secret)
		}
	}
	if len(olds) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrForeign, unknown)
	}
	return olds, nil
}
