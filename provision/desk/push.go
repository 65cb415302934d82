package desk

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Connect opens a target: the kind's constructor, made patient. It sends nothing. The credential is destroyed after the last use
// of what it returns.
type Connect func(s push.Server, credential secret.Bytes) (push.Target, error)

// PushOutcome is what became of one credential at one target. Its text is for staff.
type PushOutcome string

// The outcomes.
const (
	Enrolled     PushOutcome = "enrolled"
	AlreadyThere PushOutcome = "already there"
	Disabled     PushOutcome = "disabled"
	Enabled      PushOutcome = "enabled"
	Refused      PushOutcome = "refused" // repeating does not help: see Note
	Waiting      PushOutcome = "waiting" // Settle goes on with it
)

// Pushed is what became of one credential at one target.
type Pushed struct {
	Token      string // Name
	Target     string
	Serial     string // there
	Outcome    PushOutcome
	Note       string         // never a secret
	Loss       []keyfile.Loss // what the target does not keep
	StillValid bool           // the token is blocked or replaced here, and the target may accept it
}

// Push enrols credentials at a target and says how many; they are sent as the sequence is taken. Without queries it is the default
// set of Export; with queries the live credentials of the tokens that they name, but never one that is blocked or uncertain.
// What a target refuses or what waits is a Pushed; an error of the sequence ends it. Each credential is noted in the store, with
// an audit event, before its secret leaves, so that Settle can go on after an interruption and Block reaches it.
func (d *Desk) Push(ctx context.Context, connect Connect, target string, queries ...string) (int, iter.Seq2[Pushed, error], error) {
	s, err := d.selected(ctx, target, queries)
	if err != nil {
		return 0, nil, err
	}
	return len(s.list), s.each(d, connect, func(r runner, id token.CredentialID) (Pushed, error) {
		return r.enrol(ctx, s.target, id, s.there[id])
	}), nil
}

// selection is what a push is about.
type selection struct {
	target Target
	tokens []token.ID // that were named
	list   []token.CredentialID
	there  map[token.CredentialID]bool // what is there is not refused, such as for a counter that moved since
}

func (d *Desk) selected(ctx context.Context, target string, queries []string) (s selection, err error) {
	if s.target, err = d.target(ctx, target); err != nil {
		return s, err
	}
	if s.tokens, err = d.named(ctx, queries); err != nil {
		return s, err
	}
	if s.list, err = d.Store.Exportable(ctx, s.tokens); err != nil {
		return s, err
	}
	pushes, err := d.Store.Pushes(ctx, PushFilter{Target: s.target.ID, Tokens: s.tokens})
	s.there = map[token.CredentialID]bool{}
	for _, p := range pushes {
		s.there[p.Credential] = p.Enrolled
	}
	return s, err
}

// each does one credential after the other as the sequence is taken.
func (s selection) each(d *Desk, connect Connect, do func(r runner, id token.CredentialID) (Pushed, error)) iter.Seq2[Pushed, error] {
	return func(yield func(Pushed, error) bool) {
		r := runner{d: d, connect: connect, lines: map[int64]*line{}}
		defer r.close()
		for _, id := range s.list {
			out, err := do(r, id)
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// Settle works off what targets have not confirmed: of these tokens, or of all. It may be interrupted, repeated and run by several
// processes. Tokens that are to be disabled come first. A target that does not answer is asked no more in this run.
func (d *Desk) Settle(ctx context.Context, connect Connect, tokens ...token.ID) iter.Seq2[Pushed, error] {
	return d.settle(ctx, connect, tokens, func(Push) bool { return true })
}

// SettleMoved is Settle without what is to be enrolled: for servers, which follow blocks and restores but leave a push to whoever
// began it.
func (d *Desk) SettleMoved(ctx context.Context, connect Connect, tokens ...token.ID) iter.Seq2[Pushed, error] {
	return d.settle(ctx, connect, tokens, func(p Push) bool { return p.Wanted != WantEnrolled })
}

func (d *Desk) settle(ctx context.Context, connect Connect, tokens []token.ID, which func(Push) bool) iter.Seq2[Pushed, error] {
	return func(yield func(Pushed, error) bool) {
		list, err := d.Store.Pushes(ctx, PushFilter{Tokens: tokens, Pending: true})
		if err != nil {
			yield(Pushed{}, err)
			return
		}
		r := runner{d: d, connect: connect, lines: map[int64]*line{}}
		defer r.close()
		for _, p := range list {
			if !which(p) {
				continue
			}
			out, err := r.try(ctx, p)
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// runner keeps the targets of one run open.
type runner struct {
	d       *Desk
	connect Connect
	lines   map[int64]*line
}

// line is a target, nil if it could not be opened; down says why it is asked no more.
type line struct {
	push.Target
	credential secret.Bytes
	down       error
}

func (r runner) close() {
	for _, l := range r.lines {
		l.credential.Destroy()
	}
}

// line is a target that was opened, or why it could not be: what is wrong with one must not keep the others waiting.
func (r runner) line(ctx context.Context, t Target) *line {
	if l := r.lines[t.ID]; l != nil {
		return l
	}
	l := &line{}
	l.credential, l.down = r.d.Store.TargetCredential(ctx, t.ID)
	if l.down == nil {
		l.Target, l.down = r.connect(t.Server, l.credential)
	}
	r.lines[t.ID] = l
	return l
}

// look reads a credential and says what the target loses of it. A *keyfile.LossError says that it must not go there.
func (r runner) look(ctx context.Context, t Target, id token.CredentialID, there bool) (Pushed, push.Place, error) {
	l := r.line(ctx, t)
	if l.Target == nil {
		return Pushed{}, push.Place{}, l.down
	}
	rec, err := r.d.Store.Record(ctx, id)
	if err != nil {
		return Pushed{}, push.Place{}, err
	}
	defer rec.Destroy()
	out := Pushed{Token: rec.Name(), Target: t.Name, Serial: push.Serial(rec), Loss: l.Loss(rec)}
	if !there {
		err = keyfile.Refused(t.Name, rec, out.Loss)
	}
	return out, push.Place{Serial: out.Serial, Account: rec.Owner}, err
}

// refused makes err the outcome if it says that a credential is not to be pushed.
func (p *Pushed) refused(err error) bool {
	var loss *keyfile.LossError
	var not *NotPushableError
	switch {
	case errors.As(err, &loss):
		p.Note = loss.Error()
	case errors.As(err, &not):
		p.Note = not.Error()
	default:
		return false
	}
	p.Outcome = Refused
	return true
}

// enrol notes a credential and tries once.
func (r runner) enrol(ctx context.Context, t Target, id token.CredentialID, there bool) (Pushed, error) {
	out, at, err := r.look(ctx, t, id, there)
	var p Push
	if err == nil {
		p, err = r.d.Store.WantPush(ctx, t.ID, id, at)
	}
	switch {
	case out.refused(err):
		return out, nil
	case err != nil:
		return out, err
	}
	done, err := r.try(ctx, p)
	done.Loss = out.Loss
	return done, err
}

// try does what is wanted of a push, unless its target is down.
func (r runner) try(ctx context.Context, p Push) (Pushed, error) {
	out := Pushed{Token: Name(p.Token), Target: p.Target.Name, Serial: p.Place.Serial, Outcome: Waiting, StillValid: p.StillValid()}
	l := r.line(ctx, p.Target)
	if l.down != nil {
		out.Note = "not tried: " + l.down.Error()
		return out, nil
	}
	p, err := r.d.Store.BeginPush(ctx, p.ID)
	if err != nil {
		return out, err
	}
	result, err := r.perform(ctx, l, p)
	if err != nil && ctx.Err() != nil { // it may or may not have been done: the next try looks
		return out, ctx.Err()
	}
	e := PushEnd{Push: p, Done: err == nil, Handle: result.Handle}
	out.Outcome, e.Error = outcome(result, err)
	var none *push.UnreachableError
	switch {
	case out.Outcome == "":
		return out, err
	case errors.As(err, &none):
		l.down, e.Doubt = err, DoubtUnanswered
	case out.Outcome == Waiting:
		l.down = err
	case e.Done && p.Wanted == WantDisabled && p.Doubt.After(r.d.Now()):
		e.Done, e.Error, out.Outcome = false, "disabled, but an earlier request without an answer may still arrive", Waiting
	}
	out.Note = e.Error
	now, err := r.d.Store.EndPush(context.WithoutCancel(ctx), e)
	if err == nil && now.Wanted != p.Wanted { // it was blocked or restored meanwhile
		return r.try(ctx, now)
	}
	out.StillValid = now.StillValid()
	return out, err
}

// outcome says what a call came to, and why it is not done; no outcome for an error that no target makes.
func outcome(r push.Result, err error) (PushOutcome, string) {
	var (
		auth    *push.AuthError
		refused *push.RefusedError
		none    *push.UnreachableError
		loss    *keyfile.LossError
	)
	switch {
	case err == nil && r.Status == push.Gone:
		return Disabled, ""
	case err == nil:
		return PushOutcome(r.Status), ""
	case errors.As(err, &auth):
		return Waiting, auth.Error()
	case errors.As(err, &none):
		return Waiting, none.Error()
	case errors.As(err, &refused):
		return Refused, refused.Error()
	case errors.As(err, &loss):
		return Refused, loss.Error()
	}
	return "", ""
}

// perform asks the target for what is wanted. The holder is the one at the time of the push, in the record too.
func (r runner) perform(ctx context.Context, l *line, p Push) (push.Result, error) {
	if p.Wanted == WantDisabled {
		return l.Disable(ctx, p.Place)
	}
	rec, err := r.d.Store.Record(ctx, p.Credential)
	if err != nil {
		return push.Result{}, err
	}
	defer rec.Destroy()
	rec.Owner = p.Place.Account
	switch p.Wanted {
	case WantEnrolled:
		if err := keyfile.Refused(p.Target.Name, rec, l.Loss(rec)); err != nil && !p.Enrolled { // its counter moved while it waited
			return push.Result{}, err
		}
		return l.Enrol(ctx, rec, p.Place)
	case WantEnabled:
		return l.Enable(ctx, rec, p.Place)
	}
	return push.Result{}, fmt.Errorf("%w: a push that is to be %s", token.ErrIntegrity, p.Wanted)
}
