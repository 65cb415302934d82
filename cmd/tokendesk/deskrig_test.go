package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// plugDesk gives a desk a store that can go away, and a screen that does not wait for typing as long as a person's.
func plugDesk(e *env) {
	if file := os.Getenv("STORE_AWAY"); file != "" {
		e.deskStore = func(s enroller) enroller { return awayStore{s, file} }
	}
	if d, err := time.ParseDuration(os.Getenv("TYPING")); err == nil {
		e.typingPause = d
	}
}

// awayStore answers nothing while a file is there. With "answers" in it, it does what it was asked for, and the answer is lost.
type awayStore struct {
	enroller
	file string
}

var errAway = errors.New("connection refused")

func (s awayStore) call(do func() error) error {
	how, err := os.ReadFile(s.file)
	if err != nil {
		return do()
	}
	if string(how) == "answers" {
		_ = do() // nobody learns of it
	}
	return errAway
}

func (s awayStore) Reserve(ctx context.Context, r token.Reservation) (e token.Entry, err error) {
	err = s.call(func() error { e, err = s.enroller.Reserve(ctx, r); return err })
	return e, err
}

func (s awayStore) Seal(ctx context.Context, id token.EntryID, x token.Secrets) error {
	return s.call(func() error { return s.enroller.Seal(ctx, id, x) })
}

func (s awayStore) Mark(ctx context.Context, id token.EntryID, p token.Phase) error {
	return s.call(func() error { return s.enroller.Mark(ctx, id, p) })
}

func (s awayStore) Commit(ctx context.Context, id token.EntryID, c *token.Counters) error {
	return s.call(func() error { return s.enroller.Commit(ctx, id, c) })
}

func (s awayStore) Abort(ctx context.Context, id token.EntryID, from token.Phase, why string, c *token.Counters) error {
	return s.call(func() error { return s.enroller.Abort(ctx, id, from, why, c) })
}

func (s awayStore) Search(ctx context.Context, q string, most int) (hits []desk.Hit, err error) {
	err = s.call(func() error { hits, err = s.enroller.Search(ctx, q, most); return err })
	return hits, err
}

func (s awayStore) Open(ctx context.Context) (list []token.Entry, err error) {
	err = s.call(func() error { list, err = s.enroller.Open(ctx); return err })
	return list, err
}

func (s awayStore) Bind(ctx context.Context, otp string, i desk.Issue) (t token.Token, r token.Receipt, p desk.Proof, err error) {
	err = s.call(func() error { t, r, p, err = s.enroller.Bind(ctx, otp, i); return err })
	return t, r, p, err
}
