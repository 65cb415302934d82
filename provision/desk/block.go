package desk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// ErrReason is a word that is no reason for blocking.
var ErrReason = errors.New("a reason is one of lost, stolen, damaged, forgotten, left")

// Block says why a token is blocked.
type Block struct {
	Reason token.Reason
	Note   string
	Until  time.Time // a suspension ends by itself then; zero: it does not
}

// Effects are what a block ended beside the token: of its holder.
type Effects struct {
	Browsers int `json:"browsers"` // that were trusted
	Links    int `json:"links"`    // that were open
	Codes    int `json:"codes"`    // temporary and recovery codes: only for token.ReasonLeft, as the others need them now
}

// Block blocks a token and everything on it. When it returns, no server process accepts a code of it, and its holder's trusted
// browsers and open links are gone, and the codes of one who left. It needs no proof. was is the token before. One that is blocked already stays blocked at
// least as hard and at least as long, and a new reason is kept in the audit chain; see Life.Block. A revoked token is a
// *token.TransitionError; the others are ErrReason and *TextError.
func (d *Desk) Block(ctx context.Context, query string, b Block) (was, now token.Token, effects Effects, err error) {
	if err := d.checkBlock(b); err != nil {
		return was, now, effects, err
	}
	if was, err = d.Find(ctx, query); err != nil {
		return was, now, effects, err
	}
	if effects, err = d.Store.Block(ctx, was.ID, b); err != nil {
		return was, now, effects, fmt.Errorf("block %s: %w", Name(was), err)
	}
	now, err = d.again(ctx, was)
	return was, now, effects, err
}

func (d *Desk) checkBlock(b Block) error {
	event, ok := b.Reason.Event()
	switch {
	case !ok:
		return ErrReason
	case !b.Until.IsZero() && event != token.Suspend:
		return &TextError{"until", "only a suspension ends by itself: reasons forgotten and left"}
	case !b.Until.IsZero() && !b.Until.After(d.Now()):
		return &TextError{"until", "is not in the future"}
	}
	return checkText("note", b.Note, false)
}

// again reads a token anew.
func (d *Desk) again(ctx context.Context, t token.Token) (token.Token, error) {
	list, err := d.Store.Tokens(ctx, Match{ID: t.ID})
	if err == nil && len(list) != 1 {
		err = token.ErrNotFound
	}
	if err != nil {
		return t, err
	}
	return list[0], nil
}
