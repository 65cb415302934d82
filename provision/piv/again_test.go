package piv

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestTwoRuns: of two set-ups of one new card that were planned at once, the second is refused by the card, and the store keeps what the first
// one put there.
func TestTwoRuns(t *testing.T) {
	t.Parallel()
	for _, v := range []ykslot.Version{v435, v543} {
		c := newFake(v)
		r, s := newRunner(c)
		first, err := r.Plan(t.Context(), c, Want{})
		if err != nil {
			t.Fatal(err)
		}
		defer first.Destroy()
		second, err := r.Plan(t.Context(), c, Want{})
		if err != nil {
			t.Fatal(err)
		}
		defer second.Destroy()
		if err := r.Init(t.Context(), c, first); err != nil {
			t.Fatal(err)
		}
		if err := r.Init(t.Context(), c, second); err == nil {
			t.Error("the second run was not refused")
		}
		check(t, c, s)
	}
}

// TestPUKOfOthers: a card before firmware 5.3 that has the PIN of a new one and not its PUK loses one try, however often the set-up is
// begun, and is finished with the PUK.
func TestPUKOfOthers(t *testing.T) {
	t.Parallel()
	for _, want := range []Want{{}, {PINTries: 8, PUKTries: 8}} {
		c := newFake(v435)
		r, s := newRunner(c)
		c.puk.value = "27182818"
		tries := want.PINTries > 0 // sets the PUK to the one of a new card
		for range 3 {
			if err := setUp(t, r, c, want); (err == nil) != tries {
				t.Errorf("a PUK of somebody else: %v", err)
			}
		}
		if c.puk.wrong > 1 {
			t.Errorf("%d tries of the PUK were burned", c.puk.wrong)
		}
		if err := setUp(t, r, c, Want{Given: Given{PUK: pinText("27182818")}}); err != nil {
			t.Error(err)
		}
		check(t, c, s)
	}
}

// TestGivenKilled kills the set-up of a card of somebody else, whose secrets are given, at every change; the same command finishes it.
func TestGivenKilled(t *testing.T) {
	t.Parallel()
	for _, v := range []ykslot.Version{v435, v543} {
		for _, typed := range []string{"", "correct1"} {
			want := Want{PIN: pinText(typed), Given: Given{PIN: pinText("271828"), PUK: pinText("27182818"), Management: pinText("012345678901234567890123")}}
			for n, ended := 1, false; !ended; n++ {
				for _, after := range []bool{false, true} {
					c := newFake(v)
					r, s := newRunner(c)
					c.pin.value, c.puk.value, c.management = "271828", "27182818", "012345678901234567890123"
					*c.kill = killer{at: n, after: after}
					err := setUp(t, r, c, want)
					ended = err == nil
					*c.kill = killer{}
					if err := setUp(t, r, c, want); err != nil {
						t.Fatalf("%v, change %d, after %v: again: %v", v, n, after, err)
					}
					check(t, c, s)
					if c.pin.wrong > 0 || c.puk.wrong > 1 {
						t.Errorf("%v, change %d: %d tries of the PIN and %d of the PUK were burned", v, n, c.pin.wrong, c.puk.wrong)
					}
				}
			}
		}
	}
}

// TestTriesUncertain: setting the tries takes the PIN, so that it is not done while the card may have one of two.
func TestTriesUncertain(t *testing.T) {
	t.Parallel()
	c := newFake(v543)
	r, s := newRunner(c)
	if err := setUp(t, r, c, Want{}); err != nil {
		t.Fatal(err)
	}
	*c.kill = killer{at: 2, after: true}
	if err := r.Unblock(t.Context(), c, UnblockSpec{}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	*c.kill = killer{}
	for range 2 {
		if err := setUp(t, r, c, Want{PINTries: 8, PUKTries: 8}); !errors.Is(err, ErrPINUnknown) || errors.Is(err, ErrForeign) {
			t.Errorf("while the PIN is not certain: %v", err)
		}
	}
	if c.pin.wrong > 0 {
		t.Errorf("%d tries were burned", c.pin.wrong)
	}
	for _, want := range []Want{{}, {PINTries: 8, PUKTries: 8}} {
		if err := setUp(t, r, c, want); err != nil {
			t.Fatal(err)
		}
		check(t, c, s)
	}
}

// TestForgetOne: what another run has on its way stays when the card refuses a change of this one.
func TestForgetOne(t *testing.T) {
	t.Parallel()
	c := newFake(v543)
	r, s := newRunner(c)
	if err := setUp(t, r, c, Want{}); err != nil {
		t.Fatal(err)
	}
	p, err := r.Plan(t.Context(), c, Want{PIN: pinText("correct1")})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Destroy()
	if _, err := s.KeepEscrow(t.Context(), c.serial, token.PIVPIN, pinText("other123")); err != nil {
		t.Fatal(err)
	}
	c.pin.value = "other123"
	if err := r.Init(t.Context(), c, p); !errors.As(err, new(*PINError)) {
		t.Errorf("got %v", err)
	}
	if !s.has(token.PIVPIN, c.pin.value) || s.has(token.PIVPIN, "correct1") || s.held(token.PIVPIN) != "" {
		t.Error("the PIN that the other run set is forgotten, or one that the card refused is not")
	}
}

// TestManagementTouch: a management key that wants to be touched says so before it is proven.
func TestManagementTouch(t *testing.T) {
	t.Parallel()
	c := newFake(v543)
	r, _ := newRunner(c)
	var told []Slot
	r.Touch = func(s Slot) { told = append(told, s) }
	if err := setUp(t, r, c, Want{}); err != nil || len(told) != 0 {
		t.Fatalf("%v, %v", told, err)
	}
	c.touch = true
	p, err := r.Plan(t.Context(), c, Want{})
	if err != nil || len(told) != 1 {
		t.Errorf("plan: %v, %v", told, err)
	}
	p.Destroy()
	if _, err := r.Generate(t.Context(), c, GenerateSpec{Slot: Authentication}); err != nil || len(told) < 2 || told[1] != ManagementReference {
		t.Errorf("generate: %v, %v", told, err)
	}
	c.management = "012345678901234567890123" // to the host it is the same as one that was not touched
	if _, err := r.Plan(t.Context(), c, Want{}); !errors.Is(err, ErrManagementUnknown) || !strings.Contains(err.Error(), "touch") {
		t.Errorf("not touched: %v", err)
	}
}

// TestManagementOnCard: where another program keeps the management key, it is said.
func TestManagementOnCard(t *testing.T) {
	t.Parallel()
	c := newFake(v571)
	r, _ := newRunner(c)
	c.management, c.objects[AdminData] = "012345678901234567890123", []byte("a mark")
	if _, err := r.Plan(t.Context(), c, Want{}); !errors.Is(err, ErrForeign) || !errors.Is(err, ErrManagementUnknown) || !strings.Contains(err.Error(), "another program keeps it") {
		t.Errorf("plan: %v", err)
	}
	if _, err := r.Generate(t.Context(), c, GenerateSpec{Slot: Authentication}); !errors.Is(err, ErrManagementUnknown) || !strings.Contains(err.Error(), "another program keeps it") {
		t.Errorf("generate: %v", err)
	}
	if err := setUp(t, r, c, Want{Given: Given{Management: pinText("012345678901234567890123")}}); err != nil || len(c.objects[AdminData]) > 0 {
		t.Errorf("the card still says that another program keeps its management key: %v", err)
	}
}

// TestResetElsewhere: a card that was reset since, as for another holder, does not get the PIN and PUK of before, also if the set-up is killed.
func TestResetElsewhere(t *testing.T) {
	t.Parallel()
	for _, v := range []ykslot.Version{v435, v543} {
		for n, ended := 1, false; !ended; n++ {
			for _, after := range []bool{false, true} {
				c := newFake(v)
				r, s := newRunner(c)
				if err := setUp(t, r, c, Want{}); err != nil {
					t.Fatal(err)
				}
				pin, puk := c.pin.value, c.puk.value
				c.factory()
				*c.kill = killer{at: n, after: after}
				ended = setUp(t, r, c, Want{}) == nil
				survivors(t, c, s, n)
				*c.kill = killer{}
				if err := setUp(t, r, c, Want{}); err != nil {
					t.Fatal(err)
				}
				check(t, c, s)
				burned(t, c, n)
				if c.pin.value == pin || c.puk.value == puk {
					t.Errorf("%v, change %d: the card has the PIN or PUK of the former holder", v, n)
				}
			}
		}
	}
}

// TestJustGenerated: firmware before 4.3 tells a public key once, when the key is generated; that is enough for a request and a certificate.
func TestJustGenerated(t *testing.T) {
	t.Parallel()
	c := newFake(ykslot.Version{Major: 4, Minor: 2, Patch: 6})
	r, _ := newRunner(c)
	if err := setUp(t, r, c, Want{}); err != nil {
		t.Fatal(err)
	}
	public, err := r.Generate(t.Context(), c, GenerateSpec{Slot: Authentication})
	if err != nil {
		t.Fatal(err)
	}
	spec := CertificateSpec{Slot: Authentication, Subject: pkix.Name{CommonName: "ada"}, Valid: time.Hour}
	if _, err := r.Request(t.Context(), c, spec); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key that the card does not tell: %v", err)
	}
	spec.Public = public
	der, err := r.Request(t.Context(), c, spec)
	if err != nil {
		t.Fatal(err)
	}
	if req, err := x509.ParseCertificateRequest(der); err != nil || req.CheckSignature() != nil || !SameKey(req.PublicKey, public) {
		t.Errorf("the request: %v", err)
	}
	if _, err := r.SelfSign(t.Context(), c, spec); err != nil {
		t.Error(err)
	}
}
