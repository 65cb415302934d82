package main

import (
	"context"
	"net/http"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/console"
)

// pages are those of the helpdesk, and the public one on which an app is set up.
func (s *serving) pages() http.Handler {
	c := console.Config{Desk: s.desk, Doctor: s.doctor, Now: s.now, Limit: s.limits.often, Observer: s.observer}
	c.Settle = func(ctx context.Context, id token.ID) {
		if err := s.settleRounds(ctx, s.desk, id, func(p desk.Pushed) { logPushed(ctx, s.log, p) }, s.pause); err != nil {
			s.log.Error("settle", "token", int64(id), "error", err.Error())
		}
	}
	return console.New(c)
}
