package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// How long a block waits for the servers that the token was given to before it shows its result, how long they are asked altogether,
// and how often the result looks again, in seconds.
const (
	settleShown = 3 * time.Second
	settleMost  = 2 * time.Minute
	lookAgain   = 4
)

// blockPage asks before a token is blocked.
type blockPage struct {
	tokenPage
	Reasons []token.Reason
	Reason  token.Reason
	Note    string
	Until   string // 2006-01-02
	Today   string
}

// askBlock names what is about to be blocked.
func (v *visit) askBlock() error {
	form := v.r.PostForm // of before a log-in
	b := desk.Block{Reason: cmp.Or(token.Reason(form.Get("reason")), token.ReasonLost), Note: form.Get("note")}
	return v.blockPage(http.StatusOK, b, form.Get("until"), "")
}

func (v *visit) blockPage(status int, b desk.Block, until, problem string) error {
	t, err := v.tokenPage("Block a token")
	if err != nil {
		return err
	}
	if !t.Blockable {
		return &token.TransitionError{From: t.Token.State, Event: token.Lose}
	}
	p := blockPage{t, token.Reasons(), b.Reason, b.Note, until, v.start.Local().AddDate(0, 0, 1).Format(time.DateOnly)}
	p.Narrow, p.Problem = true, problem
	v.render(status, "block", p)
	return nil
}

// block is the red button. It is done when this server has done it; other servers are asked while the operator reads on.
func (v *visit) block() error {
	form := v.r.PostForm
	b := desk.Block{Reason: token.Reason(form.Get("reason")), Note: strings.TrimSpace(form.Get("note"))}
	until := form.Get("until")
	if until != "" {
		day, err := time.ParseInLocation(time.DateOnly, until, v.start.Local().Location())
		if err != nil {
			return v.blockPage(http.StatusBadRequest, b, "", "The date is not understood: write it as 2026-12-24.")
		}
		b.Until = day
	}
	_, now, _, err := v.Desk.Block(v.ctx, v.query(), b)
	var text *desk.TextError
	switch {
	case errors.Is(err, desk.ErrReason):
		return v.blockPage(http.StatusBadRequest, b, until, "Choose what happened.")
	case errors.As(err, &text):
		return v.blockPage(http.StatusBadRequest, b, until, "The field “"+text.Field+"”: "+text.Cause+".")
	case err != nil:
		return err
	}
	v.settle(now.ID)
	v.goTo(tokenPath(now.ID) + "/blocked")
	return nil
}

// settle has other servers asked, and waits a moment for them.
func (v *visit) settle(id token.ID) {
	if v.Settle == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), settleMost)
		defer cancel()
		v.Settle(ctx, id)
	}()
	timer := time.NewTimer(settleShown)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-v.ctx.Done():
	}
}

// settleAgain asks other servers once more.
func (v *visit) settleAgain() error {
	t, _, err := v.Desk.Show(v.ctx, v.query())
	if err != nil {
		return err
	}
	v.settle(t.ID)
	v.goTo(tokenPath(t.ID))
	return nil
}

// blockedPage is what a block came to.
type blockedPage struct {
	tokenPage
	Browsers, Links int // that it ended
}

// showBlocked reads everything anew, so that it can be loaded again.
func (v *visit) showBlocked() error {
	t, err := v.tokenPage("Blocked")
	if err != nil {
		return err
	}
	if !t.Token.State.Blocked() {
		v.goTo(tokenPath(t.Token.ID))
		return nil
	}
	p := blockedPage{tokenPage: t}
	p.Narrow = true
	for _, at := range t.Targets {
		if at.StillValid && v.start.Before(t.Token.BlockedAt.Add(settleMost)) {
			p.Refresh = lookAgain
		}
	}
	events, err := v.Desk.History(v.ctx, v.query(), mostEvents)
	if err != nil {
		return err
	}
	p.Browsers, p.Links = ended(events, t.Token.BlockedAt)
	v.render(http.StatusOK, "blocked", p)
	return nil
}

// ended counts the browsers and links that the blocks since then ended.
func ended(events []desk.Happened, since time.Time) (browsers, links int) {
	for _, e := range events {
		if e.Action != "token.block" || e.At.Before(since) {
			continue
		}
		fields := details(e.Detail)
		count := func(key string) int {
			n, _ := fields[key].(interface{ String() string })
			if n == nil {
				return 0
			}
			i, _ := strconv.Atoi(n.String())
			return i
		}
		browsers, links = browsers+count("browsers"), links+count("links")
	}
	return browsers, links
}

// undo takes a slip back.
func (v *visit) undo() error {
	t, err := v.Desk.Undo(v.ctx, v.query())
	var no *desk.UndoError
	if errors.As(err, &no) {
		return &refusal{http.StatusConflict, "Not undone", "The block cannot be undone: " + no.Cause + ". “Restore” is the way back: it asks for a code of the token."}
	}
	if err != nil {
		return err
	}
	v.settle(t.ID)
	v.goTo(tokenPath(t.ID) + "?said=undone")
	return nil
}
