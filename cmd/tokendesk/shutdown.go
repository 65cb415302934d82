package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/tokendesk/tokendesk/validate/front"
)

// drainTimeout bounds how long requests under way are waited for: a body may take 10 s, and the patience of package api is 8.
const drainTimeout = 20 * time.Second

// serveUntil serves until ctx ends or a part fails. Then it asks to be left alone, goes on answering for --drain, lets nobody in any
// more, and waits for the requests under way.
func (s *serving) serveUntil(ctx context.Context, server *front.Server, list []net.Listener) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	failed, ended := s.runServices(working)
	closed := make(chan error, len(list))
	var config *tls.Config
	if s.certificates != nil {
		config = s.certificates.Config()
	}
	for _, l := range list {
		go func() { closed <- server.Serve(l, config) }()
	}
	s.tell(front.Ready)
	var err error
	select {
	case err = <-closed:
	case <-failed: // ended tells
	case <-ctx.Done():
		s.tell(front.Stopping)
		close(s.draining)
		s.linger(failed)
	}
	stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if cut := server.Shutdown(drain); cut != nil {
		s.log.Error("some requests did not end in time and have no answer", "error", cut)
		err = errors.Join(err, cut)
	}
	err = errors.Join(err, ended())
	s.log.Info("stopped")
	return err
}

// linger goes on for --drain, so that whoever spreads requests over several servers sees by /readyz that this one ends.
func (s *serving) linger(failed <-chan error) {
	if s.drain <= 0 {
		return
	}
	s.log.Info("stopping", "in", s.drain)
	select {
	case <-time.After(s.drain):
	case <-failed:
	}
}

// tell tells the service manager. That it does not hear is no reason not to serve.
func (s *serving) tell(state string) {
	if err := s.manager.Tell(state); err != nil {
		s.log.Warn("the service manager does not hear", "error", err)
	}
}

// watchdog tells the service manager twice in its time that this process lives.
func (s *serving) watchdog(ctx context.Context) error {
	t := time.NewTicker(s.manager.Watchdog / 2)
	defer t.Stop()
	for {
		s.tell(front.Alive)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
