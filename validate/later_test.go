package validate

import (
	"sync/atomic"
	"testing"
)

// TestLater: what is begun runs apart from the caller, up to a bound beyond which the caller does it, and Wait leaves nothing.
func TestLater(t *testing.T) {
	t.Parallel()
	var l Later
	l.Wait() // nothing
	var n atomic.Int64
	hold := make(chan struct{})
	for range mostLater {
		l.Do(func() {
			<-hold
			n.Add(1)
		})
	}
	inline := false
	l.Do(func() { inline = true })
	if !inline || n.Load() != 0 {
		t.Errorf("beyond the bound: done at once %v, others done %d", inline, n.Load())
	}
	close(hold)
	l.Wait()
	if n.Load() != mostLater {
		t.Errorf("%d are done", n.Load())
	}
	l.Wait()
}
