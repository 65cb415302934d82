package api

import (
	"net/netip"
	"sync"
	"time"
)

// How many wrong API tokens one address may send before it is told to wait. They have 256 bits, so this is not what keeps them from
// being guessed, and a right one counts whatever others sent from the address, which may be a proxy's.
const (
	wrongMost     = 10
	wrongEvery    = time.Minute
	wrongLoopback = 10     // times as many from this machine, where a proxy may stand for all
	wrongSources  = 10_000 // addresses that are told apart
)

// wrongs counts wrong API tokens by address; IPv6 addresses count by their /64. The zero value is ready; it is safe for concurrent
// use.
type wrongs struct {
	mu      sync.Mutex
	sources map[string]wrong
	swept   time.Time
}

// wrong is what came from one address in the minute that began at since.
type wrong struct {
	since time.Time
	count int
}

// tooMany counts one more, and reports whether that is too many.
func (w *wrongs) tooMany(source string, now time.Time) bool {
	key, most := share(source)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sources == nil {
		w.sources = make(map[string]wrong)
	}
	s, known := w.sources[key]
	if !known && len(w.sources) >= wrongSources {
		w.forget(now)
		if len(w.sources) >= wrongSources { // all the others share one
			key, s = "", w.sources[""]
		}
	}
	if s.over(now) {
		s = wrong{since: now}
	}
	s.count++
	w.sources[key] = s
	return s.count > most
}

// forget drops the addresses whose minute has passed, once a second at most.
func (w *wrongs) forget(now time.Time) {
	if now.Sub(w.swept).Abs() < time.Second {
		return
	}
	w.swept = now
	for key, s := range w.sources {
		if s.over(now) {
			delete(w.sources, key)
		}
	}
}

// over reports whether the minute has passed. A clock that went back ends it too.
func (s wrong) over(now time.Time) bool {
	return now.Before(s.since) || now.Sub(s.since) >= wrongEvery
}

// share is whom an address counts for, and how many wrong tokens those may send in a minute.
func share(source string) (key string, most int) {
	ip, err := netip.ParseAddr(source)
	switch {
	case err != nil:
		return source, wrongMost
	case ip.IsLoopback():
		return "loopback", wrongMost * wrongLoopback
	case ip.Is6():
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String(), wrongMost
		}
	}
	return source, wrongMost
}
