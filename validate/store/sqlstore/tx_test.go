package sqlstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestPanicLeavesNoTransaction: a request that panics, which net/http survives, must not leave the writer in a transaction, and
// other processes waiting for it.
func TestPanicLeavesNoTransaction(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = s.change(t.Context(), func(*tx) error { panic("boom") })
	}()
	addPerson(t, s, "anna")
	addPerson(t, p.openStore(t), "bert")
}

// TestWaitingEnds: who waits for another process to write stops waiting when its context ends.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	other := p.openStore(t)
	err := s.change(t.Context(), func(*tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := other.AddPersons(ctx, []token.Person{{Account: "anna"}})
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	addPerson(t, other, "anna")
}
