package validate_test

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

func TestPairs(t *testing.T) {
	t.Parallel()
	first := validate.Row{Caution: 1, Counters: token.Counters{Use: 5, Session: 5, Timestamp: 1<<24 - 80, Moving: 40, At: now}}
	otp := func(use, ticks int, after time.Duration) validate.Advance {
		return validate.Advance{Use: use, Session: 6, Timestamp: (1<<24 - 80 + ticks) & (1<<24 - 1), At: now.Add(after)}
	}
	code := func(moving int64, after time.Duration) validate.Advance {
		return validate.Advance{Use: -1, Session: -1, Moving: moving, At: now.Add(after)}
	}
	for _, tc := range []struct {
		name   string
		second validate.Advance
		want   bool
	}{
		{"ten seconds later", otp(5, 80, 10*time.Second), true},
		{"the key's clock wraps", otp(5, 480, time.Minute), true},
		{"in the same moment", otp(5, 0, 0), true},
		{"a minute and a tick", otp(5, 481, time.Minute), false},
		{"another power-up", otp(6, 80, 10*time.Second), false},
		{"kept for half a minute", otp(5, 80, 31*time.Second), false},
		{"as late as may be", otp(5, 80, 30*time.Second), true},
		{"ours was set back", otp(5, 80, -11*time.Second), false},
		{"the key's clock before the stored one", otp(5, -1, 0), false},
		{"next code", code(41, 30*time.Second), true},
		{"next code, too late", code(41, 301*time.Second), false},
		{"next code, before", code(41, -time.Second), false},
		{"code after the next", code(42, time.Second), false},
	} {
		if got := validate.Pairs(first, tc.second); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}
