package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// post is a Sender that keeps what it sends.
type post struct {
	mu   sync.Mutex
	sent []desk.Message
	fail func(desk.Message) error // nil: never
}

func (p *post) Send(_ context.Context, m desk.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		if err := p.fail(m); err != nil {
			return err
		}
	}
	p.sent = append(p.sent, m)
	return nil
}

func (s *staffSuite) send(t *testing.T, p *post, want desk.Sending) {
	t.Helper()
	got, err := s.there.SendNotices(t.Context(), p, "en")
	if err != nil || got != want {
		t.Fatalf("%+v, want %+v, %v", got, want, err)
	}
}

func testNotices(t *testing.T, s *staffSuite) {
	s.accounts(t, "ada")
	s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: "mute"}))
	ctx := token.WithActor(t.Context(), "operator eve")
	code, _, err := s.here.TempCode(ctx, "ada", desk.TempCode{Uses: 7})
	s.a.must(t, err)
	sheet, err := s.here.RecoveryCodes(ctx, "ada", 4)
	s.a.must(t, err)
	_, err = s.here.RecoveryCodes(ctx, "mute", 4) // without an address
	s.a.must(t, err)
	l := s.enroll(t, "ada", desk.App{})
	rec := l.show(t, l.pin, desk.LinkShown)
	l.finish(t, s.codeOf(t, rec, 0), "Phone", desk.LinkDone, desk.Proven)
	_, err = s.a.Block(ctx, tokenNamed(t, l, "ada", "Phone"), desk.Block{Reason: token.ReasonForgotten, Until: s.now().Add(time.Hour)})
	s.a.must(t, err)
	list, err := s.here.Notices(t.Context(), true)
	s.a.must(t, err)
	var kinds []string
	for _, n := range list {
		kinds = append(kinds, string(n.Kind))
	}
	if got := strings.Join(kinds, " "); got != "temp-code recovery-codes recovery-codes link activated blocked" {
		t.Fatalf("got %s", got)
	}
	if f := list[0].Facts; f.By != "operator eve" || f.Count != 7 || !f.Until.Equal(s.now().Add(desk.DefaultTempTime)) || list[4].Facts.By != "person ada" || list[5].Facts.Reason != token.ReasonForgotten {
		t.Errorf("%+v", list)
	}
	p := &post{}
	s.send(t, p, desk.Sending{Sent: 5})
	s.send(t, p, desk.Sending{})
	if len(p.sent) != 5 || p.sent[0].To != "ada@example.org" || p.sent[0].Name != "Name of ada" || p.sent[0].Subject == "" || !strings.Contains(p.sent[0].Body, "operator eve") {
		t.Fatalf("%+v", p.sent)
	}
	hidden := []string{l.value, l.pin, string(l.link.PIN.Reveal()), shown(code), string(code.Reveal()), string(sheet[0].Reveal()), string(rec.Key.Reveal())}
	for _, n := range list {
		for _, language := range append(desk.Languages(), "fr") {
			subject, body := n.Text(language)
			for _, h := range hidden {
				if strings.Contains(subject+body, h) {
					t.Errorf("%s in %s holds a secret", n.Kind, language)
				}
			}
			if subject == "" || strings.Contains(subject+body, "%!") || strings.Contains(body, "\n\n\n") {
				t.Errorf("%s in %s: %s\n%s", n.Kind, language, subject, body)
			}
		}
	}
	if list, err = s.here.Notices(t.Context(), true); err != nil || len(list) != 1 || list[0].To.Account != "mute" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err = s.here.Notices(t.Context(), false); err != nil || len(list) != 6 || !list[0].Sent.Equal(s.now()) || list[0].Attempts != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// tell makes n notices for ada.
func (s *staffSuite) tell(t *testing.T, n int) {
	t.Helper()
	s.accounts(t, "ada")
	for range n {
		_, err := s.here.RecoveryCodes(t.Context(), "ada", 1)
		s.a.must(t, err)
	}
}

// testNoticeKill: who died after sending and before writing that down sends twice, under the same ID; nobody else does meanwhile.
func testNoticeKill(t *testing.T, s *staffSuite) {
	s.tell(t, 1)
	dead, err := s.a.HoldNotice(t.Context(), 0, s.now().Add(-time.Hour), s.now().Add(10*time.Minute))
	s.a.must(t, err)
	p := &post{}
	s.pass(10*time.Minute - time.Second)
	s.send(t, p, desk.Sending{})
	s.pass(time.Second)
	s.send(t, p, desk.Sending{Sent: 1})
	if want := fmt.Sprintf("notice.%d.%d", dead.ID, dead.Created.UnixMicro()); p.sent[0].ID != want {
		t.Errorf("%s, want %s", p.sent[0].ID, want)
	}
	if list, err := s.here.Notices(t.Context(), false); err != nil || list[0].Attempts != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}

func testNoticeFails(t *testing.T, s *staffSuite) {
	s.tell(t, 3)
	full := errors.New("452 mailbox full" + strings.Repeat("!", 1000))
	first := ""
	p := &post{fail: func(m desk.Message) error {
		if first == "" {
			first = m.ID
		}
		if m.ID == first {
			return full
		}
		return nil
	}}
	s.send(t, p, desk.Sending{Sent: 2, Failed: 1})
	if list, err := s.here.Notices(t.Context(), true); err != nil || len(list) != 1 || list[0].Attempts != 1 || !strings.HasPrefix(list[0].Error, "452 mailbox full") || len(list[0].Error) > 300 {
		t.Errorf("%+v, %v", list, err)
	}
	for wait := time.Minute; wait <= 4*time.Minute; wait *= 2 {
		s.pass(wait - time.Second)
		s.send(t, p, desk.Sending{})
		s.pass(time.Second)
		s.send(t, p, desk.Sending{Failed: 1})
	}
	p.fail = func(desk.Message) error { return fmt.Errorf("%w: no route", desk.ErrUnreachable) }
	s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: "bob", Mail: "bob@example.org"}))
	_, err := s.here.RecoveryCodes(t.Context(), "bob", 1)
	s.a.must(t, err)
	s.pass(8 * time.Minute)
	if got, err := s.there.SendNotices(t.Context(), p, "de"); !errors.Is(err, desk.ErrUnreachable) || got.Failed != 1 {
		t.Errorf("goes on although nothing can be sent: %+v, %v", got, err)
	}
	p.fail = nil
	s.send(t, p, desk.Sending{Sent: 1}) // the other one was not tried
	s.pass(7 * 24 * time.Hour)
	s.send(t, p, desk.Sending{}) // nobody is told any more
}

// testNoticeClock: what failed while the clock was ahead is not held until then; an error in any bytes is kept as text.
func testNoticeClock(t *testing.T, s *staffSuite) {
	s.tell(t, 1)
	p := &post{fail: func(desk.Message) error { return errors.New("a" + strings.Repeat("ü", 400) + "\xff\x00") }}
	s.pass(6 * 24 * time.Hour)
	s.send(t, p, desk.Sending{Failed: 1})
	if list, err := s.here.Notices(t.Context(), true); err != nil || !utf8.ValidString(list[0].Error) || !strings.HasPrefix(list[0].Error, "aüü") {
		t.Errorf("%+v, %v", list, err)
	}
	s.pass(-6 * 24 * time.Hour)
	p.fail = nil
	s.send(t, p, desk.Sending{Sent: 1})
}

// testNoticeRace: two processes that send at once send each notice once.
func testNoticeRace(t *testing.T, s *staffSuite) {
	s.tell(t, 40)
	p := &post{}
	s.both(2, func(d *desk.Desk) {
		if got, err := d.SendNotices(t.Context(), p, "de"); err != nil || got.Failed > 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	ids := map[string]bool{}
	for _, m := range p.sent {
		ids[m.ID] = true
	}
	if len(p.sent) != 40 || len(ids) != 40 {
		t.Errorf("%d messages of %d notices", len(p.sent), len(ids))
	}
}
