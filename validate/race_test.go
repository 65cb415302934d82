package validate_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// meddler is a store in which somebody is always faster: act runs before each Accept.
type meddler struct {
	validate.Counters
	act func()
}

func (m meddler) Accept(ctx context.Context, a validate.Advance) (bool, error) {
	m.act()
	return m.Counters.Accept(ctx, a)
}

// TestLostRace: what changes between Find and Accept decides, and the answer says so.
func TestLostRace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		act     func(t *testing.T, d desk)
		outcome validate.Outcome
		reason  validate.Reason
	}{
		{"the same OTP", func(t *testing.T, d desk) { verify(t, d.v, d.press(t, 1, 0), "m") }, validate.Replayed, validate.ReasonSame},
		{"the same request", func(t *testing.T, d desk) { verify(t, d.v, d.press(t, 1, 0), "n") }, validate.ReplayedRequest, validate.ReasonRetry},
		{"a newer OTP", func(t *testing.T, d desk) { verify(t, d.v, d.press(t, 1, 1), "n") }, validate.Replayed, validate.ReasonOlder},
		{"a block", func(t *testing.T, d desk) { _ = d.store.Change(d.id, token.Lose) }, validate.BadOTP, validate.ReasonBlocked},
		{"a replacement", func(t *testing.T, d desk) {
			if d.store.Change(d.id, token.Revoke) == nil {
				add(t, d.store, d.c)
			}
		}, validate.BadOTP, validate.ReasonRevoked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, token.Active)
			v := validate.New(meddler{d.store, func() { tc.act(t, d) }}, func() time.Time { return now })
			if r := verify(t, v, d.press(t, 1, 0), "n"); r.Outcome != tc.outcome || r.Reason != tc.reason {
				t.Errorf("%s %q, want %s %q", r.Outcome, r.Reason, tc.outcome, tc.reason)
			}
		})
	}
}

// broken fails in one method.
type broken struct {
	validate.Counters
	find, accept, spend, note error
}

var errDisk = errors.New("disk on fire")

func (b broken) Find(ctx context.Context, id token.PublicID) (validate.Credential, error) {
	c, err := b.Counters.Find(ctx, id)
	return c, errors.Join(err, b.find)
}
func (b broken) Accept(ctx context.Context, a validate.Advance) (bool, error) {
	ok, err := b.Counters.Accept(ctx, a) // it happened, but nobody knows
	return ok && b.accept == nil, errors.Join(err, b.accept)
}
func (b broken) Spend(context.Context, validate.Advance) error { return b.spend }
func (b broken) Note(context.Context, validate.Advance) error  { return b.note }

func TestDeadStoreIsAnError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		b    broken
	}{{"find", broken{find: errDisk}}, {"accept", broken{accept: errDisk}}, {"spend", broken{spend: errDisk}}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, token.Active)
			if tc.b.spend != nil {
				_ = d.store.Change(d.id, token.Suspend)
			}
			tc.b.Counters = d.store
			v := validate.New(tc.b, func() time.Time { return now })
			r, err := v.Verify(t.Context(), validate.Request{OTP: d.press(t, 1, 0), Nonce: "n"})
			if !errors.Is(err, errDisk) || r.Outcome == validate.Accepted {
				t.Errorf("%s, %v", r.Outcome, err)
			}
			if tc.b.accept != nil { // the retry finds its own nonce
				if r := verify(t, d.v, d.press(t, 1, 0), "n"); r.Outcome != validate.ReplayedRequest {
					t.Errorf("retry: %s", r.Outcome)
				}
			}
		})
	}
	d := newDesk(t, token.Active)
	v := validate.New(broken{Counters: d.store, note: errDisk}, func() time.Time { return now })
	verify(t, d.v, d.press(t, 1, 0), "n")
	if r, _ := v.Verify(t.Context(), validate.Request{OTP: d.press(t, 1, 0)}); !errors.Is(v.Note(t.Context(), r), errDisk) {
		t.Error("a lost note is no error")
	}
}

func TestOneOf64(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active)
	otp := d.press(t, 1, 0)
	count := make(map[validate.Outcome]int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			r, err := d.v.Verify(t.Context(), validate.Request{OTP: otp, Nonce: strings.Repeat("n", i%2+1)})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			count[r.Outcome]++
		})
	}
	wg.Wait()
	if count[validate.Accepted] != 1 || count[validate.ReplayedRequest] != 31 || count[validate.Replayed] != 32 {
		t.Errorf("%v", count)
	}
}
