package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
	"github.com/tokendesk/tokendesk/validate/metrics"
)

// watch is how people see what a server does: metrics, readiness, clock.
type watch struct {
	networks *caller.Proxies // who may read metrics, and the details of the health
	open     bool            // metrics are served
	metrics  *metrics.Metrics
	ready    *readiness
	clock    *clockWatch
}

// watchFlags adds the flags of this part.
func (o *serveOptions) watchFlags(f *pflag.FlagSet) {
	f.StringVar(&o.logFormat, "log-format", "text", "form of the log on standard error: text or json")
	f.StringArrayVar(&o.metrics, "metrics", nil, "address or network that may read /metrics and the details of /healthz and /readyz, such as 192.0.2.7 or 127.0.0.0/8 (may be repeated); none: /metrics is off")
}

// logger writes the log.
func (o *serveOptions) logger(to io.Writer) (*slog.Logger, error) {
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(to, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, nil)), nil
	}
	return nil, usagef("--log-format is text or json")
}

// newWatch begins to watch: from now on requests, transactions and the clock are counted.
func (s *serving) newWatch() error {
	networks, err := caller.ParseProxies(s.serveOptions.metrics)
	if err != nil {
		return usagef("--metrics: %s", oneLine(err))
	}
	v := readVersion()
	w := &watch{
		networks: networks, open: len(s.serveOptions.metrics) > 0, metrics: metrics.New(v.Version, v.Revision),
		clock: &clockWatch{now: s.now, uptime: s.uptime, log: s.log},
		ready: &readiness{now: s.now, probe: s.probe},
	}
	s.st.Meter(func(changes int, took time.Duration, err error) {
		w.metrics.Committed(changes, took, err)
		w.ready.committed(err)
	})
	s.observer = append(s.observer, w.metrics)
	w.clock.look()
	s.watch = w
	s.gauges()
	s.beside("clock", s.watchClock)
	return nil
}

// probe reads from the store and begins a transaction.
func (s *serving) probe(ctx context.Context) error {
	h, err := s.st.Health(ctx)
	switch {
	case err != nil:
		s.log.Error("the store does not answer", "error", err)
		return errStoreSlow
	case h.ReadOnly:
		return errStoreWrite
	}
	return nil
}

// gauges are the metrics that are asked for when they are read.
func (s *serving) gauges() {
	m := s.watch.metrics
	m.Gauge("tokendesk_store_waiting", "Changes that wait for a transaction.", func() float64 { return float64(s.st.Waiting()) })
	m.Gauge("tokendesk_clock_synchronised", "1: a program keeps the system's clock; 0: none does; NaN: unknown.", func() float64 {
		switch c := s.clock(); {
		case !c.known:
			return math.NaN()
		case c.kept:
			return 1
		}
		return 0
	})
	m.Gauge("tokendesk_clock_max_error_seconds", "How far the system's clock is off at most, as the kernel knows; NaN: unknown.", func() float64 {
		if c := s.clock(); c.known {
			return c.maximum.Seconds()
		}
		return math.NaN()
	})
	m.Counter("tokendesk_clock_jumps_total", "How often the clock was set, or the machine slept, since the start.", func() float64 {
		return float64(s.watch.clock.look())
	})
	if c := s.certificates; c != nil {
		m.Gauge("tokendesk_certificate_expiry_timestamp_seconds", "When the TLS certificate ends, in seconds since 1970.", func() float64 {
			return float64(c.Ends().Unix())
		})
	}
}

// watchClock looks at the clock at the pace of the sweeping.
func (s *serving) watchClock(ctx context.Context) error {
	ticks, stop := s.pace()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
			s.watch.clock.look()
		}
	}
}

// measured puts the numbers on requests and answers /metrics. What no part answers is told of here.
func (s *serving) measured() error {
	with, err := numbered(s.rand)
	if err != nil {
		return fmt.Errorf("draw the IDs of requests: %w", err)
	}
	s.wrap(with)
	if s.watch.open {
		h := s.watch.metrics.Handler()
		s.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
			if !s.watch.networks.Trusts(caller.Source(r.RemoteAddr)) {
				s.nothingHere(w, r)
				return
			}
			w.Header().Set("Cache-Control", "no-store")
			h.ServeHTTP(w, r)
		})
	}
	s.mux.HandleFunc("/", s.nothingHere)
	return nil
}

// nothingHere answers what no part does.
func (s *serving) nothingHere(w http.ResponseWriter, r *http.Request) {
	start := s.now()
	http.NotFound(w, r)
	s.observer.Answered(r.Context(), validate.Answered{
		Door: validate.DoorOther, ID: w.Header().Get(validate.RequestIDHeader), Start: start, Took: s.now().Sub(start),
		Source: caller.Source(r.RemoteAddr), Status: http.StatusNotFound,
	})
}
