package piv

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestPlan: what is done to cards in all kinds of states.
func TestPlan(t *testing.T) {
	t.Parallel()
	all := []Action{SetManagementKey, SetPUK, SetPIN, WriteCHUID, WriteCCC}
	for name, test := range map[string]struct {
		version ykslot.Version
		ours    bool // set up by us before
		change  func(c *fakeCard)
		want    Want
		steps   []Action
		err     error
	}{
		"new":                      {version: v543, steps: all},
		"new, before 5.3":          {version: v435, steps: append([]Action{TryNew}, all...)},
		"new, with tries":          {version: v543, want: Want{PINTries: 8, PUKTries: 8}, steps: slices.Insert(slices.Clone(all), 1, SetTries)},
		"new, tries as they are":   {version: v543, want: Want{PINTries: 3, PUKTries: 3}, steps: all},
		"ours":                     {version: v543, ours: true},
		"ours, before 5.3":         {version: v435, ours: true},
		"ours, reset":              {version: v543, ours: true, want: Want{Reset: true}, steps: append([]Action{ResetCard}, all...)},
		"ours, another PIN":        {version: v543, ours: true, want: Want{PIN: pinText("correct1")}, steps: []Action{SetPIN}},
		"ours, tries":              {version: v543, ours: true, want: Want{PINTries: 8, PUKTries: 8}, steps: []Action{SetTries, SetPUK, SetPIN}},
		"ours, tries, before 5.3":  {version: v435, ours: true, want: Want{PINTries: 8, PUKTries: 8}, err: &UnsupportedError{}},
		"ours, reset by others":    {version: v543, ours: true, change: (*fakeCard).factory, steps: all},
		"one try of PUK":           {version: v543, change: func(c *fakeCard) { c.puk.left = 1 }, err: &LastTryError{}},
		"one try of PIN":           {version: v543, change: func(c *fakeCard) { c.pin.left = 1 }, err: &LastTryError{}},
		"one try that may be used": {version: v543, change: func(c *fakeCard) { c.pin.left = 1 }, want: Want{Given: Given{LastTry: true}}, steps: all},
		"PUK blocked":              {version: v543, change: func(c *fakeCard) { c.puk.left = 0 }, err: &PINError{}},
		"PIN blocked":              {version: v543, change: func(c *fakeCard) { c.pin.left = 0 }, steps: all},
		"PIN of others":            {version: v543, change: func(c *fakeCard) { c.pin.value = "271828" }, err: ErrPINUnknown},
		"PUK of others":            {version: v543, change: func(c *fakeCard) { c.puk.value = "27182818" }, err: ErrPUKUnknown},
		"key of others":            {version: v543, change: func(c *fakeCard) { c.management = "012345678901234567890123" }, err: ErrManagementUnknown},
		"all of others, reset": {version: v543, change: func(c *fakeCard) { c.management, c.pin.value = "012345678901234567890123", "271828" },
			want: Want{Reset: true}, steps: append([]Action{ResetCard}, all...)},
		"given": {version: v543, change: func(c *fakeCard) { c.management, c.pin.value = "012345678901234567890123", "271828" },
			want: Want{Given: Given{PIN: pinText("271828"), Management: pinText("012345678901234567890123")}}, steps: all},
		"given wrong":               {version: v543, want: Want{Given: Given{Management: pinText("012345678901234567890123")}}, err: ErrManagementKey},
		"tried before, before 5.3":  {version: v435, change: func(c *fakeCard) { c.pin.left = 2 }, err: ErrPINUnknown},
		"trivial PIN":               {version: v543, want: Want{PIN: pinText("111111")}, err: ErrPIN},
		"tries of the PIN alone":    {version: v543, want: Want{PINTries: 8}, err: errAny},
		"tries that no card counts": {version: v543, want: Want{PINTries: 256, PUKTries: 3}, err: errAny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(test.version)
			r, _ := newRunner(c)
			if test.ours {
				if err := setUp(t, r, c, Want{}); err != nil {
					t.Fatal(err)
				}
			}
			if test.change != nil {
				test.change(c)
			}
			before := c.pin
			p, err := r.Plan(t.Context(), c, test.want)
			defer p.Destroy()
			if !matches(err, test.err) {
				t.Fatalf("got %v, want %T %v", err, test.err, test.err)
			}
			if before != c.pin {
				t.Errorf("the plan tried the PIN")
			}
			if err != nil {
				return
			}
			var did []Action
			for _, s := range p.Steps {
				did = append(did, s.Do)
			}
			if !slices.Equal(did, test.steps) {
				t.Errorf("got %v, want %v", did, test.steps)
			}
			if err := r.Init(t.Context(), c, p); err != nil {
				t.Errorf("carried out: %v", err)
			}
			if c.pin.wrong+c.puk.wrong > 0 {
				t.Error("tries were burned")
			}
		})
	}
}

var errAny = errors.New("any")

// matches compares by errors.Is, types of errors by their type.
func matches(got, want error) bool {
	switch want.(type) {
	case nil:
		return got == nil
	case *UnsupportedError:
		return errors.As(got, new(*UnsupportedError))
	case *LastTryError:
		return errors.As(got, new(*LastTryError))
	case *PINError:
		return errors.As(got, new(*PINError))
	}
	return errors.Is(got, want) || want == errAny && got != nil
}

// TestGuess: a card before 5.3 that has not the PIN of a new one loses one try and nothing else, and is not tried again.
func TestGuess(t *testing.T) {
	t.Parallel()
	c := newFake(v435)
	r, s := newRunner(c)
	c.pin.value = "271828"
	for range 2 {
		if err := setUp(t, r, c, Want{}); !errors.Is(err, ErrForeign) {
			t.Errorf("a PIN of somebody else: %v", err)
		}
	}
	if c.pin.wrong != 1 || c.management != defaultManagement || len(s.rows) != 0 {
		t.Errorf("%d tries were burned, %d secrets kept", c.pin.wrong, len(s.rows))
	}
}

// TestStale: a PIN that the holder changed elsewhere is tried by one run, and by no later one.
func TestStale(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]killer{"held by the store": {}, "on its way": {at: 8, after: true}} {
		for _, want := range []Want{{PIN: pinText("correct1")}, {}} {
			c := newFake(v543)
			r, _ := newRunner(c)
			*c.kill = kill
			if err := setUp(t, r, c, Want{}); (err != nil) != (kill.at > 0) || c.pin.value == defaultPIN {
				t.Fatal(err)
			}
			*c.kill = killer{}
			c.pin.value = "271828"
			if kill.at == 0 && want.PIN.Len() == 0 {
				continue // nothing is to be done
			}
			first, second := setUp(t, r, c, want), setUp(t, r, c, want)
			if !errors.As(first, new(*PINError)) || !errors.Is(second, ErrPINUnknown) || c.pin.wrong != 1 {
				t.Errorf("%s: %v, then %v, %d tries were burned", name, first, second, c.pin.wrong)
			}
		}
	}
}

// TestVerify: which PIN is tried, and that it is one.
func TestVerify(t *testing.T) {
	t.Parallel()
	c := newFake(v543)
	r, s := newRunner(c)
	verify := func(g Given) error {
		f, err := c.Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r.Verify(t.Context(), c, f, g)
	}
	if err := verify(Given{}); err != nil {
		t.Errorf("the PIN of a new card: %v", err)
	}
	if err := setUp(t, r, c, Want{}); err != nil {
		t.Fatal(err)
	}
	if err := verify(Given{}); err != nil {
		t.Errorf("the PIN of the store: %v", err)
	}
	if err := verify(Given{PIN: pinText("999999")}); !errors.As(err, new(*PINError)) || c.pin.wrong != 1 {
		t.Errorf("a wrong one: %v, %d tries", err, c.pin.wrong)
	}
	c.pin.left = 1
	if err := verify(Given{}); !errors.As(err, new(*LastTryError)) {
		t.Errorf("with one try: %v", err)
	}
	if err := verify(Given{LastTry: true}); err != nil {
		t.Errorf("with one try that may be used: %v", err)
	}
	if _, err := s.KeepEscrow(t.Context(), c.serial, token.PIVPIN, pinText("correct1")); err != nil {
		t.Fatal(err)
	}
	if err := verify(Given{}); !errors.Is(err, ErrPINUnknown) {
		t.Errorf("while a change is not finished: %v", err)
	}
	s.rows = nil
	if err := verify(Given{}); !errors.Is(err, ErrPINUnknown) {
		t.Errorf("that nobody knows: %v", err)
	}
	if c.pin.wrong != 1 {
		t.Errorf("%d tries were burned", c.pin.wrong)
	}
}

// TestUnblockRefused: what is not tried.
func TestUnblockRefused(t *testing.T) {
	t.Parallel()
	c := newFake(v543)
	r, s := newRunner(c)
	if err := setUp(t, r, c, Want{}); err != nil {
		t.Fatal(err)
	}
	unblock := func(u UnblockSpec) error { return r.Unblock(t.Context(), c, u) }
	if err := unblock(UnblockSpec{PIN: pinText("123456")}); !errors.Is(err, ErrPIN) {
		t.Errorf("a trivial PIN: %v", err)
	}
	var wrong *PINError
	if err := unblock(UnblockSpec{Given: Given{PUK: pinText("99999999")}}); !errors.As(err, &wrong) || wrong.What != token.PIVPUK || wrong.Left != 2 {
		t.Errorf("a wrong PUK: %v", err)
	}
	check(t, c, s) // the PIN that did not get there is forgotten
	c.puk.left = 1
	if err := unblock(UnblockSpec{}); !errors.As(err, new(*LastTryError)) {
		t.Errorf("with one try: %v", err)
	}
	c.puk.left = 0
	if err := unblock(UnblockSpec{}); !errors.As(err, &wrong) || wrong.Left != 0 {
		t.Errorf("without a try: %v", err)
	}
	c.puk.left = 3
	s.rows = slices.DeleteFunc(s.rows, func(e token.Escrow) bool { return e.What == token.PIVPUK })
	if err := unblock(UnblockSpec{}); !errors.Is(err, ErrPUKUnknown) {
		t.Errorf("a PUK that nobody knows: %v", err)
	}
	if c.puk.wrong != 1 {
		t.Errorf("%d tries were burned", c.puk.wrong)
	}
}

// TestErrors: no error tells a secret.
func TestErrors(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"the PIN is blocked":                        &PINError{What: token.PIVPIN},
		"wrong PUK: one try left":                   &PINError{What: token.PIVPUK, Left: 1},
		"wrong PIN: 2 tries left":                   &PINError{What: token.PIVPIN, Left: 2},
		"slot 9a holds a key":                       &OccupiedError{Slot: Authentication, Key: true},
		"slot 9c holds a certificate":               &OccupiedError{Slot: Signature, Certificate: true},
		"x needs firmware 5.7.1, the key has 4.3.5": &UnsupportedError{What: "x", Has: v435, Since: v571},
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if err := CheckPIN(secret.Copy([]byte("1234567"))); err == nil || err.Error() != "not usable as a PIN: it is one of those that are tried first" {
		t.Errorf("got %v", err)
	}
}

// TestImpossible: a PIN or PUK that no card can have uses up no try.
func TestImpossible(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1234", "12345", "123456789"} {
		c := newFake(v571)
		r, _ := newRunner(c)
		c.pin.value, c.puk.value = "271828", "27182818"
		err := VerifyPIN(t.Context(), c, pinText(text), true)
		_, planned := r.Plan(t.Context(), c, Want{Given: Given{PIN: pinText(text), PUK: pinText("27182818")}})
		_, byPUK := r.Plan(t.Context(), c, Want{Given: Given{PIN: pinText("271828"), PUK: pinText(text)}})
		unblocked := r.Unblock(t.Context(), c, UnblockSpec{Given: Given{PUK: pinText(text)}})
		for what, err := range map[string]error{"verify": err, "plan": planned, "plan, PUK": byPUK, "unblock": unblocked} {
			if !errors.Is(err, ErrPIN) || strings.Contains(err.Error(), text) {
				t.Errorf("%q: %s: %v", text, what, err)
			}
		}
		if c.pin.wrong != 0 || c.puk.wrong != 0 || c.pin.left != c.pin.total || c.puk.left != c.puk.total {
			t.Errorf("%q: tries were used up", text)
		}
	}
}
