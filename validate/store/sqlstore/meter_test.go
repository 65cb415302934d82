package sqlstore

import (
	"errors"
	"testing"
	"time"
)

// TestMeter: a transaction that changed something is told of once, also when it failed; a change that refused itself is not.
func TestMeter(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	type told struct {
		changes int
		took    time.Duration
		err     error
	}
	all := make(chan told, 10)
	s.Meter(func(changes int, took time.Duration, err error) { all <- told{changes, took, err} })
	put := func(tx *tx) error { return tx.desk("test", "test", nil) }
	if err := s.change(t.Context(), func(*tx) error { return errUnchanged }); !errors.Is(err, errUnchanged) {
		t.Fatal(err)
	}
	if err := s.change(t.Context(), put); err != nil || s.Waiting() != 0 {
		t.Fatalf("%v, %d wait", err, s.Waiting())
	}
	if got := <-all; got.changes != 1 || got.took <= 0 || got.err != nil {
		t.Errorf("written: %+v", got)
	}
	if err := s.Close(); err != nil { // no checkpoint: nothing was validated
		t.Fatal(err)
	}
	if err := s.change(t.Context(), put); err == nil {
		t.Fatal("written to a closed database")
	}
	if got := <-all; got.changes != 1 || got.err == nil {
		t.Errorf("not written: %+v", got)
	}
}
