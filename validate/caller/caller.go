// Package caller tells by its address who sends a request, through proxies if they are trusted, and counts what is wrong by address.
package caller

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// How many wrong API tokens one address may send before it is told to wait. They have 256 bits, so this is not what keeps them from
// being guessed, and a right one counts whatever others sent from the address, which may be a proxy's.
const (
	WrongMost    = 10
	WrongEvery   = time.Minute
	wrongSources = 10_000 // addresses that are told apart
)

// Wrongs counts wrong API tokens by address; IPv6 addresses count by their /64. The zero value is ready; it is safe for concurrent
// use.
type Wrongs struct {
	Local int // how many times as many may come from this machine, where a proxy may stand for all; 0: once

	mu      sync.Mutex
	sources map[string]wrong
	swept   time.Time
}

// wrong is what came from one address in the minute that began at since.
type wrong struct {
	since time.Time
	count int
}

// TooMany counts one more, and reports whether that is too many.
func (w *Wrongs) TooMany(source string, now time.Time) bool {
	key, most := w.share(source)
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
func (w *Wrongs) forget(now time.Time) {
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
	return now.Before(s.since) || now.Sub(s.since) >= WrongEvery
}

// share is whom an address counts for, and how many wrong tokens those may send in a minute.
func (w *Wrongs) share(source string) (key string, most int) {
	key, local := Key(source)
	if local {
		return key, WrongMost * max(w.Local, 1)
	}
	return key, WrongMost
}

// Key is whom an address counts for: all of this machine as one, which local reports, and IPv6 addresses by their /64.
func Key(source string) (key string, local bool) {
	if source == Local {
		return "loopback", true
	}
	ip, err := netip.ParseAddr(source)
	switch {
	case err != nil:
		return source, false
	case ip.IsLoopback():
		return "loopback", true
	case ip.Is6():
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String(), false
		}
	}
	return source, false
}

// Source is the address of the caller without its port, from the RemoteAddr of a request; an IPv4-mapped IPv6 address is the IPv4 one,
// and who has none, because the socket is a Unix one, is Local.
func Source(remote string) string {
	if remote == "" || remote == "@" { // as package net names a client that has bound no path
		return Local
	}
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}
