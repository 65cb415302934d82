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
	c.Settle = a.settling(d, log)
	if limit != nil {
		c.Limit = limit.often
	}
	return console.New(c)
}

// settling asks the targets of a token, and logs what they say.
func (a *app) settling(d *desk.Desk, log *slog.Logger) func(context.Context, token.ID) error {
	return func(ctx context.Context, id token.ID) error {
		return a.settleRounds(ctx, d, id, func(p desk.Pushed) {
			log.Info("target", "target", p.Target, "serial", p.Serial, "outcome", string(p.Outcome), "still_valid", p.StillValid)
		}, a.pause)
	}
}
