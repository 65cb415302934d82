package console

import (
	"errors"
	"net/http"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// restorePage asks for the proof that a token is back.
type restorePage struct {
	tokenPage
	Second bool // two codes are needed
}

// askRestore is the form.
func (v *visit) askRestore() error { return v.restorePage(http.StatusOK, "", false) }

func (v *visit) restorePage(status int, problem string, second bool) error {
	t, err := v.tokenPage("Restore a token")
	if err != nil {
		return err
	}
	if !t.Restorable {
		return &token.TransitionError{From: t.Token.State, Event: token.Restore}
	}
	p := restorePage{t, second}
	p.Narrow, p.Problem = true, problem
	v.render(status, "restore", p)
	return nil
}

// notProven says what was wrong with the codes that were typed.
var notProven = map[desk.Proof]string{
	desk.NoCode:     "This is neither a one-time password nor a code. Is the cursor in the field? Touch the key once.",
	desk.WrongCode:  "The code is wrong. Wait for the next one and type that.",
	desk.OtherToken: "This code is of another token. Compare the number that is printed on it.",
	desk.NeedSecond: "The token is out of step. Type two codes that follow one another.",
	desk.NotNewer:   "This code was used before, or an older one was kept. Make a new one: touch the key again, or wait for the next code.",
	desk.NotIssued:  "What made this code was never put to use here.",

	desk.WrongNumber: "The number is not the one that was told.", // of what came by post: no page asks for it
	desk.NumberOver:  "The number is not good any more: give out another one.",
}

// restore gives a token back to its holder.
func (v *visit) restore() error {
	var codes []string
	for _, field := range []string{"code", "second"} {
		if text := strings.TrimSpace(v.r.PostForm.Get(field)); text != "" {
			codes = append(codes, text)
		}
	}
	t, proof, err := v.Desk.Restore(v.ctx, v.query(), codes)
	var locked *desk.LockedError
	switch {
	case errors.As(err, &locked):
		return v.restorePage(http.StatusTooManyRequests, "Too many wrong codes. Wait until "+locked.Until.Local().Format("2 Jan, 15:04")+".", len(codes) > 1)
	case err != nil:
		return err
	case proof != desk.Proven:
		return v.restorePage(http.StatusUnprocessableEntity, notProven[proof], proof == desk.NeedSecond || len(codes) > 1)
	}
	v.settle(t.ID)
	v.goTo(tokenPath(t.ID) + "?said=restored")
	return nil
}
