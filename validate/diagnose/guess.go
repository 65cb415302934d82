package diagnose

import (
	"sync"
	"time"
)

// How many texts that may be guesses one operator may have diagnosed for a person or token. The diagnosis knows 1,000 codes of a HOTP
// token to come, and no throttle stands before it: 30 an hour find one with a chance of 3 %; 100 a second would take ten. The API and
// the pages of each server process count for themselves.
const (
	MaxGuesses = 30
	guessTime  = time.Hour
)

// Guesses counts them by the operator's number. The zero value is ready; it is safe for concurrent use.
type Guesses struct {
	mu sync.Mutex
	by map[int64]guess
}

// guess is what an operator asked in the hour that began at since.
type guess struct {
	since time.Time
	count int
}

// TooMany counts one more, unless that is too many. A clock that went back forgets nothing.
func (g *Guesses) TooMany(operator int64, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = make(map[int64]guess)
	}
	s, known := g.by[operator]
	if !known || now.Sub(s.since) >= guessTime {
		s = guess{since: now}
	}
	if s.count >= MaxGuesses {
		return true
	}
	s.count++
	g.by[operator] = s
	return false
}
