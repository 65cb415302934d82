package validate_test

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/validate"
)

func TestThrottle(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		t      validate.Throttle
		after  time.Duration // since the last failure
		ok     bool
		until  time.Duration // since the last failure
		locked bool
	}{
		{"none", validate.Throttle{}, 0, true, 0, false},
		{"one, at once", validate.Throttle{Failures: 1, At: now}, 0, false, 5 * time.Second, false},
		{"one, nearly", validate.Throttle{Failures: 1, At: now}, 5*time.Second - 1, false, 5 * time.Second, false},
		{"one, five seconds", validate.Throttle{Failures: 1, At: now}, 5 * time.Second, true, 0, false},
		{"nine", validate.Throttle{Failures: 9, At: now}, 44 * time.Second, false, 45 * time.Second, false},
		{"nine, over", validate.Throttle{Failures: 9, At: now}, 45 * time.Second, true, 0, false},
		{"ten", validate.Throttle{Failures: 10, At: now}, 23 * time.Hour, false, day, true},
		{"ten, a day later", validate.Throttle{Failures: 10, At: now}, day, true, 0, false},
		{"our clock was set back", validate.Throttle{Failures: 2, At: now}, -time.Hour, false, 10 * time.Second, false},
		{"it was wrong by years then", validate.Throttle{Failures: 10, At: now}, -1000 * day, true, 0, false},
	} {
		ok, until := tc.t.Permits(now.Add(tc.after))
		want := time.Time{}
		if !tc.ok {
			want = now.Add(tc.until)
		}
		if ok != tc.ok || !until.Equal(want) || tc.t.Locked(now.Add(tc.after)) != tc.locked {
			t.Errorf("%s: %v until %s, locked %v", tc.name, ok, until, tc.t.Locked(now.Add(tc.after)))
		}
	}
}

func TestThrottleCounts(t *testing.T) {
	t.Parallel()
	var th validate.Throttle
	at := now
	for n := 1; n <= validate.MaxFailures; n++ {
		if ok, _ := th.Permits(at); !ok {
			t.Fatalf("try %d is stopped", n)
		}
		if th = th.Failed(at); th.Failures != n || !th.At.Equal(at) {
			t.Fatalf("try %d: %+v", n, th)
		}
		if ok, until := th.Permits(at); ok || until.Sub(at) != map[bool]time.Duration{false: time.Duration(n) * 5 * time.Second, true: day}[n == 10] {
			t.Fatalf("after try %d until %s", n, until.Sub(at))
		}
		_, at = th.Permits(at)
	}
	if th = th.Failed(at); th.Failures != 1 {
		t.Errorf("after the lock: %+v", th)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	var b validate.Budget
	for n := range validate.BudgetSize {
		if !b.Permits(now) {
			t.Fatalf("try %d is stopped", n)
		}
		b = b.Charged(now)
	}
	for _, tc := range []struct {
		after time.Duration
		used  int
	}{
		{0, 1000}, {3599 * time.Millisecond, 1000}, {3600 * time.Millisecond, 999}, {time.Minute, 984}, {30 * time.Minute, 500},
		{time.Hour, 0}, {day, 0}, {-time.Minute, 1000}, {-2 * time.Hour, 0},
	} {
		at := now.Add(tc.after)
		if d := b.Drained(at); d.Used != tc.used || b.Permits(at) != (tc.used < 1000) {
			t.Errorf("after %s: %+v", tc.after, d)
		}
	}
	tries, b := 0, b.Drained(now) // as fast as it goes for ten hours, in ticks that are no multiple of what one costs
	for at := now; at.Before(now.Add(10 * time.Hour)); at = at.Add(time.Second) {
		for b.Permits(at) {
			b = b.Charged(at)
			tries++
		}
	}
	if tries < 9990 || tries > 10000 {
		t.Errorf("%d tries in ten hours", tries)
	}
}
