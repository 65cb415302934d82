package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestDeskRefusesCards: a desk that cannot put accounts and PIV on a key says so before it begins.
func TestDeskRefusesCards(t *testing.T) {
	t.Parallel()
	a := &app{env: &env{}}
	accounts := profile.Profile{Name: "staff", Cards: profile.Cards{Accounts: []string{"Example:{account}"}}}
	certs := profile.Profile{Name: "staff", Cards: profile.Cards{PIV: true}}
	for want, try := range map[string]struct {
		o deskOptions
		p profile.Profile
	}{
		"needs the store":           {deskOptions{offline: true}, accounts},
		"before it arrives":         {deskOptions{video: true}, accounts},
		"its PIN is handed over":    {deskOptions{}, certs},
		"is for a profile with piv": {deskOptions{letters: "x"}, accounts},
		"--requests is for":         {deskOptions{letters: "x", requests: "y"}, certs},
		"made for each key":         {deskOptions{letters: "x"}, profile.Profile{Name: "staff", Cards: profile.Cards{PIV: true, PIVSlot: "9a", PIVRequest: true}}},
	} {
		c, err := a.newDeskCards(try.o, try.p, offline{})
		var p *problem
		if !errors.As(err, &p) || p.code != exitUsage || !strings.Contains(p.line, want) || c != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
	if c, err := a.newDeskCards(deskOptions{offline: true}, profile.Profile{}, offline{}); c != nil || err != nil {
		t.Errorf("a slot alone: %v", err)
	}
}

// openOnly is a store with open entries, and nothing else.
type openOnly struct {
	enroller
	open []token.Entry
}

func (s openOnly) Open(context.Context) ([]token.Entry, error) { return s.open, nil }

// TestFinishCards: what is left is one command, or two, that a shell takes as they are.
func TestFinishCards(t *testing.T) {
	t.Parallel()
	p := profile.Profile{Name: "staff", Overwrite: "foreign", Reason: "it's new", Cards: profile.Cards{
		Accounts: []string{"Example Ltd:{account}", "Portal:x"}, AccountForm: profile.AccountForm{AccountPeriod: 60, AccountTouch: true}, PIV: true, PIVSlot: "9a", PIVAlgorithm: "p384", PIVTouch: "cached", PIVSelfSigned: true,
	}}
	const piv = ` --piv --piv-slot 9a --piv-algorithm p384 --piv-touch-policy cached --piv-self-signed --piv-letter 'my letters/1.txt' --piv-letter-language de` +
		` --overwrite foreign --reason 'it'\''s new' --to ada --serial 7`
	const resume = "tokendesk provision resume --serial 7"
	here := token.Entry{Serial: 7, Credential: token.Credential{Settings: token.Settings{Account: "60/Portal:x"}}}
	for name, x := range map[string]struct {
		done []string
		piv  bool
		open []token.Entry
		err  error
		want []string
	}{
		"all":           {nil, false, nil, errors.New("x"), []string{"tokendesk provision --oath 'Example Ltd:ada' --oath Portal:x --oath-period 60 --oath-touch" + piv}},
		"PIV":           {[]string{"60/Example Ltd:ada", "60/Portal:x"}, false, nil, errors.New("x"), []string{"tokendesk provision" + piv}},
		"in doubt":      {[]string{"60/Example Ltd:ada"}, false, nil, &provision.UncertainError{Entry: here, Err: errors.New("x")}, []string{resume, "tokendesk provision" + piv}},
		"open":          {nil, true, []token.Entry{{Serial: 8}, here}, token.ErrUnsettled, []string{resume, "tokendesk provision --oath 'Example Ltd:ada' --oath Portal:x --oath-period 60 --oath-touch" + piv[strings.Index(piv, " --overwrite"):]}},
		"only in doubt": {[]string{"60/Example Ltd:ada"}, true, nil, &provision.UncertainError{Entry: here, Err: errors.New("x")}, []string{resume}},
	} {
		c := &deskCards{want: p, language: "de"}
		done := appointment.Done{Account: "ada", Serial: 7}
		o, err := c.options(done, "my letters/1.txt", "")
		if err != nil {
			t.Fatal(err)
		}
		e := &equipment{s: &station{store: openOnly{open: x.open}, cards: c}, done: done, o: o, letter: "my letters/1.txt", on: appointment.Cards{Accounts: x.done, PIV: x.piv}}
		if got := e.finish(t.Context(), x.err); !slices.Equal(got, x.want) {
			t.Errorf("%s:\n%q, want\n%q", name, got, x.want)
		}
	}
}

// TestDeskCardsOnScreen: the screen shows what is put on the key, where it must be touched, and at a failure the whole command, until Enter.
func TestDeskCardsOnScreen(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada")
	r.must("person", "add", "bob")
	r.must("provision", "profile", "add", "staff", "--oath", "Example:{account}, A Portal With A Long Name:{account}", "--oath-touch", "yes")
	blinking, touch := make(chan struct{}, 4), make(chan struct{})
	r.key.OnTouchWait(func() bool {
		blinking <- struct{}{}
		select {
		case <-touch:
			return true
		case <-t.Context().Done():
			return false
		}
	})
	ring := plugKey(t, r)
	cmd := r.program(ring.dir, 2, "provision", "desk", "--profile", "staff", "--no-color")
	cmd.Env = append(slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "TERM=") }), "TERM=xterm-256color", "TICK=4ms", "TYPING=4ms")
	term := startTerminal(t, cmd, 24, 80)
	sees := func(text string) {
		t.Helper()
		if !term.sees(text) {
			t.Fatalf("no %q on\n%s", text, term.screen())
		}
	}
	sees("who is it?")
	term.press("ada\r")
	sees("check the identity")
	term.press("1")
	for range 2 {
		select {
		case <-blinking:
		case <-time.After(askTime):
			t.Fatalf("the key does not blink:\n%s", term.screen())
		}
		sees("the person touches the key: it blinks")
		touch <- struct{}{}
	}
	sees("Accounts  ✓ Example:ada, A Portal With A Long Name:ada")
	sees("pull the key out and give it to ada")
	if _, err := r.key.Open(); err == nil {
		t.Error("nobody holds the key: its touches would type")
	}
	if err := ring.pull("a"); err != nil {
		t.Fatal(err)
	}
	sees("who is it?")
	if err := ring.insert("a"); err != nil {
		t.Fatal(err)
	}
	sees("belongs to ada")
	oathapplet.Of(r.key).SetFaults(oathapplet.Faults{INS: 0xa1, FailBefore: 1})
	term.press("ada\r")
	sees("has a key already")
	term.press("s")
	sees("check the identity")
	term.press("1")
	sees("theirs already")
	term.press("y")
	sees("note the command below")
	sees("Missing")
	whole := strings.Join(strings.Fields(term.screen()), " ")
	if want := "tokendesk provision --oath Example:ada --oath 'A Portal With A Long Name:ada' --oath-touch --to ada --serial 7654321"; !strings.Contains(strings.ReplaceAll(whole, "Finish ", ""), want) {
		t.Errorf("not the whole command:\n%s", term.screen())
	}
	r.released() // or the other command could not finish it
	term.press("\x03")
	term.until("end", func(string) bool { return term.ended() })
	if said := term.said.String(); !strings.Contains(said, "key 7654321 of ada: ") || !strings.Contains(said, "to finish it: tokendesk provision --oath Example:ada") {
		t.Errorf("at the end it says\n%s", said)
	}
}
