package storetest

import (
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// RunCodes runs the suite of temporary and recovery codes, trusted browsers, enrolment links and notices; open is as in RunOperators.
func RunCodes(t *testing.T, open func(t *testing.T, now func() time.Time) (here, there Full)) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *staffSuite)
	}{
		{"temporary code", testTempCode},
		{"temporary code refusals", testTempCodeRefusals},
		{"one of 64 temporary codes", testTempCodeRace},
		{"one temporary code for 64 that saw the same", testTempCodeAfter},
		{"recovery codes", testRecoveryCodes},
		{"one of 64 sheets", testSheetRace},
		{"browsers", testBrowsers},
		{"link", testLink},
		{"link for HOTP", testLinkHOTP},
		{"link refusals", testLinkRefusals},
		{"link ages", testLinkAges},
		{"link of a guesser", testLinkPIN},
		{"128 guesses at once", testLinkPINRace},
		{"link opened by 64", testLinkShowRace},
		{"link finished by 64", testLinkFinishRace},
		{"codes of a link", testLinkCodes},
		{"names of apps", testLinkNames},
		{"cancelled link", testLinkCancelled},
		{"link and block", testLinkBlock},
		{"link and its token", testLinkTokenGone},
		{"clock that goes back", testClockBack},
		{"codes of a leaver", testLeaver},
		{"end of browsers", testBrowsersEnd},
		{"notices", testNotices},
		{"notice after a kill", testNoticeKill},
		{"notice that fails", testNoticeFails},
		{"notice and a wrong clock", testNoticeClock},
		{"each notice once", testNoticeRace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &staffSuite{time: at(0)}
			s.a.Full, s.b = open(t, s.now)
			s.here = &desk.Desk{Store: s.a, Now: s.now, Rand: rand.Reader}
			s.there = &desk.Desk{Store: s.b, Now: s.now, Rand: rand.Reader}
			tc.run(t, s)
		})
	}
}

// accounts registers persons.
func (s *staffSuite) accounts(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: n, Name: "Name of " + n, Mail: n + "@example.org"}))
	}
}

// relying registers a client.
func (s *staffSuite) relying(t *testing.T, name string) validate.Client {
	t.Helper()
	c, err := s.here.AddClient(t.Context(), name, desk.ClientRights{})
	s.a.must(t, err)
	return c
}

// check presents a text, in the other process, as a relying server does.
func (s *staffSuite) check(t *testing.T, account, text string, c validate.Client) validate.Checked {
	t.Helper()
	f := s.b.(validate.Factors) // a full store has all parts
	got, err := validate.NewChecker(f, validate.New(s.b, s.now), s.now).Check(t.Context(), validate.Factor{Account: account, Text: text, Client: c})
	s.a.must(t, err)
	return got
}

// live are the codes of a kind that may be used.
func (s *staffSuite) live(t *testing.T, account string, kind desk.CodeKind) (out []desk.Code) {
	t.Helper()
	all, err := s.there.Codes(t.Context(), account)
	s.a.must(t, err)
	for _, c := range all {
		if c.Kind == kind && c.Live(s.now()) {
			out = append(out, c)
		}
	}
	return out
}

// shown is a value as people see it.
func shown(v secret.Bytes) string { return token.ShowSpoken(string(v.Reveal())) }

func testTempCode(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada", "bob")
	vpn, mail := s.relying(t, "vpn"), s.relying(t, "mail")
	first, _, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{})
	s.a.must(t, err)
	if first.Len() != token.CodeLen {
		t.Fatalf("%d characters", first.Len())
	}
	second, code, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{Valid: time.Hour, Uses: 2, Client: vpn.ID, Note: "called back"})
	s.a.must(t, err)
	if live := s.live(t, "ada", desk.TempCodes); len(live) != 1 || live[0] != code || code.UsesLeft != 2 || code.Client != vpn.ID || !code.Expires.Equal(s.now().Add(time.Hour)) {
		t.Fatalf("%+v, made %+v", live, code)
	}
	for _, tc := range []struct {
		name, account string
		text          secret.Bytes
		client        validate.Client
	}{{"the former one", "ada", first, vpn}, {"another person's", "bob", second, vpn}, {"for another client", "ada", second, mail}} {
		if got := s.check(t, tc.account, shown(tc.text), tc.client); got.Outcome == validate.Accepted {
			t.Errorf("%s was accepted", tc.name)
		}
		s.pass(time.Minute) // the throttle
	}
	for left := 1; left >= 0; left-- {
		if got := s.check(t, "ada", shown(second), vpn); got.Outcome != validate.Accepted || got.CodesLeft != left {
			t.Errorf("%+v with %d left", got, left)
		}
	}
	if got := s.check(t, "ada", shown(second), vpn); got.Outcome == validate.Accepted {
		t.Error("accepted a third time")
	}
	if live := s.live(t, "ada", desk.TempCodes); len(live) != 0 {
		t.Errorf("%+v", live)
	}
	s.pass(time.Hour)
	third, _, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{})
	s.a.must(t, err)
	s.pass(desk.DefaultTempTime)
	if got := s.check(t, "ada", shown(third), vpn); got.Outcome == validate.Accepted || len(s.live(t, "ada", desk.TempCodes)) != 0 {
		t.Error("an expired code lives")
	}
	fourth, _, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{})
	s.a.must(t, err)
	for _, want := range []int{1, 0} {
		if n, err := s.there.RevokeCodes(t.Context(), "ada", desk.TempCodes); err != nil || n != want {
			t.Errorf("revoked %d, %v", n, err)
		}
	}
	s.pass(time.Hour)
	if got := s.check(t, "ada", shown(fourth), vpn); got.Outcome == validate.Accepted {
		t.Error("a revoked code was accepted")
	}
}

func testTempCodeRefusals(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada")
	for field, c := range map[string]desk.TempCode{
		"valid": {Valid: time.Second}, "valid ": {Valid: 73 * time.Hour}, "uses": {Uses: -1}, "uses ": {Uses: 21}, "note": {Note: "a\nb"},
	} {
		var text *desk.TextError
		if v, _, err := s.here.TempCode(t.Context(), "ada", c); !errors.As(err, &text) || text.Field != field && text.Field+" " != field || v.Len() != 0 {
			t.Errorf("%s: %v", field, err)
		}
	}
	kept, _, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{})
	s.a.must(t, err)
	if _, _, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{Client: 4711}); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("unknown client: %v", err)
	}
	if got := s.check(t, "ada", shown(kept), s.relying(t, "vpn")); got.Outcome != validate.Accepted {
		t.Errorf("a refusal revoked the former code: %+v", got)
	}
	for what, err := range map[string]error{
		"temp":     second(first2(s.here.TempCode(t.Context(), "nobody", desk.TempCode{}))),
		"recovery": second(s.here.RecoveryCodes(t.Context(), "nobody", 0)),
		"codes":    second(s.here.Codes(t.Context(), "nobody")),
		"revoke":   second(s.here.RevokeCodes(t.Context(), "nobody", desk.TempCodes)),
		"browsers": second(s.here.Browsers(t.Context(), "nobody")),
		"links":    second(s.here.Links(t.Context(), "nobody")),
		"enroll":   second(s.here.Enroll(t.Context(), "nobody", desk.App{}, 0)),
	} {
		if !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, n := range []int{-1, 21} {
		var text *desk.TextError
		if _, err := s.here.RecoveryCodes(t.Context(), "ada", n); !errors.As(err, &text) {
			t.Errorf("%d recovery codes: %v", n, err)
		}
	}
}

func second[T any](_ T, err error) error              { return err }
func first2[T, U any](v T, _ U, err error) (T, error) { return v, err }

// both calls f n times at once in each of two processes.
func (s *staffSuite) both(n int, f func(*desk.Desk)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range n {
		for _, d := range []*desk.Desk{s.here, s.there} {
			wg.Go(func() { <-start; f(d) })
		}
	}
	close(start)
	wg.Wait()
}

// testTempCodeRace: whatever number is made at once, one is good afterwards.
func testTempCodeRace(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada")
	s.both(32, func(d *desk.Desk) {
		if _, _, err := d.TempCode(t.Context(), "ada", desk.TempCode{}); err != nil {
			t.Error(err)
		}
	})
	if live := s.live(t, "ada", desk.TempCodes); len(live) != 1 {
		t.Errorf("%d codes live", len(live))
	}
}

// testTempCodeAfter: of those that saw the same newest code, one makes the next; the others change nothing.
func testTempCodeAfter(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada", "bob")
	_, of, err := s.here.TempCode(t.Context(), "bob", desk.TempCode{}) // another person's does not count
	s.a.must(t, err)
	newest := int64(0)
	for range 3 {
		var made atomic.Int64
		s.both(32, func(d *desk.Desk) {
			_, c, err := d.TempCode(t.Context(), "ada", desk.TempCode{After: &newest})
			switch {
			case err == nil && !made.CompareAndSwap(0, c.ID):
				t.Errorf("codes %d and %d", made.Load(), c.ID)
			case err != nil && !errors.Is(err, token.ErrConflict):
				t.Error(err)
			}
		})
		if live := s.live(t, "ada", desk.TempCodes); len(live) != 1 || live[0].ID != made.Load() {
			t.Fatalf("%v live, made %d", live, made.Load())
		}
		newest = made.Load()
	}
	if _, _, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{After: &of.ID}); !errors.Is(err, token.ErrConflict) {
		t.Errorf("after another person's: %v", err)
	}
	_, err = s.here.RecoveryCodes(t.Context(), "ada", 1) // codes of another kind do not count
	s.a.must(t, err)
	_, _, err = s.here.TempCode(t.Context(), "ada", desk.TempCode{After: &newest})
	s.a.must(t, err)
}

func testRecoveryCodes(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada", "bob")
	vpn := s.relying(t, "vpn")
	temp, _, err := s.here.TempCode(t.Context(), "ada", desk.TempCode{})
	s.a.must(t, err)
	app := s.enroll(t, "ada", desk.App{})
	_, err = s.here.Trust(t.Context(), app.link.Person.ID, app.finishNow(t, "Phone"), vpn.ID, "")
	s.a.must(t, err)
	former, err := s.here.RecoveryCodes(t.Context(), "ada", 3)
	s.a.must(t, err)
	sheet, err := s.here.RecoveryCodes(t.Context(), "ada", 0)
	s.a.must(t, err)
	var all []string
	for _, v := range slices.Concat(former, sheet) {
		all = append(all, string(v.Reveal()))
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != 13 || len(s.live(t, "ada", desk.RecoveryCodes)) != desk.DefaultSheet || len(s.live(t, "ada", desk.TempCodes)) != 1 {
		t.Errorf("%d codes, %d live", len(all), len(s.live(t, "ada", desk.RecoveryCodes)))
	}
	if list, err := s.here.Browsers(t.Context(), "ada"); err != nil || list[0].Live(s.now()) {
		t.Errorf("%+v, %v", list, err)
	}
	s.pass(365 * 24 * time.Hour)
	if got := s.check(t, "ada", shown(former[0]), vpn); got.Outcome == validate.Accepted {
		t.Error("a code of the former sheet was accepted")
	}
	s.pass(time.Minute)
	for i, v := range sheet {
		if got := s.check(t, "ada", shown(v), vpn); got.Outcome != validate.Accepted || got.CodesLeft != len(sheet)-1-i {
			t.Errorf("%d: %+v", i, got)
		}
	}
	if got := s.check(t, "ada", shown(sheet[0]), vpn); got.Outcome == validate.Accepted {
		t.Error("a recovery code was accepted twice")
	}
	if s.pass(time.Minute); s.check(t, "ada", shown(temp), vpn).Outcome == validate.Accepted {
		t.Error("a temporary code lives a year")
	}
}

// testSheetRace: of all sheets that are made at once, the codes of one are good.
func testSheetRace(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada")
	s.both(32, func(d *desk.Desk) {
		if _, err := d.RecoveryCodes(t.Context(), "ada", 5); err != nil {
			t.Error(err)
		}
	})
	live := s.live(t, "ada", desk.RecoveryCodes)
	if len(live) != 5 || live[4].ID-live[0].ID != 4 {
		t.Errorf("%d codes live: %+v", len(live), live)
	}
}

func testBrowsers(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada", "bob")
	vpn, mail := s.relying(t, "vpn"), s.relying(t, "mail")
	app := s.enroll(t, "ada", desk.App{})
	ada, phone := app.link.Person, app.finishNow(t, "Phone")
	browser := func(account string, value secret.Bytes, c validate.Client) bool {
		t.Helper()
		got, err := validate.NewChecker(s.b.(validate.Factors), validate.New(s.b, s.now), s.now).Check(t.Context(),
			validate.Factor{Account: account, Browser: string(value.Reveal()), Client: c})
		s.a.must(t, err)
		return got.Outcome == validate.Accepted
	}
	var values []secret.Bytes
	for _, name := range []string{"Firefox", "", "Chromium"} {
		v, err := s.here.Trust(t.Context(), ada.ID, phone, vpn.ID, name)
		s.a.must(t, err)
		values = append(values, v)
	}
	if !browser("ada", values[0], vpn) || browser("ada", values[0], mail) || browser("bob", values[0], vpn) {
		t.Error("a browser is trusted by its client for its person")
	}
	list, err := s.there.Browsers(t.Context(), "ada")
	if err != nil || len(list) != 3 || list[0].Name != "Firefox" || list[0].Client != vpn.ID || !list[0].Expires.Equal(s.now().Add(desk.BrowserTime)) || list[0].Used.IsZero() || !list[1].Used.IsZero() {
		t.Fatalf("%+v, %v", list, err)
	}
	s.a.must(t, s.here.RevokeBrowser(t.Context(), "ada", list[0].ID))
	for account, id := range map[string]int64{"ada": list[0].ID, "bob": list[1].ID, "ada ": 0, "nobody": list[1].ID} {
		if err := s.here.RevokeBrowser(t.Context(), account, id); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%s, %d: %v", account, id, err)
		}
	}
	if browser("ada", values[0], vpn) || !browser("ada", values[1], vpn) {
		t.Error("one browser was to be revoked")
	}
	for _, want := range []int{2, 0} {
		if n, err := s.there.RevokeBrowsers(t.Context(), "ada"); err != nil || n != want {
			t.Errorf("revoked %d, %v", n, err)
		}
	}
	v, err := s.here.Trust(t.Context(), ada.ID, phone, vpn.ID, "")
	s.a.must(t, err)
	if s.pass(desk.BrowserTime); browser("ada", v, vpn) || browser("ada", values[2], vpn) {
		t.Error("trusted for ever")
	}
	for person, client := range map[token.PersonID]int64{4711: vpn.ID, ada.ID: 4711} {
		if _, err := s.here.Trust(t.Context(), person, phone, client, ""); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("person %d, client %d: %v", person, client, err)
		}
	}
	var text *desk.TextError
	if _, err := s.here.Trust(t.Context(), ada.ID, phone, vpn.ID, "a\nb"); !errors.As(err, &text) {
		t.Errorf("name: %v", err)
	}
}
