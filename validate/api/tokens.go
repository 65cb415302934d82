package api

import (
	"context"
	"errors"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// proofAnswer is what came of a verb that asks for codes. Refused leaves the token as it was; with another token's code the token may
// be that one.
type proofAnswer struct {
	Result string     `json:"result"` // "done" or "refused"
	Proof  desk.Proof `json:"proof"`
	Token  tokenView  `json:"token"`
}

func proofOf(t token.Token, p desk.Proof, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	a := proofAnswer{"refused", p, viewToken(t)}
	if p == desk.Proven {
		a.Result = "done"
	}
	return a, nil
}

// moved is proofOf where what is wanted at other servers changes with it.
func (c *call) moved(t token.Token, p desk.Proof, err error) (any, error) {
	if err == nil && p == desk.Proven {
		c.settle(t.ID)
	}
	return proofOf(t, p, err)
}

// settle has the servers asked that tokens were given to, after the answer; 0 is none. What they do not confirm then waits for
// keyfile push --retry.
func (c *call) settle(list ...token.ID) {
	if c.Settle == nil {
		return
	}
	c.after = func(ctx context.Context) error {
		var failed []error
		for _, id := range list {
			if id != 0 {
				failed = append(failed, c.Settle(ctx, id))
			}
		}
		return errors.Join(failed...)
	}
}

type blockRequest struct {
	Reason token.Reason `json:"reason"`
	Note   string       `json:"note"`
	Until  time.Time    `json:"until"` // RFC 3339
}

type blockAnswer struct {
	Was     token.State  `json:"was"`
	Effects desk.Effects `json:"effects"`
	Token   tokenView    `json:"token"`
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
	c.settle(now.ID)
	return blockAnswer{was.State, effects, viewToken(now)}, nil
}

type nothing struct{}

type changedAnswer struct {
	Token tokenView `json:"token"`
}

func (c *call) changed(t token.Token, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	c.settle(t.ID)
	return changedAnswer{viewToken(t)}, nil
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
	return c.moved(c.Desk.Restore(c.ctx, c.id(), q.Codes))
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
	if err == nil && proof == desk.Proven {
		c.settle(t.ID, q.Replace)
	}
	return proofOf(t, proof, err)
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

type returnRequest struct {
	Codes []string `json:"codes"`
	Note  string   `json:"note"`
}

func (c *call) giveBack() (any, error) {
	q, err := read[returnRequest](c)
	if err != nil {
		return nil, err
	}
	return c.moved(c.Desk.Return(c.ctx, c.id(), q.Codes, q.Note))
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
