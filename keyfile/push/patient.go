package push

import (
	"context"
	"errors"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
)

// How often a call is tried, and how long the first pause is; each later one is twice as long.
const (
	tries      = 4
	firstPause = time.Second
)

// Patient is a Target that repeats what found no answer.
type Patient struct {
	Target
	Pause func(ctx context.Context, d time.Duration) error // Sleep outside tests
}

var _ Target = Patient{}

// Sleep waits for d or for the end of ctx, which is an error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Enrol implements Target. A token that is there after a try without an answer is the one that was just sent.
func (p Patient) Enrol(ctx context.Context, rec keyfile.Record, at Place) (Result, error) {
	tried := 0
	return patiently(ctx, p, func() (Result, error) {
		tried++
		r, err := p.Target.Enrol(ctx, rec, at)
		if err == nil && r.Status == AlreadyThere && tried > 1 {
			r.Status = Enrolled
		}
		return r, err
	})
}

// Disable implements Target.
func (p Patient) Disable(ctx context.Context, at Place) (Result, error) {
	return patiently(ctx, p, func() (Result, error) { return p.Target.Disable(ctx, at) })
}

// Enable implements Target.
func (p Patient) Enable(ctx context.Context, rec keyfile.Record, at Place) (Result, error) {
	return patiently(ctx, p, func() (Result, error) { return p.Target.Enable(ctx, rec, at) })
}

// State implements Target.
func (p Patient) State(ctx context.Context, at Place) (State, error) {
	return patiently(ctx, p, func() (State, error) { return p.Target.State(ctx, at) })
}

func patiently[T any](ctx context.Context, p Patient, try func() (T, error)) (T, error) {
	wait := firstPause
	for n := 1; ; n++ {
		v, err := try()
		var none *UnreachableError
		if n == tries || !errors.As(err, &none) {
			return v, err
		}
		if err := p.Pause(ctx, wait); err != nil {
			return v, err
		}
		wait *= 2
	}
}
