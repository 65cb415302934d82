package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/console"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// pages are those of the helpdesk, and the public one on which an app is set up.
func (a *app) pages(d *desk.Desk, doctor *diagnose.Doctor, log *slog.Logger, limit *limiter) http.Handler {
	c := console.Config{Desk: d, Doctor: doctor, Now: a.now, Log: log}
	c.Settle = func(ctx context.Context, id token.ID) error {
		return a.settleRounds(ctx, d, id, func(p desk.Pushed) { logPushed(ctx, log, p) }, a.pause)
	}
	if limit != nil {
		c.Limit = limit.often
	}
	return console.New(c)
}
