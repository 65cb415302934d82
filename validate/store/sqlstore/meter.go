package sqlstore

import "time"

// Committed is told of a durable transaction: how many changes shared it, how long it took from its begin, and why it failed. A change
// that was refused by itself is no failure. It must not wait.
type Committed func(changes int, took time.Duration, err error)

// Meter has f told of every transaction from now on. Before anything is asked of the store.
func (s *Store) Meter(f Committed) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	s.group.meter = f
}

// Waiting is how many changes wait for a transaction.
func (s *Store) Waiting() int {
	n := s.advancer.waiting()
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return n + len(s.group.waiting)
}

// committed tells of a transaction that began at start, in the clock of the process.
func (g *group) committed(changes int, start time.Time, err error) {
	g.mu.Lock()
	f := g.meter
	g.mu.Unlock()
	if f != nil {
		f(changes, time.Since(start), err)
	}
}
