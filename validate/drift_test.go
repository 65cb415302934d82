package validate_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

const day = 24 * time.Hour

func TestOffset(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		clock token.Clock
		want  int64
	}{
		{"nothing learned", token.Clock{}, 0},
		{"drift", token.Clock{Drift: -7}, -7},
		{"a rate, no time", token.Clock{Drift: 2, Rate: time.Second, At: now}, 2},
		{"a rate, a clock set back", token.Clock{Drift: 2, Rate: time.Second, At: now.Add(day)}, 2},
		{"29 days at a second", token.Clock{Drift: 2, Rate: time.Second, At: now.Add(-29 * day)}, 2},
		{"30 days at a second", token.Clock{Drift: 2, Rate: time.Second, At: now.Add(-30 * day)}, 3},
		{"100 days at minus three seconds", token.Clock{Drift: 2, Rate: -3 * time.Second, At: now.Add(-100 * day)}, -8},
		{"100 days at 1.5 s", token.Clock{Rate: 1500 * time.Millisecond, At: now.Add(-100 * day)}, 5},
		{"since 1970 at 10 s", token.Clock{Rate: 10 * time.Second, At: time.Unix(1, 0)}, 3650 * 10 / 30},
	} {
		if got := validate.Offset(tc.clock, period, now); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		model token.Model
		used  time.Duration // ago; 0: never
		want  int
	}{
		{"an app", token.App, day, 1},
		{"an app, never", token.App, 0, 1},
		{"an app after a year", token.App, 365 * day, 1},
		{"an account on a YubiKey, never", token.YubiKey, 0, 1},
		{"hardware, never", token.Hardware, 0, 10},
		{"hardware yesterday", token.Hardware, day, 1},
		{"29 days", token.Hardware, 29 * day, 1},
		{"30 days", token.Hardware, 30 * day, 2},
		{"240 days", token.Hardware, 240 * day, 9},
		{"years", token.Hardware, 3000 * day, 10},
		{"used in our future", token.Hardware, -400 * day, 1},
	} {
		n := token.Fresh()
		if tc.used != 0 {
			n.Moving, n.At = 1, now.Add(-tc.used)
		}
		if got := validate.Window(tc.model, n, now); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestLearn(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, tc := range []struct {
		name    string
		clock   token.Clock
		matched int64 // as offset from now
		window  int
		want    token.Clock
	}{
		{"right", token.Clock{}, 0, 1, token.Clock{}},
		{"one slow", token.Clock{}, -1, 1, token.Clock{Drift: -1, At: now}},
		{"one fast", token.Clock{Drift: 3, At: ago(day)}, 4, 1, token.Clock{Drift: 4, At: now}},
		{"as expected", token.Clock{Drift: 3, At: ago(day)}, 3, 1, token.Clock{Drift: 3, At: ago(day)}},
		{"learned an hour ago", token.Clock{Drift: 3, At: ago(time.Hour)}, 4, 1, token.Clock{Drift: 3, At: ago(time.Hour)}},
		{"learned twelve hours ago", token.Clock{Drift: 3, At: ago(12 * time.Hour)}, 4, 1, token.Clock{Drift: 4, At: now}},
		{"first use", token.Clock{}, -9, 10, token.Clock{Drift: -9, At: now}},
		{"after half a year", token.Clock{Drift: 1, At: ago(180 * day)}, 6, 7, token.Clock{Drift: 6, At: now}},
		{"never further than the window", token.Clock{}, 9, 1, token.Clock{Drift: 1, At: now}},
		{"the rate stays", token.Clock{Drift: 1, Rate: time.Second, At: ago(60 * day)}, 4, 2, token.Clock{Drift: 4, Rate: time.Second, At: now}},
	} {
		got := validate.Learn(tc.clock, period, oath.Step(now, period)+tc.matched, tc.window, now)
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		clock   token.Clock
		matched int64
		want    token.Clock
	}{
		{"at issue", token.Clock{}, 5, token.Clock{Drift: 5, At: now}},
		{"a day later", token.Clock{Drift: 5, At: now.Add(-day)}, -100, token.Clock{Drift: -100, At: now}},
		{"two steps in 60 days", token.Clock{Drift: 5, At: now.Add(-60 * day)}, 7, token.Clock{Drift: 7, Rate: time.Second, At: now}},
		{"slow", token.Clock{Drift: 5, At: now.Add(-60 * day)}, 3, token.Clock{Drift: 3, Rate: -time.Second, At: now}},
		{"set anew", token.Clock{Drift: 0, At: now.Add(-60 * day)}, 2880, token.Clock{Drift: 2880, Rate: 10 * time.Second, At: now}},
	} {
		got := validate.Measure(tc.clock, period, oath.Step(now, period)+tc.matched, now)
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// use tries a code and does to the row what a store does.
func use(g oath.Generator, r *validate.Row, m token.Model, at time.Time, code string) validate.Match {
	window := validate.Window(m, r.Counters, at)
	moving, how := validate.MatchTOTP(g, *r, period, window, at, code)
	if how == validate.Fresh {
		r.Counters.Clock = validate.Learn(r.Counters.Clock, period, moving, window, at)
		r.Counters.Moving, r.Counters.At = moving, at
	}
	return how
}

// TestDriftingTokens uses display tokens whose clocks are up to 40 ppm off for three years: every third day, and then with pauses of
// up to half a year. Where a clock is just between two steps the drift is known to a step only: one code in a hundred may be
// refused, and hardly ever three in a row.
func TestDriftingTokens(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	for _, tc := range []struct {
		name        string
		start, rate time.Duration // ahead at first, and gained in a day
		pause       time.Duration
	}{
		{"right", 0, 0, 3 * day},
		{"a minute slow, 20 ppm slower", -time.Minute, -1728 * time.Millisecond, 3 * day},
		{"four minutes fast, 40 ppm faster", 4 * time.Minute, 3456 * time.Millisecond, 3 * day},
		{"five minutes slow, every half year, 8 ppm", -5 * time.Minute, 700 * time.Millisecond, 180 * day},
		{"every quarter, 10 ppm slower", 0, -864 * time.Millisecond, 90 * day},
	} {
		random := rand.New(rand.NewPCG(1, uint64(tc.pause)))
		r, refused, tries := oathRow(-1, token.Clock{}), 0, 0
		for at := now; at.Before(now.Add(3 * 365 * day)); at = at.Add(tc.pause) {
			how := validate.NoMatch
			for n := 0; n < 3 && how != validate.Fresh; n++ {
				at = at.Add(period + time.Duration(random.IntN(60))*time.Second)
				ahead := tc.start + time.Duration(at.Sub(now).Hours()/24*float64(tc.rate))
				how = use(g, &r, token.Hardware, at, g.Code(oath.Step(at.Add(ahead), period)))
				tries++
				if how != validate.Fresh {
					refused++
				}
			}
			if how != validate.Fresh {
				t.Fatalf("%s: %s after %s, clock %+v", tc.name, how, at.Sub(now), r.Counters.Clock)
			}
		}
		if refused > 1+tries/100 {
			t.Errorf("%s: %d of %d refused", tc.name, refused, tries)
		}
	}
}

// TestStepsOnlyRise tries codes around now, at times that jump both ways: whatever was learned meanwhile, no step counts twice
// and none below another.
func TestStepsOnlyRise(t *testing.T) {
	t.Parallel()
	g := rfcGenerator(t)
	accepted := 0
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		r, at := oathRow(-1, token.Clock{Rate: time.Duration(random.IntN(20001)-10000) * time.Millisecond}), now
		for range 1000 {
			at = at.Add(time.Duration(random.IntN(26)-6) * []time.Duration{time.Second, time.Hour, day}[random.IntN(3)])
			before := r.Counters.Moving
			code := g.Code(oath.Step(at, period) + validate.Offset(r.Counters.Clock, period, at) + int64(random.IntN(25)-12))
			if use(g, &r, token.Hardware, at, code) == validate.Fresh {
				accepted++
				if r.Counters.Moving <= before {
					t.Fatalf("step %d after %d", r.Counters.Moving, before)
				}
				if use(g, &r, token.Hardware, at, code) == validate.Fresh {
					t.Fatal("accepted twice at once")
				}
			}
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d were accepted", accepted)
	}
}

// TestDelayedCodesPullSlowly: who holds every code back for a step moves the clock by one step in twelve hours.
func TestDelayedCodesPullSlowly(t *testing.T) {
	t.Parallel()
	g, r := rfcGenerator(t), oathRow(0, token.Clock{Drift: 0, At: now})
	r.Counters.At = now
	for at := now; at.Before(now.Add(10 * day)); at = at.Add(10 * time.Minute) {
		use(g, &r, token.Hardware, at, g.Code(oath.Step(at, period)+validate.Offset(r.Counters.Clock, period, at)-1))
	}
	if d := r.Counters.Clock.Drift; d < -20 || d > -18 {
		t.Errorf("%d steps in ten days", d)
	}
}
