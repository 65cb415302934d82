package desk

import (
	"context"
	"iter"

	"github.com/tokendesk/tokendesk/provision/token"
)

// WouldEnrol is an outcome of PlanPush.
const WouldEnrol PushOutcome = "would be enrolled"

// PlanPush is Push without doing it: nothing is sent, noted or written to the audit chain. What only the target knows is not in it.
func (d *Desk) PlanPush(ctx context.Context, connect Connect, target string, queries ...string) (int, iter.Seq2[Pushed, error], error) {
	s, err := d.selected(ctx, target, queries)
	if err != nil {
		return 0, nil, err
	}
	why, err := d.unpushable(ctx, s.tokens)
	if err != nil {
		return 0, nil, err
	}
	return len(s.list), s.each(d, connect, func(r runner, id token.CredentialID) (Pushed, error) {
		out, _, err := r.look(ctx, s.target, id, s.there[id])
		if err == nil && why[id] != "" {
			err = &NotPushableError{Cause: why[id]}
		}
		out.Outcome = WouldEnrol
		switch {
		case out.refused(err):
			err = nil
		case s.there[id]:
			out.Outcome = AlreadyThere
		}
		return out, err
	}), nil
}

// unpushable says which credentials of these tokens must not be pushed, and why. Those of the default set all may be.
func (d *Desk) unpushable(ctx context.Context, tokens []token.ID) (map[token.CredentialID]string, error) {
	why := map[token.CredentialID]string{}
	for _, id := range tokens {
		t, err := d.again(ctx, token.Token{ID: id})
		if err != nil {
			return nil, err
		}
		list, err := d.Store.Credentials(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			why[c.ID] = Unpushable(t, c)
		}
	}
	return why, nil
}

// Unpushable says why a credential must not become valid elsewhere, "" if it may. A row that is off although both states validate
// is uncertain.
func Unpushable(t token.Token, c token.Credential) string {
	switch {
	case t.State.Blocked():
		return "its token is blocked"
	case t.State == token.Revoked || c.State == token.Revoked:
		return "it was given up here"
	case t.State == token.Pending || c.State == token.Pending:
		return "it was never written"
	case t.State.Validates() && c.State.Validates() && !c.Enabled:
		return "a write of its slot is not finished"
	}
	return ""
}
