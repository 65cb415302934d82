package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// TestSweeping: at once, with each tick, after a failure too, and not after wait.
func TestSweeping(t *testing.T) {
	t.Parallel()
	ticks, stopped, swept := make(chan time.Time), make(chan bool, 1), make(chan int)
	a := &app{env: &env{pace: func() (<-chan time.Time, func()) { return ticks, func() { stopped <- true } }}}
	var log strings.Builder
	n := 0
	wait := a.sweeping(t.Context(), func(ctx context.Context) (desk.Swept, error) {
		n++
		select {
		case swept <- n:
		case <-ctx.Done():
			return desk.Swept{}, ctx.Err()
		}
		if n == 2 {
			return desk.Swept{}, errors.New("the disk is full")
		}
		return desk.Swept{Codes: n}, nil
	}, slog.New(slog.NewTextHandler(&log, nil)))
	for want := 1; want <= 3; want++ {
		if want > 1 {
			ticks <- time.Time{}
		}
		if got := <-swept; got != want {
			t.Errorf("sweep %d, want %d", got, want)
		}
	}
	wait()
	if !<-stopped || n != 3 {
		t.Errorf("%d sweeps", n)
	}
	if !strings.Contains(log.String(), "the disk is full") || !strings.Contains(log.String(), "codes=1") {
		t.Error(log.String())
	}
}
