package main

import (
	"math"
	"net"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
)

// A rate limit per address: what does not come from a relying server's users should not fill the audit chain, of which
// every refused OTP of a known credential is a durable event.
const (
	defaultLimit  = 100    // requests a second from one address
	loopbackShare = 10     // times as many from this machine, where a proxy may stand for all
	limitBurst    = 2      // seconds' worth that may come at once
	maxSources    = 10_000 // addresses that are told apart; about 1 MB
)

// limiter holds a token bucket for each address; IPv6 addresses count by their /64. It is safe for concurrent use.
type limiter struct {
	rate float64 // requests a second
	now  func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
	swept   time.Time
}

// bucket is what an address has used of its burst.
type bucket struct {
	used float64 // 0: nothing
	at   time.Time
}

// newLimiter limits to rate requests a second; nil for 0, no limit.
func newLimiter(rate int, now func() time.Time) *limiter {
	if rate == 0 {
		return nil
	}
	return &limiter{rate: float64(rate), now: now, buckets: make(map[string]bucket)}
}

// tooOften implements wsapi.Handler's Limit.
func (l *limiter) tooOften(_ validate.Client, source string) bool { return l.often(source) }

// often implements the other handlers' Limit. An address has one share for all of them.
func (l *limiter) often(source string) bool {
	key, rate := l.share(source)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b, known := l.buckets[key]
	if !known && len(l.buckets) >= maxSources {
		l.forget(now)
		if len(l.buckets) >= maxSources { // all the others share one
			key = ""
			b = l.buckets[key]
		}
	}
	b = bucket{drained(b, now, rate), now}
	if b.used+1 > rate*limitBurst {
		return true
	}
	b.used++
	l.buckets[key] = b
	return false
}

// share is whom an address counts for, and how many requests a second those may send.
func (l *limiter) share(source string) (key string, rate float64) {
	key, local := caller.Key(source)
	if local {
		return key, l.rate * loopbackShare
	}
	return key, l.rate
}

// drained is what is still used of b. A clock that went back counts as no time.
func drained(b bucket, now time.Time, rate float64) float64 {
	return math.Max(0, b.used-rate*math.Max(0, now.Sub(b.at).Seconds()))
}

// forget drops the addresses that have nothing used, once a second at most.
func (l *limiter) forget(now time.Time) {
	if now.Sub(l.swept).Abs() < time.Second {
		return
	}
	l.swept = now
	for key, b := range l.buckets {
		if drained(b, now, l.rate) == 0 {
			delete(l.buckets, key)
		}
	}
}

// limitListener lets no more than a number of connections be open at once; more wait in the system's queue.
type limitListener struct {
	net.Listener
	free   chan struct{} // a place is taken by sending
	closed chan struct{}
	once   sync.Once
}

func newLimitListener(l net.Listener, most int) *limitListener {
	return &limitListener{Listener: l, free: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.free })}, nil
}

// Close implements net.Listener.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
