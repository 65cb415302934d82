package main

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/api"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// handler is everything that serve answers; limit is nil for none, layouts is the Verifier's, and settle the API's. What is left to do
// after answers is done when wait returns.
func (a *app) handler(st *sqlstore.Store, log *slog.Logger, limit *limiter, layouts bool, settle func(token.ID)) (h http.Handler, wait func()) {
	verifier, d, doctor := validate.New(st, a.now), a.desk(st), &diagnose.Doctor{Store: st, Now: a.now}
	verifier.Layouts = layouts
	yubico := &wsapi.Handler{Verifier: verifier, Clients: st, Now: a.now, Log: log}
	programs := api.Config{
		Checker: validate.NewChecker(st, verifier, a.now), Clients: st, Desk: d, Doctor: doctor, Now: a.now, Rand: a.rand, Log: log,
		Settle: settle,
	}
	if limit != nil {
		yubico.Limit, programs.Limit = limit.tooOften, limit.often
	}
	mux := http.NewServeMux()
	mux.Handle("/wsapi/", yubico)
	json := api.New(programs)
	mux.Handle("/api/", json)
	mux.Handle("/validate/check", json)
	pages := a.pages(d, doctor, log, limit)
	mux.Handle("/console/", pages)
	mux.Handle("/enroll/", pages)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux, func() {
		yubico.Wait()
		json.Wait()
	}
}
