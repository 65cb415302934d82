package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// proofAnswer is what came of a verb that asks for codes. Refused leaves the token as it was; with another token's code the token may
// be that one.
type proofAnswer struct {
	Result     string     `json:"result"` // "done" or "refused"
	Proof      desk.Proof `json:"proof"`
	Token      tokenView  `json:"token"`
	Replaced   *tokenView `json:"replaced,omitempty"` // by it
	StillValid []string   `json:"still_valid_at,omitempty"`
}

func proofOf(t token.Token, p desk.Proof, err error) (any, error) {
	return answerOf(proofAnswer{Proof: p, Token: viewToken(t)}, err)
}

func answerOf(a proofAnswer, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	if a.Result = "refused"; a.Proof == desk.Proven {
		a.Result = "done"
	}
	return a, nil
}

// moved is proofOf where what is wanted at other servers changes with it. remains are those of the token.
func (c *call) moved(t token.Token, p desk.Proof, err error, remains func(context.Context, token.Token) (desk.Remains, error)) (any, error) {
	a := proofAnswer{Proof: p, Token: viewToken(t)}
	if err == nil && p == desk.Proven {
		a.StillValid = c.settle(t.ID)
		a.Token = c.viewWith(t, remains)
	}
	return answerOf(a, err)
}

// viewWith is viewToken with what remains. What was done is done: a failure costs only that.
func (c *call) viewWith(t token.Token, remains func(context.Context, token.Token) (desk.Remains, error)) tokenView {
	v := viewToken(t)
	r, err := remains(c.ctx, t)
	if err != nil {
		c.failed = errors.Join(c.failed, fmt.Errorf("read what remains of it: %w", err))
	}
	v.Remains = r
	if !c.operator.May(desk.RightFind) {
		v.Certificates = nameless(r.Certificates)
	}
	return v
}

// nameless are certificates without the names of those whom they are for, as they are told to who may not look for persons.
func nameless(list []desk.LiveCertificate) []desk.LiveCertificate {
	list = slices.Clone(list)
	for i := range list {
		c := &list[i]
		if c.SelfSigned || c.Issuer == c.Subject {
			c.Issuer = ""
		}
		c.Subject = ""
	}
	return list
}

// settle has the servers asked that tokens were given to, after the answer, and names those that may accept one that is blocked or
// given up here until they have confirmed. What was done here is done: a failure costs only the names.
func (c *call) settle(list ...token.ID) []string {
	var names, queries []string
	list = slices.DeleteFunc(list, func(id token.ID) bool { return id == 0 })
	for _, id := range list {
		queries = append(queries, desk.ByID(id))
	}
	if c.Settle != nil {
		c.after = func(context.Context) error {
			for _, id := range list {
				c.Settle(id)
			}
			return nil
		}
	}
	pushes, err := c.Desk.PushStatus(c.ctx, queries...)
	if err != nil {
		c.failed = errors.Join(c.failed, fmt.Errorf("read where it is still valid: %w", err))
	}
	for _, p := range pushes {
		if p.StillValid() && !slices.Contains(names, p.Target.Name) {
			names = append(names, p.Target.Name)
		}
	}
	return names
}

type blockRequest struct {
	Reason token.Reason `json:"reason"`
	Note   string       `json:"note"`
	Until  time.Time    `json:"until"` // RFC 3339
}

type blockAnswer struct {
	Was        token.State  `json:"was"`
	Effects    desk.Effects `json:"effects"`
	Token      tokenView    `json:"token"`
	StillValid []string     `json:"still_valid_at,omitempty"`
}

func (c *call) block() (any, error) {
	q, err := read[blockRequest](c)
	if err != nil {
		return nil, err
	}
	return c.blockAs(desk.Block{Reason: q.Reason, Note: q.Note, Until: q.Until})
}

type noteRequest struct {
	Note string `json:"note"`
}

func (c *call) lost() (any, error) {
	q, err := read[noteRequest](c)
	if err != nil {
		return nil, err
	}
	return c.blockAs(desk.Block{Reason: token.ReasonLost, Note: q.Note})
}

func (c *call) blockAs(b desk.Block) (any, error) {
	was, now, effects, err := c.Desk.Block(c.ctx, c.id(), b)
	if err != nil {
		return nil, err
	}
	return blockAnswer{was.State, effects, c.viewWith(now, c.Desk.Remains), c.settle(now.ID)}, nil
}

type nothing struct{}

type changedAnswer struct {
	Token      tokenView `json:"token"`
	StillValid []string  `json:"still_valid_at,omitempty"`
}

func (c *call) changed(t token.Token, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return changedAnswer{c.viewWith(t, c.Desk.Remains), c.settle(t.ID)}, nil
}

func (c *call) undo() (any, error) {
	if _, err := read[nothing](c); err != nil {
		return nil, err
	}
	return c.changed(c.Desk.Undo(c.ctx, c.id()))
}

type codesRequest struct {
	Codes []string `json:"codes"` // one, or two that follow each other
}

func (c *call) restore() (any, error) {
	q, err := read[codesRequest](c)
	if err != nil {
		return nil, err
	}
	t, proof, err := c.Desk.Restore(c.ctx, c.id(), q.Codes)
	return c.moved(t, proof, err, c.Desk.Remains)
}

type issueRequest struct {
	To      string       `json:"to"` // account
	IDCheck desk.IDCheck `json:"id_check"`
	Codes   []string     `json:"codes"`
	Replace token.ID     `json:"replace"` // the number of the token that it replaces
	Note    string       `json:"note"`
}

func (c *call) issue() (any, error) {
	q, err := read[issueRequest](c)
	if err != nil {
		return nil, err
	}
	i := desk.Issue{To: q.To, IDCheck: q.IDCheck, Codes: q.Codes, Note: q.Note}
	if q.Replace != 0 {
		i.Replace = desk.ByID(q.Replace)
	}
	t, proof, err := c.Desk.Issue(c.ctx, c.id(), i)
	a := proofAnswer{Proof: proof, Token: viewToken(t)}
	if err == nil && proof == desk.Proven {
		a.Replaced = c.replaced(i.Replace)
		a.Token = c.viewWith(t, c.Desk.Remains)
		a.StillValid = c.settle(t.ID, q.Replace)
	}
	return answerOf(a, err)
}

// replaced is the token that an issue revoked, nil for "".
func (c *call) replaced(query string) *tokenView {
	if query == "" {
		return nil
	}
	t, _, err := c.Desk.Show(c.ctx, query)
	if err != nil {
		c.failed = errors.Join(c.failed, fmt.Errorf("read what was replaced: %w", err))
		return nil
	}
	v := c.viewWith(t, c.Desk.Remains)
	return &v
}

type confirmRequest struct {
	Codes []string `json:"codes"`
	Name  string   `json:"name"` // as its holder calls it
}

func (c *call) confirm() (any, error) {
	q, err := read[confirmRequest](c)
	if err != nil {
		return nil, err
	}
	if err := c.stocked(); err != nil {
		return nil, err
	}
	return proofOf(c.Desk.Confirm(c.ctx, c.id(), q.Codes, q.Name))
}

type resyncRequest struct {
	First  string `json:"first"`
	Second string `json:"second"`
}

func (c *call) resync() (any, error) {
	q, err := read[resyncRequest](c)
	if err != nil {
		return nil, err
	}
	t, _, proof, err := c.Desk.Resync(c.ctx, c.id(), q.First, q.Second)
	return proofOf(t, proof, err)
}

type releaseRequest struct {
	Reason string `json:"reason"`
}

type releaseAnswer struct {
	Token    tokenView `json:"token"`
	Released bool      `json:"released"` // false: it was trusted already
}

func (c *call) release() (any, error) {
	q, err := read[releaseRequest](c)
	if err != nil {
		return nil, err
	}
	t, done, err := c.Desk.Release(c.ctx, c.id(), q.Reason)
	if err != nil {
		return nil, err
	}
	return releaseAnswer{viewToken(t), done}, nil
}

type returnRequest struct {
	Codes []string `json:"codes"`
	Note  string   `json:"note"`
}

func (c *call) giveBack() (any, error) {
	q, err := read[returnRequest](c)
	if err != nil {
		return nil, err
	}
	_, before, err := c.Desk.Show(c.ctx, c.id())
	if err != nil {
		return nil, err
	}
	t, proof, err := c.Desk.Return(c.ctx, c.id(), q.Codes, q.Note)
	return c.moved(t, proof, err, func(ctx context.Context, t token.Token) (desk.Remains, error) {
		return c.Desk.RemainsOf(ctx, t, before)
	})
}

func (c *call) retire() (any, error) {
	q, err := read[noteRequest](c)
	if err != nil {
		return nil, err
	}
	if err := c.stocked(); err != nil {
		return nil, err
	}
	return c.changed(c.Desk.Retire(c.ctx, c.id(), q.Note))
}

// stocked is token.ErrNotFound for a token in somebody's hands, if the operator may not look for those: who keeps the stock has the
// tokens that nobody holds, and those that were written for a person and wait for their first proof. Source: PRODUCT.md §5.3.
func (c *call) stocked() error {
	if c.operator.May(desk.RightFind) {
		return nil
	}
	t, _, err := c.Desk.Show(c.ctx, c.id())
	if err == nil && t.Holder != nil && t.State != token.Programmed {
		err = token.ErrNotFound
	}
	return err
}
