package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokendesk/tokendesk/validate/caller"
)

// How readiness is found out.
const (
	readyFor     = time.Second     // an answer serves so long whoever asks
	readyWithin  = 2 * time.Second // then the store counts as dead
	failedLately = 5 * time.Second // after a transaction that failed, if none succeeded since
)

// The reasons not to be ready.
var (
	errDraining   = errors.New("this server is stopping")
	errStoreSlow  = errors.New("the store does not answer")
	errStoreWrite = errors.New("nothing can be written to the store")
	errCommit     = errors.New("the last transaction failed")
)

// readiness asks the store, once a second at most and one question at a time. It is safe for concurrent use.
type readiness struct {
	probe func(context.Context) error
	now   func() time.Time

	mu     sync.Mutex
	at     time.Time // of err
	err    error
	asking chan struct{} // closed when err is new; nil: nobody asks

	failed atomic.Int64 // when a transaction failed, in µs; 0: the last one succeeded
}

// committed learns how a transaction ended.
func (r *readiness) committed(err error) {
	switch {
	case err != nil:
		r.failed.Store(r.now().UnixMicro())
	case r.failed.Load() != 0:
		r.failed.Store(0)
	}
}

// check says why the store is not ready; nil: it is.
func (r *readiness) check(ctx context.Context) error {
	if at := r.failed.Load(); at != 0 && r.now().Sub(time.UnixMicro(at)).Abs() < failedLately {
		return errCommit
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	r.mu.Lock()
	if r.asking == nil {
		if !r.at.IsZero() && r.now().Sub(r.at).Abs() < readyFor {
			defer r.mu.Unlock()
			return r.err
		}
		r.asking = make(chan struct{})
		go r.ask(r.asking)
	}
	asking := r.asking
	r.mu.Unlock()
	select {
	case <-asking:
	case <-ctx.Done():
		return errStoreSlow
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// ask may outlast who asked: a store that hangs is asked by one at a time.
func (r *readiness) ask(done chan struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(context.Background(), 2*readyWithin)
	defer cancel()
	err := r.probe(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err, r.asking = r.now(), err, nil
}

// healthAnswer is what /healthz and /readyz say; Details only to those who may know.
type healthAnswer struct {
	Status  string         `json:"status"` // "ok"; "not ready"
	Details *healthDetails `json:"details,omitempty"`
}

type healthDetails struct {
	Version string      `json:"version"`
	Reason  string      `json:"reason,omitempty"` // why it is not ready
	Waiting int         `json:"waiting"`          // changes that wait for a transaction
	Clock   clockHealth `json:"clock"`
}

// clockHealth has the numbers only where the system tells them.
type clockHealth struct {
	Good         bool     `json:"good"`
	Synchronised *bool    `json:"synchronised"`            // null: unknown
	Estimated    *float64 `json:"estimated_error_seconds"` // null: unknown
	Maximum      *float64 `json:"maximum_error_seconds"`   // null: unknown
	Jumps        uint64   `json:"jumps"`                   // since the start
}

func newClockHealth(c clockState, jumps uint64) clockHealth {
	h := clockHealth{Good: c.good(), Jumps: jumps}
	if c.known {
		estimated, maximum := c.estimated.Seconds(), c.maximum.Seconds()
		h.Synchronised, h.Estimated, h.Maximum = &c.kept, &estimated, &maximum
	}
	return h
}

// health answers whether the process lives and whether it should be asked. A bad clock is no reason not to be asked: one-time
// passwords of YubiKeys do without.
func (s *serving) health() error {
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { s.sayHealth(w, r, nil) })
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.stopping():
			s.sayHealth(w, r, errDraining)
		default:
			s.sayHealth(w, r, s.watch.ready.check(r.Context()))
		}
	})
	return nil
}

func (s *serving) sayHealth(w http.ResponseWriter, r *http.Request, err error) {
	a, status := healthAnswer{Status: "ok"}, http.StatusOK
	if err != nil {
		a.Status, status = "not ready", http.StatusServiceUnavailable
	}
	if s.watch.mayKnow(r) {
		a.Details = &healthDetails{Version: readVersion().Version, Waiting: s.st.Waiting(), Clock: newClockHealth(s.clock(), s.watch.clock.look())}
		if err != nil {
			a.Details.Reason = err.Error()
		}
	}
	body, _ := json.Marshal(a) // it holds nothing that cannot be
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // who went away needs no answer
}

// mayKnow reports whether a caller is one of --metrics, or asks on this machine by itself: what a proxy here sends on for others is
// not.
func (w *watch) mayKnow(r *http.Request) bool {
	source := caller.Source(r.RemoteAddr)
	if w.networks.Trusts(source) {
		return true
	}
	_, local := caller.Key(source)
	return local && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}
