package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// settlePauses are between the rounds in which a block or a restore asks the targets again; settlePatience bounds them all,
// together with the tries and pauses of each round.
var settlePauses = []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}

const settlePatience = 2 * time.Minute

// settleTargets asks every target that a token was pushed to for what a block or a restore wants there. What is done here is
// durable before it begins. It ends when all is confirmed, when patience is over, or by Ctrl-C; the rest stays for keyfile push --retry.
func (a *app) settleTargets(ctx context.Context, d *desk.Desk, t token.Token) error {
	pending := func(ctx context.Context) ([]desk.Push, error) {
		return d.Store.Pushes(ctx, desk.PushFilter{Tokens: []token.ID{t.ID}, Pending: true})
	}
	list, err := pending(context.WithoutCancel(ctx))
	if err != nil || len(list) == 0 {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	err = a.settleRounds(patient, d, t.ID, a.sayPushed, func(ctx context.Context, pause time.Duration) error {
		a.say("asking again in %v; Ctrl-C leaves it to: tokendesk keyfile push --retry", pause)
		return a.pause(ctx, pause)
	})
	if err != nil && patient.Err() == nil {
		return err
	}
	if list, err = pending(context.WithoutCancel(ctx)); err != nil || len(list) == 0 {
		return err
	}
	return settleProblem(t, list)
}

// settleRounds goes on while something waits, and waits between its rounds. What a target refuses is asked once.
func (a *app) settleRounds(ctx context.Context, d *desk.Desk, id token.ID, seen func(desk.Pushed), wait func(context.Context, time.Duration) error) error {
	for round := 0; ; round++ {
		waiting := false
		for p, err := range d.Settle(ctx, a.connect, id) {
			if err != nil {
				return err
			}
			seen(p)
			waiting = waiting || p.Outcome == desk.Waiting
		}
		if !waiting || round == len(settlePauses) {
			return nil
		}
		if err := wait(ctx, settlePauses[round]); err != nil {
			return err
		}
	}
}

// sayPushed tells the outcome at one target.
func (a *app) sayPushed(p desk.Pushed) {
	switch {
	case p.StillValid:
		a.say("still valid at %s (%s): %s", printable(p.Target), printable(p.Serial), printable(p.Note))
	case p.Outcome == desk.Waiting, p.Outcome == desk.Refused:
		a.say("not done at %s (%s): %s", printable(p.Target), printable(p.Serial), printable(p.Note))
	default:
		a.say("%s at %s (%s)", p.Outcome, printable(p.Target), printable(p.Serial))
	}
}

// settleProblem says where a token that is blocked here is still valid, or where one that is back is not yet valid.
func settleProblem(t token.Token, list []desk.Push) error {
	var names []string
	valid := false
	for _, p := range list {
		valid = valid || p.StillValid()
		if name := printable(p.Target.Name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	where := strings.Join(names, ", ")
	p := problemf(exitPartly, "%s is back here, and not yet at %s", desk.Name(t), where)
	if valid {
		p = problemf(exitPartly, "%s %s here, and still valid at %s", desk.Name(t), ended(t.State), where)
	}
	return p.hint("go on with it: tokendesk keyfile push --retry").hint("see: tokendesk keyfile push --status")
}

// ended is what became of a token that must not be valid anywhere.
func ended(s token.State) string {
	switch s {
	case token.Revoked:
		return "is given up"
	case token.InStock, token.Pending:
		return "is taken back"
	}
	return "is blocked"
}

// explainTarget: a server that tokens are pushed to.
func explainTarget(err error, x *explained) bool {
	var live *desk.LiveError
	switch {
	case errors.Is(err, desk.ErrTarget):
		x.code = exitNotFound
		x.line = "there is no target of this name"
		x.hints = []string{"see: tokendesk target list"}
	case errors.As(err, &live):
		x.code = exitRefused
		x.hints = []string{"see them: tokendesk keyfile push --status"}
	default:
		return false
	}
	return true
}
