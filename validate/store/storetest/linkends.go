package storetest

import (
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// testLinkTokenGone: whoever takes away the token that a link drew, also after it was proven at the desk, takes the link with it.
func testLinkTokenGone(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada", "bob", "eve")
	for account, take := range map[string]func(s linkSuite, id token.ID){
		"ada": func(s linkSuite, id token.ID) { s.a.must(t, s.a.Retire(t.Context(), id, "")) },
		"bob": func(s linkSuite, id token.ID) {
			_, err := s.a.Block(t.Context(), id, desk.Block{Reason: token.ReasonStolen})
			s.a.must(t, err)
			s.state(t, desk.LinkCancelled)
			s.a.must(t, s.a.Retire(t.Context(), id, ""))
		},
		"eve": func(s linkSuite, id token.ID) {
			code := s.codeOf(t, s.show(t, s.pin, desk.LinkShown), 0)
			if _, proof, err := s.here.Confirm(t.Context(), desk.ByID(id), []string{code}, "Phone"); err != nil || proof != desk.Proven {
				t.Fatal(proof, err)
			}
			s.state(t, desk.LinkDone)
			s.a.must(t, s.a.Retire(t.Context(), id, ""))
		},
	} {
		s := staff.enroll(t, account, desk.App{})
		s.show(t, s.pin, desk.LinkShown)
		list, err := s.a.Tokens(t.Context(), desk.Match{Text: account})
		s.a.must(t, err)
		take(s, list[0].ID)
		s.state(t, desk.LinkCancelled)
		s.show(t, s.pin, desk.LinkCancelled)
	}
}

// testClockBack: what was ended while the clock was ahead, and seemed to be over then, does not come back with the clock.
func testClockBack(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	vpn := staff.relying(t, "vpn")
	first := staff.enroll(t, "ada", desk.App{})
	id := first.finishNow(t, "Phone")
	cookie, err := staff.here.Trust(t.Context(), first.link.Person.ID, id, vpn.ID, "")
	staff.a.must(t, err)
	former, _, err := staff.here.TempCode(t.Context(), "ada", desk.TempCode{})
	staff.a.must(t, err)
	unopened, shownOne := staff.enroll(t, "ada", desk.App{}), staff.enroll(t, "ada", desk.App{})
	shownOne.show(t, shownOne.pin, desk.LinkShown)

	const ahead = 365 * 24 * time.Hour
	staff.pass(ahead)
	_, _, err = staff.here.TempCode(t.Context(), "ada", desk.TempCode{})
	staff.a.must(t, err)
	if effects, err := staff.a.Block(t.Context(), id, desk.Block{Reason: token.ReasonStolen}); err != nil || effects != (desk.Effects{}) {
		t.Errorf("%+v, %v", effects, err)
	}
	late := staff.enroll(t, "ada", desk.App{})
	rec := late.show(t, late.pin, desk.LinkShown)
	staff.pass(-ahead)

	if got := staff.check(t, "ada", shown(former), vpn); got.Outcome == validate.Accepted {
		t.Error("the former temporary code is back")
	}
	if got, err := validate.NewChecker(staff.b.(validate.Factors), validate.New(staff.b, staff.now), staff.now).Check(t.Context(),
		validate.Factor{Account: "ada", Browser: string(cookie.Reveal()), Client: vpn}); err != nil || got.Outcome == validate.Accepted {
		t.Errorf("the browser is trusted again: %v", err)
	}
	unopened.state(t, desk.LinkCancelled)
	shownOne.state(t, desk.LinkCancelled)
	late.state(t, desk.LinkOpen)
	if again := late.show(t, late.pin, desk.LinkShown); again.Key.Equal(rec.Key) {
		t.Error("a secret lives for a year")
	}
}

// finishNow sets the app up, and is its token.
func (s linkSuite) finishNow(t *testing.T, name string) token.ID {
	t.Helper()
	s.finish(t, s.codeOf(t, s.show(t, s.pin, desk.LinkShown), 0), name, desk.LinkDone, desk.Proven)
	return tokenNamed(t, s, s.link.Person.Account, name)
}

// testLeaver: codes stand in for a token that is lost, not for that of somebody who left.
func testLeaver(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	vpn := staff.relying(t, "vpn")
	id := staff.enroll(t, "ada", desk.App{}).finishNow(t, "Phone")
	temp, _, err := staff.here.TempCode(t.Context(), "ada", desk.TempCode{})
	staff.a.must(t, err)
	sheet, err := staff.here.RecoveryCodes(t.Context(), "ada", 3)
	staff.a.must(t, err)
	if _, err := staff.a.Block(t.Context(), id, desk.Block{Reason: token.ReasonForgotten}); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{shown(temp), shown(sheet[0])} {
		if got := staff.check(t, "ada", code, vpn); got.Outcome != validate.Accepted {
			t.Errorf("forgotten: %+v", got)
		}
	}
	if effects, err := staff.a.Block(t.Context(), id, desk.Block{Reason: token.ReasonLeft}); err != nil || effects != (desk.Effects{Codes: 3}) {
		t.Errorf("%+v, %v", effects, err)
	}
	for _, code := range []string{shown(temp), shown(sheet[1])} {
		if got := staff.check(t, "ada", code, vpn); got.Outcome == validate.Accepted {
			t.Errorf("left: %+v", got)
		}
	}
}

// testBrowsersEnd: a browser is not trusted longer than the token stays as it was.
func testBrowsersEnd(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	vpn := staff.relying(t, "vpn")
	phone := staff.enroll(t, "ada", desk.App{})
	tablet := staff.enroll(t, "ada", desk.App{})
	first, second := phone.finishNow(t, "Phone"), tablet.finishNow(t, "Tablet")
	trusted := func(by token.ID, want int) {
		t.Helper()
		if want > 0 {
			_, err := staff.here.Trust(t.Context(), phone.link.Person.ID, by, vpn.ID, "")
			staff.a.must(t, err)
		}
		list, err := staff.there.Browsers(t.Context(), "ada")
		staff.a.must(t, err)
		n := 0
		for _, b := range list {
			if b.Live(staff.now()) {
				n++
			}
		}
		if n != want {
			t.Errorf("%d browsers are trusted, want %d", n, want)
		}
	}
	restored := func(id token.ID) {
		t.Helper()
		staff.pass(time.Minute)
		key, err := staff.a.OATH(t.Context(), id)
		staff.a.must(t, err)
		code := staff.codeOf(t, keyfile.Record{Kind: token.TOTP, Key: key[0].Secrets.Key, Hash: "sha1", Digits: 6, Period: 30 * time.Second}, 0)
		if _, proof, err := staff.here.Restore(t.Context(), desk.ByID(id), []string{code}); err != nil || proof != desk.Proven {
			t.Fatal(proof, err)
		}
	}
	_, err := staff.a.Block(t.Context(), first, desk.Block{Reason: token.ReasonLost})
	staff.a.must(t, err)
	trusted(second, 1)
	restored(first)
	trusted(0, 0)
	trusted(first, 1)
	drawn, _, err := staff.here.AddApp(t.Context(), desk.App{Kind: token.TOTP, Holder: "ada"})
	staff.a.must(t, err)
	staff.a.must(t, staff.a.Retire(t.Context(), drawn.ID, "")) // it never was anybody's factor
	trusted(first, 2)
	staff.a.must(t, staff.a.Retire(t.Context(), first, ""))
	trusted(0, 0)
}
