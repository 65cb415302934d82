package main

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// handler is everything that serve answers; limit is nil for none.
func (a *app) handler(st *sqlite.Store, log *slog.Logger, limit *limiter) http.Handler {
	mux := http.NewServeMux()
	yubico := &wsapi.Handler{Verifier: validate.New(st, a.now), Clients: st, Now: a.now, Log: log}
	if limit != nil {
		yubico.Limit = limit.tooOften
	}
	mux.Handle("/wsapi/", yubico)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	return mux
}
