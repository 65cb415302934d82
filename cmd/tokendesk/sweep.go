package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// sweepEvery is how often a server ends what is over. Until then nothing that is over is taken for good: it only still exists.
const sweepEvery = 30 * time.Second

// sweeping sweeps at once and with each tick of a.pace until ctx ends. The caller calls wait before the store is closed: it ends the
// sweeping, and waits for the one under way.
func (a *app) sweeping(ctx context.Context, sweep func(context.Context) (desk.Swept, error), log *slog.Logger) (wait func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticks, stop := a.pace()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		for {
			s, err := sweep(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				log.Error("sweep", "error", err)
			case s != desk.Swept{}:
				log.Info("sweep", "suspensions", s.Suspensions, "drawn", s.Drawn, "secrets", s.Secrets, "client_keys", s.ClientKeys, "radius", s.Shared, "attempts", s.Attempts,
					"sessions", s.Sessions, "codes", s.Codes, "browsers", s.Browsers)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticks:
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
