package validate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// TestAttackOdds lets an attacker guess codes of 6 digits on tokens of random seeds until they are locked. Source of what it should
// come to: reference validation-protocol.md §15 rule 5.
func TestAttackOdds(t *testing.T) {
	t.Parallel()
	const tokens, attacks = 400, 3000 // of each
	const rounds = tokens * attacks
	for _, tc := range []struct {
		name string
		odds float64 // of ten tries
		try  func(g oath.Generator, r validate.Row, at time.Time, code string) (int64, validate.Match)
	}{
		{"TOTP", 3e-5, func(g oath.Generator, r validate.Row, at time.Time, code string) (int64, validate.Match) {
			return validate.MatchTOTP(g, r, period, validate.Window(token.App, r.Counters, at), at, code)
		}},
		{"HOTP", 1.1e-4, func(g oath.Generator, r validate.Row, _ time.Time, code string) (int64, validate.Match) {
			return validate.MatchHOTP(g, r, validate.HOTPWindow, code)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			wins, key := 0, make([]byte, 20)
			for n := range tokens {
				for i := range key {
					key[i] = byte(random.Uint32())
				}
				g := newGenerator(t, secret.Copy(key), oath.SHA1, 6)
				r := oathRow(int64(n), token.Clock{})
				right := accepted(g, r, func(code string) (int64, validate.Match) { return tc.try(g, r, now, code) })
				for range attacks {
					if guessed(right, random) {
						wins++
					}
				}
			}
			want := tc.odds * rounds
			if math.Abs(float64(wins)-want) > 5*math.Sqrt(want) {
				t.Errorf("%d of %d were guessed, want about %.0f", wins, rounds, want)
			}
			t.Logf("%d of %d locked tokens were guessed: %.2g, want %.2g", wins, rounds, float64(wins)/rounds, tc.odds)
		})
	}
}

// guessed reports whether a code is found before the lock.
func guessed(right map[string]bool, random *rand.Rand) bool {
	var th validate.Throttle
	for at := now; !th.Locked(at); _, at = th.Permits(at) {
		if code := random.IntN(1e6); right[string(strconv.AppendInt(nil, int64(code+1e6), 10)[1:])] {
			return true
		}
		if th = th.Failed(at); th.Locked(at) {
			break
		}
	}
	return false
}

// accepted are the codes that try takes, of those that a token shows near now or near its counter. No other can be right.
func accepted(g oath.Generator, r validate.Row, try func(string) (int64, validate.Match)) map[string]bool {
	out := map[string]bool{}
	for _, center := range []int64{oath.Step(now, period), r.Counters.Moving + 6} {
		for m := max(0, center-6); m <= center+6; m++ {
			if _, how := try(g.Code(m)); how == validate.Fresh {
				out[g.Code(m)] = true
			}
		}
	}
	return out
}

// TestNothingElseIsAccepted tries some of all codes: those that count are the three of TOTP and the eleven of HOTP.
func TestNothingElseIsAccepted(t *testing.T) {
	t.Parallel()
	g, r := rfcGenerator(t), oathRow(-1, token.Clock{})
	totp := func(code string) (int64, validate.Match) { return validate.MatchTOTP(g, r, period, 1, now, code) }
	hotp := func(code string) (int64, validate.Match) {
		return validate.MatchHOTP(g, r, validate.HOTPWindow, code)
	}
	for n, try := range map[int]func(string) (int64, validate.Match){3: totp, 11: hotp} {
		right := accepted(g, r, try)
		if len(right) != n {
			t.Errorf("%d codes are right, want %d", len(right), n)
		}
		for c := range 20_000 {
			code := fmt.Sprintf("%06d", c*50+n)
			if _, how := try(code); (how == validate.Fresh) != right[code] {
				t.Errorf("%s: %s", code, how)
			}
		}
	}
}

// TestTriesPerDay counts the tries of somebody who never stops: ten a day. The delay alone would give 185 on the first day
// and 96 on later ones.
func TestTriesPerDay(t *testing.T) {
	t.Parallel()
	var th validate.Throttle
	perDay := make([]int, 30)
	for at := now; at.Before(now.Add(30 * day)); _, at = th.Permits(at) {
		perDay[at.Sub(now)/day]++
		th = th.Failed(at)
	}
	for n, tries := range perDay {
		if tries > 10 {
			t.Errorf("day %d: %d tries", n, tries)
		}
	}
	alone := make([]int, 3)
	n := 0
	for at := now; at.Before(now.Add(3 * day)); at = at.Add(min(time.Duration(n)*validate.DelayStep, validate.MaxDelay)) {
		alone[at.Sub(now)/day]++
		n++
	}
	if alone[0] < 184 || alone[0] > 187 || alone[1] != 96 || alone[2] != 96 {
		t.Errorf("the delay alone: %v", alone)
	}
}
