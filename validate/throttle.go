package validate

import "time"

// The throttle of a subject. Sources: DESIGN.md "Model and decisions", reference validation-protocol.md §15 rule 5.
const (
	DelayStep   = 5 * time.Second // after the n-th failure in a row: n times
	MaxDelay    = 15 * time.Minute
	MaxFailures = 10 // then it is locked
	LockTime    = 24 * time.Hour
)

// Throttle are the failures of one subject since its last success. The zero Throttle has none.
type Throttle struct {
	Failures int
	At       time.Time // of the last one
}

// Permits reports whether a code may be tried, and otherwise from when on. A last failure that lies further ahead than
// any lock lasts was written by a clock that was wrong, and stops nobody.
func (t Throttle) Permits(now time.Time) (bool, time.Time) {
	until := t.At.Add(t.wait())
	if t.Failures <= 0 || !now.Before(until) || t.At.Sub(now) > LockTime {
		return true, time.Time{}
	}
	return false, until
}

// Locked reports whether it is the lock, not the delay, that stops codes.
func (t Throttle) Locked(now time.Time) bool {
	ok, _ := t.Permits(now)
	return !ok && t.Failures >= MaxFailures
}

// Failed is the throttle after one more failure. After a lock the count begins anew.
func (t Throttle) Failed(now time.Time) Throttle {
	if t.Failures >= MaxFailures {
		t.Failures = 0
	}
	return Throttle{t.Failures + 1, now}
}

func (t Throttle) wait() time.Duration {
	if t.Failures >= MaxFailures {
		return LockTime
	}
	return min(time.Duration(t.Failures)*DelayStep, MaxDelay)
}

// The budget of a client: how many wrong codes of 6 to 8 digits it may send in an hour, whoever they are tried on. A person has one
// of the same size for temporary and recovery codes, whoever sends them.
const (
	BudgetSize = 1000
	budgetStep = time.Hour / 1000 // one is given back
)

// Budget is what a client or a person has used up. The zero Budget is whole.
type Budget struct {
	Used int
	At   time.Time // when Used was right
}

// Permits reports whether a code may be tried.
func (b Budget) Permits(now time.Time) bool { return b.Drained(now).Used < BudgetSize }

// Drained is the budget as it is now.
func (b Budget) Drained(now time.Time) Budget {
	back := now.Sub(b.At) / budgetStep
	switch {
	case b.Used <= 0 || back >= time.Duration(b.Used) || b.At.Sub(now) > time.Hour: // the last: a clock that was wrong
		return Budget{At: now}
	case back <= 0:
		return b
	}
	return Budget{b.Used - int(back), b.At.Add(back * budgetStep)}
}

// Charged is the budget after one more wrong code.
func (b Budget) Charged(now time.Time) Budget {
	b = b.Drained(now)
	b.Used++
	return b
}
