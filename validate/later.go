package validate

import "sync"

// mostLater is how much Later has under way at once: as many as there are connections.
const mostLater = 1000

// Later does what is left when an answer was given, apart from the connection: done by the handler itself it would hold up the next
// request there, and so tell what the answer does not. The zero value is ready; it is safe for concurrent use.
type Later struct {
	mu    sync.Mutex
	under int
	idle  chan struct{} // closed when nothing is under way; nil: nobody waits
}

// Do runs f soon; at once, and the caller waits, if too much is under way.
func (l *Later) Do(f func()) {
	l.mu.Lock()
	l.under++
	full := l.under > mostLater
	l.mu.Unlock()
	if full {
		defer l.done()
		f()
		return
	}
	go func() {
		defer l.done()
		f()
	}()
}

func (l *Later) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under--; l.under == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// Wait returns when nothing is under way: after the server was shut down, before the store is closed.
func (l *Later) Wait() {
	l.mu.Lock()
	if l.under == 0 {
		l.mu.Unlock()
		return
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	l.mu.Unlock()
	<-idle
}
