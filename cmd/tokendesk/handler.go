package main

import (
	"net/http"
	"slices"
	"sync"

	"github.com/tokendesk/tokendesk/validate/api"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// serveRole is how much of the server one process is. Source: PRODUCT.md §5.1.
type serveRole string

// The roles.
const (
	roleAll      serveRole = "all"
	roleValidate serveRole = "validate" // decides for relying servers; nothing for staff
	roleKSM      serveRole = "ksm"      // decrypts for another validation server; decides nothing
)

func (r serveRole) known() bool { return r == roleAll || r == roleValidate || r == roleKSM }

// part is something that serve answers. hang puts it in.
type part struct {
	roles []serveRole // nil: all
	hang  func(*serving) error
}

// parts are all that serve can answer.
func parts() []part {
	return []part{
		{nil, (*serving).measured},
		{nil, (*serving).health},
		{[]serveRole{roleAll, roleValidate}, (*serving).yubico},
		{[]serveRole{roleAll, roleValidate}, (*serving).pool},
		{nil, (*serving).ksm},
		{[]serveRole{roleAll, roleValidate}, (*serving).programs},
		{[]serveRole{roleAll, roleValidate}, (*serving).answerRADIUS},
		{[]serveRole{roleAll}, (*serving).people},
	}
}

// handler is everything that serve answers in its role.
func (s *serving) handler() (http.Handler, error) {
	for _, p := range parts() {
		if p.roles != nil && !slices.Contains(p.roles, s.role) {
			continue
		}
		if err := p.hang(s); err != nil {
			return nil, err
		}
	}
	var h http.Handler = s.mux
	for _, with := range s.around {
		h = with(h)
	}
	s.trusted.Unknown = s.unknownProxy()
	return s.trusted.Handler(h), nil // so everything else knows who really asks
}

// unknownProxy says once that somebody forwards requests who is not trusted: a proxy that the flags do not name, or a liar.
func (s *serving) unknownProxy() func(peer string) {
	var once sync.Once
	return func(peer string) {
		once.Do(func() {
			s.log.Warn("X-Forwarded-For is ignored: the peer is no trusted proxy; if it is yours, name it by --trusted-proxy", "peer", peer)
		})
	}
}

// yubico answers the Yubico validation protocol.
func (s *serving) yubico() error {
	h := &wsapi.Handler{Verifier: s.verifier, Clients: s.st, Now: s.now, Observer: s.observer, Limit: s.limits.tooOften}
	s.mux.Handle("/wsapi/", h)
	s.after(h.Wait)
	return nil
}

// programs answers in JSON: relying servers, and the tools of staff where those belong to the role.
func (s *serving) programs() error {
	c := api.Config{
		Checker: s.checker, Clients: s.st, Desk: s.desk, Doctor: s.doctor, Now: s.now, Rand: s.rand, Observer: s.observer, Settle: s.settle,
		Limit: s.limits.often, ClientLimit: s.limits.clientOften,
	}
	h := api.New(c)
	s.mux.Handle("/validate/check", h)
	s.mux.Handle("/api/v1/verify", h)
	if s.role == roleAll {
		s.mux.Handle("/api/", h)
	}
	s.after(h.Wait)
	return nil
}

// people answers browsers.
func (s *serving) people() error {
	h := s.pages()
	s.mux.Handle("/console/", h)
	s.mux.Handle("/enroll/", h)
	return nil
}
