package main

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
)

// The rate limits: what does not come from a relying server's users should not fill the audit chain, of which
// every refused OTP of a known credential is a durable event.
const (
	defaultLimit  = 100    // requests a second from one address
	loopbackShare = 10     // times as many from this machine, where a proxy may stand for all
	limitBurst    = 2      // seconds' worth that may come at once
	maxSources    = 10_000 // keys that are told apart; about 1 MB
)

// limits are those of serve; nil: none.
type limits struct {
	sources *limiter // by address
	clients *limiter // by the number of a relying server, wherever it asks from
}

// often reports whether an address asks too often. It has one share for all doors.
func (l limits) often(source string) bool {
	if l.sources == nil {
		return false
	}
	key, local := caller.Key(source)
	rate := l.sources.rate
	if local {
		rate *= loopbackShare
	}
	return l.sources.take(key, rate)
}

// clientOften reports whether a relying server that has proven itself asks too often.
func (l limits) clientOften(c validate.Client) bool {
	return l.clients != nil && l.clients.take(strconv.FormatInt(c.ID, 10), l.clients.rate)
}

// tooOften implements wsapi.Handler's Limit.
func (l limits) tooOften(c validate.Client, source string) bool {
	return l.often(source) || l.clientOften(c)
}

// limiter holds a token bucket for each key. It is safe for concurrent use.
type limiter struct {
	rate float64 // requests a second
	now  func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
	swept   time.Time
}

// bucket is what a key has used of its burst.
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

// take uses up one request of a key's, which may have rate a second; true if it has none left.
func (l *limiter) take(key string, rate float64) bool {
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

// drained is what is still used of b. A clock that went back counts as no time.
func drained(b bucket, now time.Time, rate float64) float64 {
	return math.Max(0, b.used-rate*math.Max(0, now.Sub(b.at).Seconds()))
}

// forget drops the keys that have nothing used, once a second at most.
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
