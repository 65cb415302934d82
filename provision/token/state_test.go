package token

import (
	"errors"
	"testing"
)

// allowed repeats the table as a person would write it on paper, so that a slip in either is seen.
var allowed = map[string]State{
	"pending write": Programmed, "pending prove": Active, "pending stock": InStock,
	"pending lose": Lost, "pending suspend": Suspended, "pending revoke": Revoked,
	"programmed write": Programmed, "programmed prove": Active, "programmed stock": InStock, "programmed issue": Active,
	"programmed lose": Lost, "programmed suspend": Suspended, "programmed revoke": Revoked,
	"in_stock write": Programmed, "in_stock issue": Active, "in_stock lose": Lost, "in_stock suspend": Suspended, "in_stock revoke": Revoked,
	"active write": Active, "active prove": Active, "active stock": InStock, "active issue": Active,
	"programmed return": InStock, "active return": InStock, "programmed empty": Pending, "active empty": Pending, "shipped empty": Pending,
	"programmed ship": Shipped, "in_stock ship": Shipped, "active ship": Shipped,
	"shipped ship": Shipped, "shipped arrive": Active, "shipped return": InStock,
	"shipped lose": Lost, "shipped suspend": Suspended, "shipped revoke": Revoked,
	"suspended return": InStock, "suspended empty": Pending, "suspended undo": Active,
	"lost return": InStock, "lost empty": Pending, "lost undo": Active,
	"active lose": Lost, "active suspend": Suspended, "active revoke": Revoked,
	"suspended restore": Active, "suspended lose": Lost, "suspended revoke": Revoked,
	"lost restore": Active, "lost revoke": Revoked,
}

func TestWhatIsNotListedIsImpossible(t *testing.T) {
	t.Parallel()
	events := append(Events(), "", "unknown")
	from := append(States(), "", "unknown")
	seen := 0
	for _, s := range from {
		for _, e := range events {
			got, err := s.Next(e)
			want, ok := allowed[string(s)+" "+string(e)]
			var te *TransitionError
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%s %s: got %s, %v, want %s", s, e, got, err, want)
			case !ok && (!errors.As(err, &te) || got != s || te.From != s || te.Event != e):
				t.Errorf("%s %s: got %s, %v, want impossible", s, e, got, err)
			}
			if ok {
				seen++
			}
		}
	}
	if seen != len(allowed) {
		t.Errorf("%d of %d lines met", seen, len(allowed))
	}
}

func TestListsAreWhole(t *testing.T) {
	t.Parallel()
	if len(States()) != len(states) || len(transitions) != len(states) {
		t.Errorf("%d listed, %d states, %d rows", len(States()), len(states), len(transitions))
	}
	for _, s := range States() {
		if !s.Valid() {
			t.Errorf("%s is not valid", s)
		}
	}
	listed := map[Event]bool{}
	for _, e := range Events() {
		listed[e] = true
	}
	for from, row := range transitions {
		for e, to := range row {
			if !listed[e] || !to.Valid() {
				t.Errorf("%s %s %s: not in the lists", from, e, to)
			}
		}
	}
	if State("").Valid() || State("").Validates() {
		t.Error("the empty state is one")
	}
}

func TestWhichStatesValidate(t *testing.T) {
	t.Parallel()
	for s, want := range map[State]struct{ validates, blocked bool }{
		Pending: {}, Programmed: {validates: true}, InStock: {}, Shipped: {}, Active: {validates: true},
		Suspended: {blocked: true}, Lost: {blocked: true}, Revoked: {},
	} {
		if s.Validates() != want.validates || s.Blocked() != want.blocked {
			t.Errorf("%s: validates %v, blocked %v", s, s.Validates(), s.Blocked())
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	want := map[Reason]Event{ReasonLost: Lose, ReasonStolen: Lose, ReasonDamaged: Lose, ReasonForgotten: Suspend, ReasonLeft: Suspend}
	if len(Reasons()) != len(want) {
		t.Errorf("%d reasons", len(Reasons()))
	}
	for _, r := range Reasons() {
		if e, ok := r.Event(); !ok || e != want[r] {
			t.Errorf("%s: %s, %v", r, e, ok)
		}
	}
	if _, ok := Reason("bored").Event(); ok {
		t.Error("bored is a reason")
	}
}
