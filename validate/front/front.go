// Package front is where relying servers and browsers reach a server: sockets of its own or of a service manager, TLS whose files are
// replaced while it runs, and bounds on what a connection may cost.
//
// A connection is waiting, from the moment it is accepted and between requests, or busy, from the end of a request's head until its
// answer is sent. There is room for so many; who comes when it is full takes the place of the one that has waited longest. A busy one is
// never cut off, and on one that was cut off no request begins: so whoever gets no answer has spent nothing.
//
// Only HTTP/1 is spoken: clients of the validation protocol send one short request after the other.
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of one connection. A validation request is one line of at most a few hundred characters. WriteTimeout runs from the end of the
// head: the body may take ReadTimeout, the doors' patience is 8 s, and the answer needs its own.
const (
	HeadTimeout  = 5 * time.Second // of TLS, and of a request's head; reference validation-protocol.md §16
	ReadTimeout  = 10 * time.Second
	WriteTimeout = 25 * time.Second
	IdleTimeout  = time.Minute
	grace        = time.Second / 2
	MaxHead      = 16 << 10 // bytes of request line and header; net/http allows 4 KiB more, and answers 431 beyond
)

// Server serves any number of listeners.
type Server struct {
	http  *http.Server
	crowd *crowd
	after func(time.Duration) <-chan time.Time // time.After outside tests

	mu        sync.Mutex
	listeners []net.Listener
	stopping  bool
	accepting sync.WaitGroup
}

// Config is what a Server is made of. Handler and Most must be set.
type Config struct {
	Handler http.Handler
	Most    int // connections at once; one source has a quarter of them
	// Free reports whether a source may have as many connections as there are: proxies do. nil: none may.
	Free func(source string) bool
	Log  *slog.Logger // nil: none
	Now  func() time.Time
}

// New returns a server.
func New(c Config) *Server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	crowd := newCrowd(c.Most, c.Free)
	crowd.full = pressed(c)
	return &Server{crowd: crowd, after: time.After, http: &http.Server{
		Handler:           crowd.handler(c.Handler),
		ReadHeaderTimeout: HeadTimeout, ReadTimeout: ReadTimeout, WriteTimeout: WriteTimeout, IdleTimeout: IdleTimeout, MaxHeaderBytes: MaxHead,
		ConnContext: crowd.context, ConnState: crowd.state, DisableGeneralOptionsHandler: true, // every request is the Handler's
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}}
}

// pressed says once a minute at most that there is no room.
func pressed(c Config) func() {
	var mu sync.Mutex
	var last time.Time
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if now := c.Now(); last.IsZero() || now.Sub(last).Abs() >= time.Minute {
			last = now
			c.Log.Warn("all connections are taken: those that wait longest are closed", "most", c.Most)
		}
	}
}

// Serve accepts from a listener, by TLS if config is not nil, until Shutdown; then it returns nil. It may be called for several
// listeners at once.
func (s *Server) Serve(l net.Listener, config *tls.Config) error {
	l = &gate{Listener: l, crowd: s.crowd}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners = append(s.listeners, l)
	s.accepting.Add(1)
	s.mu.Unlock()
	err := s.http.Serve(l)
	s.accepting.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, http.ErrServerClosed) || s.stopping && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Shutdown accepts nobody any more. For the moment that grace is, each connection gets one more answer and is closed with it, so that who
// asks all the time is never cut off; then it hangs up on who waits. It returns when every request that had begun has its answer, or
// when ctx has ended: then it cuts off the rest, and the error says so.
func (s *Server) Shutdown(ctx context.Context) error {
	s.crowd.end()
	s.mu.Lock()
	s.stopping = true
	for _, l := range s.listeners {
		_ = l.Close() // again by http.Server, which tells
	}
	s.mu.Unlock()
	empty := make(chan struct{})
	go func() {
		s.accepting.Wait() // somebody may be just coming in
		s.crowd.await()
		close(empty)
	}()
	select {
	case <-empty:
	case <-s.after(grace):
	case <-ctx.Done():
	}
	s.crowd.hangUp()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	if err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// Open is how many connections there are now.
func (s *Server) Open() int {
	s.crowd.mu.Lock()
	defer s.crowd.mu.Unlock()
	return s.crowd.open
}
