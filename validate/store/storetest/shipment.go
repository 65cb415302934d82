package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// postTo ships a token after a video call, and returns the number.
func (s *lifeSuite) postTo(t *testing.T, query, account string) (string, desk.Shipment) {
	t.Helper()
	out, err := s.here.Ship(t.Context(), query, desk.Ship{To: account, IDCheck: desk.ByVideo})
	if err != nil || out.Token.State != token.Shipped || out.Number.Len() != 6 {
		t.Fatalf("%+v, %v", out.Token, err)
	}
	return string(out.Number.Reveal()), out
}

// another is a number that is not the one.
func another(number string) string {
	return number[:5] + string('0'+(number[5]-'0'+1)%10)
}

func testShip(t *testing.T, s *lifeSuite) {
	query := s.onShelf(t, 1)
	number, out := s.postTo(t, query, "anna")
	if strings.Trim(number, "0123456789") != "" || out.Receipt.Kind != token.Posted || out.Receipt.Ref() != "R-1" || out.Receipt.IDCheck != token.ByVideo || out.Receipt.PublicID != token.SerialPublicID(101) {
		t.Errorf("%+v", out.Receipt)
	}
	s.checkReceipt(t, out.Receipt)
	if k := s.is(t, query, token.Shipped, "anna"); !k.IssuedAt.IsZero() {
		t.Errorf("issued at %v", k.IssuedAt)
	}
	if s.valid(t, 1, 3, 0) {
		t.Error("a key in the post validates")
	}
	if _, proof, err := s.there.Issue(t.Context(), query, handTo("anna", otp(t, 1, 4, 0))); !isTransition(err) || proof != "" {
		t.Errorf("issued without the number: %s, %v", proof, err)
	}
	if _, proof, err := s.there.Confirm(t.Context(), query, []string{otp(t, 1, 4, 1)}, ""); !isTransition(err) || proof != "" {
		t.Errorf("proven without the number: %s, %v", proof, err)
	}
	s.pass(3 * 24 * time.Hour)
	k, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 5, 0)}, " "+number[:3]+" "+number[3:]+"\n")
	if err != nil || proof != desk.Proven || k.State != token.Active || !k.IssuedAt.Equal(s.now()) {
		t.Fatalf("%+v, %s, %v", k, proof, err)
	}
	if s.valid(t, 1, 5, 0) || !s.valid(t, 1, 5, 1) {
		t.Error("the proof was accepted, or the next OTP was not")
	}
	if _, _, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 6, 0)}, number); !isTransition(err) {
		t.Errorf("arrived twice: %v", err)
	}
	if _, err := s.here.CancelShipment(t.Context(), query, ""); !errors.Is(err, token.ErrConflict) {
		t.Errorf("cancelled after it arrived: %v", err)
	}
}

func testShipTries(t *testing.T, s *lifeSuite) {
	query := s.onShelf(t, 1)
	number, _ := s.postTo(t, query, "anna")
	if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 2, 0)}, number); err != nil || proof != desk.NotNewer {
		t.Errorf("an old OTP: %s, %v", proof, err)
	}
	if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 9, 9, 0)}, number); err != nil || proof != desk.OtherToken {
		t.Errorf("another key's OTP: %s, %v", proof, err)
	}
	for i := range desk.ShipTries {
		if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 3, i)}, another(number)); err != nil || proof != desk.WrongNumber {
			t.Fatalf("try %d: %s, %v", i, proof, err)
		}
		if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 3, i)}, number); err != nil || proof != desk.NotNewer {
			t.Fatalf("the OTP of a wrong number is not spent: %s, %v", proof, err)
		}
	}
	if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 4, 0)}, number); err != nil || proof != desk.NumberOver {
		t.Errorf("the right number after %d wrong ones: %s, %v", desk.ShipTries, proof, err)
	}
	s.is(t, query, token.Shipped, "anna")
	number, _ = s.postTo(t, query, "anna") // another call
	if k, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 5, 0)}, number); err != nil || proof != desk.Proven || k.State != token.Active {
		t.Errorf("with a new number: %s, %v", proof, err)
	}
}

func testShipLate(t *testing.T, s *lifeSuite) {
	query := s.onShelf(t, 1)
	number, out := s.postTo(t, query, "anna")
	s.pass(out.Until.Sub(s.now()))
	if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 3, 0)}, number); err != nil || proof != desk.NumberOver {
		t.Errorf("%s, %v", proof, err)
	}
	s.is(t, query, token.Shipped, "anna")
}

func testShipAgain(t *testing.T, s *lifeSuite) {
	query := s.onShelf(t, 1)
	first, _ := s.postTo(t, query, "anna")
	second, out := s.postTo(t, query, "anna")
	if out.Receipt.Ref() != "R-1" {
		t.Errorf("another number is another receipt: %s", out.Receipt.Ref())
	}
	if first == second { // one in a million
		t.Skip("the same number was drawn twice")
	}
	if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 3, 0)}, first); err != nil || proof != desk.WrongNumber {
		t.Errorf("the former number: %s, %v", proof, err)
	}
	if _, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 3, 1)}, second); err != nil || proof != desk.Proven {
		t.Errorf("%s, %v", proof, err)
	}
}

func testShipRefusals(t *testing.T, s *lifeSuite) {
	posted, held, open := s.onShelf(t, 1), s.onShelf(t, 2), s.onShelf(t, 3)
	s.postTo(t, posted, "anna")
	if _, _, proof, err := s.here.Bind(t.Context(), otp(t, 2, 3, 0), handTo("bert")); err != nil || proof != desk.Proven {
		t.Fatal(proof, err)
	}
	other := reservation(103)
	other.Slot, other.PublicID = 2, token.SerialPublicID(9103)
	s.a.reach(t, other, token.Sealed, 8)
	s.onShelf(t, 4)
	s.block(t, "104", desk.Block{Reason: token.ReasonLost})
	good := func(to string) desk.Ship { return desk.Ship{To: to, IDCheck: desk.ByVideo} }
	for name, tc := range map[string]struct {
		query string
		ship  desk.Ship
		is    func(error) bool
	}{
		"on its way to another":  {posted, good("bert"), func(err error) bool { return errors.Is(err, desk.ErrHeld) }},
		"held":                   {held, good("anna"), func(err error) bool { return errors.Is(err, desk.ErrHeld) }},
		"held by the same":       {held, good("bert"), func(err error) bool { return errors.Is(err, desk.ErrHeld) }},
		"being written":          {open, good("anna"), func(err error) bool { return errors.Is(err, token.ErrUnsettled) }},
		"blocked":                {"104", good("anna"), isTransition},
		"nobody":                 {open, good("nobody"), func(err error) bool { return errors.Is(err, token.ErrNotFound) }},
		"no check":               {open, desk.Ship{To: "anna"}, isText},
		"too long":               {open, desk.Ship{To: "anna", IDCheck: desk.ByVideo, Valid: desk.MaxShipTime + 1}, isText},
		"replaces another's key": {open, desk.Ship{To: "anna", IDCheck: desk.ByVideo, Replace: held}, isText},
	} {
		if out, err := s.here.Ship(t.Context(), tc.query, tc.ship); !tc.is(err) || out.Number.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := s.here.Arrive(t.Context(), held, []string{otp(t, 2, 9, 0)}, "123456"); !isTransition(err) {
		t.Errorf("arrive of what is held: %v", err)
	}
}

// testShipBlocked: a key that was lost in the post is not valid by a touch alone when it is found again.
func testShipBlocked(t *testing.T, s *lifeSuite) {
	query := s.onShelf(t, 1)
	number, _ := s.postTo(t, query, "anna")
	s.block(t, query, desk.Block{Reason: token.ReasonLost})
	if _, _, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 3, 0)}, number); !isTransition(err) {
		t.Errorf("blocked: %v", err)
	}
	s.pass(time.Hour)
	if k, proof, err := s.there.Restore(t.Context(), query, []string{otp(t, 1, 4, 0)}); err != nil || proof != desk.Proven || k.State != token.Shipped {
		t.Fatalf("%s, %s, %v", k.State, proof, err)
	}
	if s.valid(t, 1, 5, 0) {
		t.Error("it validates before it arrived")
	}
	if k, proof, err := s.there.Arrive(t.Context(), query, []string{otp(t, 1, 6, 0)}, number); err != nil || proof != desk.Proven || k.State != token.Active {
		t.Errorf("%s, %v", proof, err)
	}
	query = s.onShelf(t, 2)
	s.postTo(t, query, "anna")
	s.block(t, query, desk.Block{Reason: token.ReasonForgotten, Until: s.now().Add(time.Hour)})
	s.pass(2 * time.Hour)
	if _, err := s.here.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.is(t, query, token.Shipped, "anna")
}

func testShipCancel(t *testing.T, s *lifeSuite) {
	query := s.onShelf(t, 1)
	number, _ := s.postTo(t, query, "anna")
	k, err := s.there.CancelShipment(t.Context(), query, "wrong address")
	if err != nil || k.State != token.Lost {
		t.Fatalf("%s, %v", k.State, err)
	}
	if _, err := s.there.CancelShipment(t.Context(), query, ""); !errors.Is(err, token.ErrConflict) {
		t.Errorf("cancelled twice: %v", err)
	}
	if _, err := s.there.Undo(t.Context(), query); err != nil && !isUndo(err) {
		t.Error(err)
	}
	if _, proof, err := s.here.Arrive(t.Context(), query, []string{otp(t, 1, 3, 0)}, number); err == nil && proof != desk.NumberOver {
		t.Errorf("arrived after it was cancelled: %s", proof)
	}
	if k, proof, err := s.here.Return(t.Context(), query, []string{otp(t, 1, 4, 0)}, "came back"); err != nil || proof != desk.Proven || k.State != token.InStock || k.Holder != nil {
		t.Errorf("back in stock: %s, %s, %v", k.State, proof, err)
	}
	number, _ = s.postTo(t, query, "bert")
	if k, proof, err := s.here.Arrive(t.Context(), query, []string{otp(t, 1, 5, 0)}, number); err != nil || proof != desk.Proven || k.Holder.Account != "bert" {
		t.Errorf("%s, %v", proof, err)
	}
}

func testArriveRace(t *testing.T, s *lifeSuite) {
	query := s.onShelf(t, 1)
	number, _ := s.postTo(t, query, "anna")
	typed := otp(t, 1, 3, 0)
	got := together(t, 16, func(i int) (bool, error) {
		d := s.here
		if i%2 == 1 {
			d = s.there
		}
		_, proof, err := d.Arrive(t.Context(), query, []string{typed}, number)
		if isTransition(err) {
			err = nil
		}
		return proof == desk.Proven, err
	})
	if got != 1 {
		t.Errorf("it arrived %d times", got)
	}
}
