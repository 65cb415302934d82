package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

func TestDiagnosis(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		storetest.RunDiagnosis(t, func(t *testing.T) storetest.Diagnosed { return open(t).s })
	})
}

// TestOldestAttemptsGo: beyond the limit the oldest are dropped.
func TestOldestAttemptsGo(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	for i := range 8 {
		a := diagnose.Attempt{Code: fmt.Sprintf("AAAAAAA%d", i+2), At: s.now().Add(time.Duration(i) * time.Second)}
		if err := s.keepAttempt(t.Context(), a, 5); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		_, err := s.FindAttempt(t.Context(), fmt.Sprintf("AAAAAAA%d", i+2))
		if gone := i < 3; errors.Is(err, token.ErrNotFound) != gone || !gone && err != nil {
			t.Errorf("attempt %d: %v", i, err)
		}
	}
}

// TestHealth: a store that cannot be written, and a clock that went back.
func TestHealth(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	health := func() diagnose.Health {
		t.Helper()
		h, err := s.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := health(); h.ReadOnly || h.Clock > 0 {
		t.Errorf("healthy: %+v", h)
	}
	was := s.now
	s.now = func() time.Time { return was().Add(-time.Hour) }
	if h := health(); h.ReadOnly || h.Clock < 59*time.Minute {
		t.Errorf("clock: %+v", h)
	}
	execute(t, s, `PRAGMA query_only = 1`)
	if h := health(); !h.ReadOnly {
		t.Errorf("read only: %+v", h)
	}
	execute(t, s, `PRAGMA query_only = 0`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Health(ctx); err == nil {
		t.Error("a dead context is healthy")
	}
}
