package storetest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// linkSuite is a run with one link for ada.
type linkSuite struct {
	*staffSuite
	link       desk.Link
	value, pin string
}

func (s *staffSuite) enroll(t *testing.T, account string, a desk.App) linkSuite {
	t.Helper()
	l, err := s.here.Enroll(t.Context(), account, a, 0)
	s.a.must(t, err)
	if l.State != desk.LinkOpen || l.Value.Len() != 43 || l.PIN.Len() != token.PINLen || !l.Expires.Equal(s.now().Add(desk.DefaultLinkTime)) {
		t.Fatalf("%+v", l)
	}
	return linkSuite{s, l, string(l.Value.Reveal()), shown(l.PIN)}
}

// wrongPIN is another one, well formed.
func (s linkSuite) wrongPIN() string {
	if s.pin[0] == 'Z' {
		return "Y" + s.pin[1:]
	}
	return "Z" + s.pin[1:]
}

// show opens the link in the other process. An unexpected state fails the test.
func (s linkSuite) show(t *testing.T, pin string, want desk.LinkState) keyfile.Record {
	t.Helper()
	state, rec, err := s.there.ShowLink(t.Context(), s.value, pin)
	if err != nil || state != want || (rec.Key.Len() > 0) != (want == desk.LinkShown) {
		t.Fatalf("state %q, want %q; %d bytes of key, %v", state, want, rec.Key.Len(), err)
	}
	return rec
}

func (s linkSuite) finish(t *testing.T, code, name string, want desk.LinkState, proof desk.Proof) {
	t.Helper()
	state, p, err := s.here.FinishLink(t.Context(), s.value, s.pin, code, name)
	if err != nil || state != want || p != proof {
		t.Fatalf("state %q, want %q; proof %q, want %q; %v", state, want, p, proof, err)
	}
}

// state is what a GET says, and the list.
func (s linkSuite) state(t *testing.T, want desk.LinkState) {
	t.Helper()
	for range 3 {
		if got, err := s.there.OpenLink(t.Context(), s.value); err != nil || got != want {
			t.Fatalf("state %q, want %q; %v", got, want, err)
		}
	}
	list, err := s.here.Links(t.Context(), s.link.Person.Account)
	s.a.must(t, err)
	for _, l := range list {
		if l.ID == s.link.ID && (l.State != want || l.Value.Len()+l.PIN.Len() > 0) {
			t.Fatalf("listed as %q, want %q", l.State, want)
		}
	}
}

// tokens are those of the link's person, by number, with their only credential.
func (s linkSuite) tokens(t *testing.T) (list []token.Token, of []token.Credential) {
	t.Helper()
	list, err := s.here.Tokens(t.Context())
	s.a.must(t, err)
	for _, k := range list {
		c, err := s.a.Credentials(t.Context(), k.ID)
		if err != nil || len(c) != 1 {
			t.Fatalf("%d credentials, %v", len(c), err)
		}
		of = append(of, c[0])
	}
	return list, of
}

// codeOf is what an app shows, steps or codes away from now or the first.
func (s *staffSuite) codeOf(t *testing.T, r keyfile.Record, away int64) string {
	t.Helper()
	g, err := oath.New(r.Key, oath.Hash(r.Hash), r.Digits)
	s.a.must(t, err)
	if r.Kind == token.HOTP {
		return g.Code(away)
	}
	return g.Code(oath.Step(s.now(), r.Period) + away)
}

// wrong is a code that no app of this link shows within days: its secret is random, and what a search for a pair would find is told apart.
func (s *staffSuite) wrong(t *testing.T, r keyfile.Record) string {
	t.Helper()
	other := r
	other.Key = secret.New([]byte("another key, which no app has"))
	return s.foreign(t, other, r)
}

// foreign is a code of one record that another does not show within two days, or 2,000 codes, from now.
func (s *staffSuite) foreign(t *testing.T, of, to keyfile.Record) string {
	t.Helper()
	around, from, until := map[string]bool{}, int64(0), int64(2000)
	if to.Kind == token.TOTP {
		until = int64(48 * time.Hour / to.Period)
		from = -until
	}
	for away := from; away <= until; away++ {
		around[s.codeOf(t, to, away)] = true
	}
	for away := int64(0); ; away++ {
		if code := s.codeOf(t, of, away); !around[code] {
			return code
		}
	}
}

func testLink(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada", "bob")
	s := staff.enroll(t, "ada", desk.App{Issuer: "Example", Hash: "sha256", Digits: 8})
	s.state(t, desk.LinkOpen)
	if list, _ := s.tokens(t); len(list) != 0 {
		t.Fatal("a secret was drawn before the link was opened")
	}
	rec := s.show(t, " "+strings.ToLower(s.pin), desk.LinkShown)
	if rec.Kind != token.TOTP || rec.Issuer != "Example" || rec.Owner != "ada" || rec.Hash != "sha256" || rec.Digits != 8 || rec.Key.Len() != 32 || !rec.Created.Equal(s.now()) {
		t.Errorf("%+v", rec)
	}
	s.pass(time.Minute)
	if again := s.show(t, s.pin, desk.LinkShown); !again.Key.Equal(rec.Key) {
		t.Error("another secret is shown")
	}
	s.state(t, desk.LinkShown)
	list, of := s.tokens(t)
	if len(list) != 1 || list[0].State != token.Pending || of[0].Enabled || list[0].Holder.Account != "ada" {
		t.Fatalf("%+v", list)
	}
	if _, r, err := s.here.HandOver(t.Context(), list[0].Label, desk.HandOver{Form: "uri"}); !errors.Is(err, desk.ErrLink) || r.Key.Len() > 0 {
		t.Errorf("an operator sees the secret of a link: %v", err)
	}
	vpn := s.relying(t, "vpn")
	code := s.codeOf(t, rec, 0)
	if got := s.check(t, "ada", code, vpn); got.Outcome == validate.Accepted {
		t.Error("a pending app validates")
	}
	s.pass(time.Minute)
	s.finish(t, "12345", "my phone", desk.LinkShown, desk.NoCode)
	s.finish(t, s.wrong(t, rec), "my phone", desk.LinkShown, desk.WrongCode)
	code = s.codeOf(t, rec, -1)
	s.finish(t, code[:4]+" "+code[4:], "my phone", desk.LinkDone, desk.Proven)
	s.finish(t, s.codeOf(t, rec, 0), "other", desk.LinkDone, "")
	s.show(t, s.pin, desk.LinkDone)
	s.state(t, desk.LinkDone)
	list, of = s.tokens(t)
	if len(list) != 1 || list[0].State != token.Active || list[0].Name != "my phone" || !list[0].IssuedAt.Equal(s.now()) || of[0].State != token.Active || !of[0].Enabled ||
		of[0].Counters.Moving != oath.Step(s.now(), 30*time.Second)-1 || !of[0].ProvenAt.Equal(s.now()) {
		t.Errorf("%+v, %+v", list, of)
	}
	if got := s.check(t, "ada", code, vpn); got.Outcome == validate.Accepted {
		t.Error("the code of the proof is accepted again")
	}
	if s.pass(time.Minute); s.check(t, "ada", s.codeOf(t, rec, 0), vpn).Outcome != validate.Accepted {
		t.Error("the app does not validate")
	}
	if _, r, err := s.here.HandOver(t.Context(), list[0].Label, desk.HandOver{}); !errors.Is(err, desk.ErrNotPending) || r.Key.Len() > 0 {
		t.Errorf("an active secret is given out: %v", err)
	}
}

func testLinkHOTP(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s := staff.enroll(t, "ada", desk.App{Kind: token.HOTP})
	rec := s.show(t, s.pin, desk.LinkShown)
	if rec.Kind != token.HOTP || rec.Counter != 0 || rec.Period != 0 {
		t.Errorf("%+v", rec)
	}
	s.finish(t, s.codeOf(t, rec, 11), "my phone", desk.LinkShown, desk.NeedSecond) // of this app, but far ahead
	s.finish(t, s.codeOf(t, rec, 10), "my phone", desk.LinkDone, desk.Proven)
	if _, of := s.tokens(t); of[0].Counters.Moving != 10 {
		t.Errorf("%+v", of[0].Counters)
	}
}

func testLinkRefusals(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	for field, a := range map[string]desk.App{"type": {Kind: token.Static}, "digits": {Digits: 7}, "issuer": {Issuer: "a:b"}} {
		var text *desk.TextError
		if _, err := staff.here.Enroll(t.Context(), "ada", a, 0); !errors.As(err, &text) || text.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, valid := range []time.Duration{time.Second, -time.Hour, 169 * time.Hour} {
		var text *desk.TextError
		if _, err := staff.here.Enroll(t.Context(), "ada", desk.App{}, valid); !errors.As(err, &text) || text.Field != "valid" {
			t.Errorf("%v: %v", valid, err)
		}
	}
	s := staff.enroll(t, "ada", desk.App{})
	for _, value := range []string{"", "A", s.value[:42], s.value + "A", strings.ToUpper(s.value), strings.Repeat("A", 43), s.value + "\x00", strings.Repeat("A", 1<<16)} {
		if st, err := s.here.OpenLink(t.Context(), value); err != nil || st != desk.LinkUnknown {
			t.Errorf("open: %q, %v", st, err)
		}
		if st, rec, err := s.here.ShowLink(t.Context(), value, s.pin); err != nil || st != desk.LinkUnknown || rec.Key.Len() > 0 {
			t.Errorf("show: %q, %v", st, err)
		}
		if st, p, err := s.here.FinishLink(t.Context(), value, s.pin, "123456", "x"); err != nil || st != desk.LinkUnknown || p != "" {
			t.Errorf("finish: %q, %q, %v", st, p, err)
		}
	}
	s.finish(t, "123456", "x", desk.LinkOpen, "") // not shown yet
	s.state(t, desk.LinkOpen)
	other := staff.enroll(t, "ada", desk.App{})
	s.pin = other.pin // of another link
	s.show(t, s.pin, desk.LinkWrongPIN)
}

func testLinkAges(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s := staff.enroll(t, "ada", desk.App{})
	first := s.show(t, s.pin, desk.LinkShown)
	s.pass(desk.SecretTime - time.Second)
	if again := s.show(t, s.pin, desk.LinkShown); !again.Key.Equal(first.Key) {
		t.Error("another secret within its time")
	}
	s.pass(time.Second) // from its drawing, not from when it was shown last
	s.state(t, desk.LinkOpen)
	s.finish(t, s.codeOf(t, first, 0), "x", desk.LinkOpen, "")
	next := s.show(t, s.pin, desk.LinkShown)
	list, of := s.tokens(t)
	if next.Key.Equal(first.Key) || len(list) != 2 || list[0].State != token.Revoked || of[0].State != token.Revoked || list[1].State != token.Pending {
		t.Fatalf("%+v", list)
	}
	if _, err := s.a.Record(t.Context(), of[0].ID); err == nil {
		t.Error("the secret that went out of date is kept")
	}
	s.finish(t, s.foreign(t, first, next), "x", desk.LinkShown, desk.WrongCode)
	s.pass(desk.SecretTime)
	if _, err := s.there.Store.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, of := s.tokens(t); list[1].State != token.Revoked {
		t.Errorf("%+v", list)
	} else if _, err := s.a.Record(t.Context(), of[1].ID); err == nil {
		t.Error("a sweep leaves the secret")
	}
	s.pass(desk.DefaultLinkTime - 2*desk.SecretTime - time.Second)
	last := s.show(t, s.pin, desk.LinkShown)
	s.pass(time.Minute) // the link is over, but who has its secret may finish
	s.state(t, desk.LinkShown)
	other := staff.enroll(t, "ada", desk.App{})
	s.finish(t, s.codeOf(t, last, 0), "x", desk.LinkDone, desk.Proven)
	other.pass(desk.DefaultLinkTime)
	other.state(t, desk.LinkExpired)
	other.show(t, other.pin, desk.LinkExpired)
	other.finish(t, "123456", "y", desk.LinkExpired, "")
}

func testLinkNames(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada", "bob")
	one := staff.enroll(t, "ada", desk.App{})
	one.finish(t, one.codeOf(t, one.show(t, one.pin, desk.LinkShown), 0), "Phone", desk.LinkDone, desk.Proven)
	s := staff.enroll(t, "ada", desk.App{})
	rec := s.show(t, s.pin, desk.LinkShown)
	var text *desk.TextError
	for _, name := range []string{"", "a\nb", " x", "Phone", "phone"} {
		for range desk.MaxLinkCodes { // they cost nothing
			if _, _, err := s.here.FinishLink(t.Context(), s.value, s.pin, s.codeOf(t, rec, 0), name); !errors.As(err, &text) || text.Field != "name" {
				t.Fatalf("%q: %v", name, err)
			}
		}
	}
	drawn, _, err := s.here.AddApp(t.Context(), desk.App{Kind: token.TOTP, Holder: "ada"}) // the other way to get one
	s.a.must(t, err)
	key, err := s.a.OATH(t.Context(), drawn.ID)
	s.a.must(t, err)
	code := s.codeOf(t, keyfile.Record{Kind: token.TOTP, Key: key[0].Secrets.Key, Hash: "sha1", Digits: 6, Period: 30 * time.Second}, 0)
	if _, _, err := s.here.Confirm(t.Context(), desk.ByID(drawn.ID), []string{code}, "PHONE"); !errors.As(err, &text) || text.Field != "name" {
		t.Errorf("token verify: %v", err)
	}
	s.finish(t, s.codeOf(t, rec, 0), "Tablet", desk.LinkDone, desk.Proven)
	other := staff.enroll(t, "bob", desk.App{})
	other.finish(t, other.codeOf(t, other.show(t, other.pin, desk.LinkShown), 0), "Phone", desk.LinkDone, desk.Proven)
	third := staff.enroll(t, "ada", desk.App{})
	rec = third.show(t, third.pin, desk.LinkShown)
	s.a.must(t, s.a.Retire(t.Context(), tokenNamed(t, s, "ada", "Phone"), ""))
	third.finish(t, third.codeOf(t, rec, 0), "Phone", desk.LinkDone, desk.Proven) // the name is free again
}

func tokenNamed(t *testing.T, s linkSuite, account, name string) token.ID {
	t.Helper()
	list, _ := s.tokens(t)
	for _, k := range list {
		if k.Holder != nil && k.Holder.Account == account && k.Name == name {
			return k.ID
		}
	}
	t.Fatalf("%s has no %s", account, name)
	return 0
}

func testLinkCancelled(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada")
	s, unopened := staff.enroll(t, "ada", desk.App{}), staff.enroll(t, "ada", desk.App{})
	rec := s.show(t, s.pin, desk.LinkShown)
	for _, l := range []linkSuite{s, unopened} {
		s.a.must(t, s.here.CancelLink(t.Context(), l.link.ID))
		l.state(t, desk.LinkCancelled)
		l.show(t, l.pin, desk.LinkCancelled)
		l.finish(t, s.codeOf(t, rec, 0), "x", desk.LinkCancelled, "")
		if err := s.there.CancelLink(t.Context(), l.link.ID); !errors.Is(err, token.ErrConflict) {
			t.Errorf("again: %v", err)
		}
	}
	if list, of := s.tokens(t); len(list) != 1 || list[0].State != token.Revoked {
		t.Errorf("%+v", list)
	} else if _, err := s.a.Record(t.Context(), of[0].ID); err == nil {
		t.Error("the secret of a cancelled link is kept")
	}
	if err := s.here.CancelLink(t.Context(), 4711); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

// testLinkBlock: who lost a token gets no app by a link from before.
func testLinkBlock(t *testing.T, staff *staffSuite) {
	staff.accounts(t, "ada", "bob")
	done := staff.enroll(t, "ada", desk.App{})
	done.finish(t, done.codeOf(t, done.show(t, done.pin, desk.LinkShown), 0), "Phone", desk.LinkDone, desk.Proven)
	s, others := staff.enroll(t, "ada", desk.App{}), staff.enroll(t, "bob", desk.App{})
	s.show(t, s.pin, desk.LinkShown)
	effects, err := s.there.Store.Block(t.Context(), tokenNamed(t, s, "ada", "Phone"), desk.Block{Reason: token.ReasonStolen})
	if err != nil || effects.Links != 1 {
		t.Errorf("%+v, %v", effects, err)
	}
	s.state(t, desk.LinkCancelled)
	done.show(t, done.pin, desk.LinkDone)
	others.state(t, desk.LinkOpen)
}
