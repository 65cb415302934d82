package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/eventlog"
	"github.com/tokendesk/tokendesk/validate/front"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// serving is one run of serve: what its parts share, and where they hang themselves in. The table of parts is in handler.go. One
// goroutine puts it together; after handler was called nothing may be added.
type serving struct {
	*app
	serveOptions
	st       *sqlstore.Store
	desk     *desk.Desk
	verifier *validate.Verifier
	checker  *validate.Checker
	doctor   *diagnose.Doctor
	log      *slog.Logger
	observer validate.Observers // told of every request, at all doors
	watch    *watch
	limits   limits
	trusted  *caller.Proxies // wrapped around everything
	settle   func(token.ID)  // has targets asked about a token, and does not wait; nil: there are none

	certificates *front.Certificates // nil: no TLS
	sockets      *front.Sockets      // passed by the service manager; a part takes those of its name
	manager      front.Manager

	mux      *http.ServeMux
	around   []func(http.Handler) http.Handler // each sees every request; the last one first
	services []service
	waits    []func() // the last one first
	draining chan struct{}
}

// service runs beside the HTTP server. run returns nil when ctx has ended and what was under way is done.
type service struct {
	name string
	run  func(ctx context.Context) error
}

func (a *app) newServing(st *sqlstore.Store, log *slog.Logger, o serveOptions) *serving {
	s := &serving{
		app: a, serveOptions: o, st: st, desk: a.desk(st), verifier: validate.New(st, a.now), doctor: &diagnose.Doctor{Store: st, Now: a.now},
		log: log, observer: validate.Observers{eventlog.New(log)}, limits: limits{newLimiter(o.limit, a.now), newLimiter(o.clientLimit, a.now)}, trusted: &caller.Proxies{}, sockets: &front.Sockets{},
		mux: http.NewServeMux(), draining: make(chan struct{}),
	}
	s.verifier.Layouts = o.layouts
	s.checker = validate.NewChecker(st, s.verifier, a.now)
	return s
}

// wrap puts something around the whole handler: it sees each request before anything else does, also those that nobody answers.
func (s *serving) wrap(with func(http.Handler) http.Handler) { s.around = append(s.around, with) }

// beside has something run as long as serve does. If it fails, serve ends.
func (s *serving) beside(name string, run func(ctx context.Context) error) {
	s.services = append(s.services, service{name, run})
}

// after has something waited for when no request is answered any more, and before the store is closed.
func (s *serving) after(wait func()) { s.waits = append(s.waits, wait) }

// wait waits for what is left to do after answers.
func (s *serving) wait() {
	for _, w := range slices.Backward(s.waits) {
		w()
	}
}

// stopping is closed when serve was told to stop: it still answers, and asks to be left alone.
func (s *serving) stopping() <-chan struct{} { return s.draining }

// runServices starts what runs beside. The channel gives the first that failed; wait returns when all have ended, which they do when
// ctx ends.
func (s *serving) runServices(ctx context.Context) (failed <-chan error, wait func() error) {
	var running sync.WaitGroup
	first, all := make(chan error, len(s.services)), make([]error, len(s.services))
	for i, v := range s.services {
		running.Go(func() {
			if err := v.run(ctx); err != nil {
				all[i] = fmt.Errorf("%s: %w", v.name, err)
				first <- all[i]
			}
		})
	}
	return first, func() error {
		running.Wait()
		return errors.Join(all...)
	}
}
