package appointment

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestStoreAway: it waits and goes on, and finds out what the store took before its answer was lost.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	for name, play := range outages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newPlayer(t, nil))
		})
	}
}

func outages() map[string]func(*player) {
	return map[string]func(*player){
		"while a person is searched": func(p *player) {
			p.do(Typed{"a"}, "Search a")
			p.do(Found{Query: "a", Down: "away"}, "Wait")
			p.sees(Who, "the store does not answer")
			p.do(Again{p.jobs["Wait"]}, "Search a")
			p.do(Found{Query: "a", Hits: []desk.Hit{{Person: &ada}}}, "")
			p.sees(Who, "Enter chooses")
			p.happened(DidFind)
		},
		"while a person is loaded": func(p *player) {
			p.do(Submit{Text: "ada", Whole: true}, "Load ada")
			p.fails("Load", StoreAway, nil, "Wait")
			p.do(Again{p.jobs["Wait"]}, "Load ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada}, "")
			p.sees(Identity, "identity")
		},
		"before anything was reserved": func(p *player) {
			p.writing()
			p.fails("Write", StoreAway, nil, "Free a, Wait")
			p.sees(Insert, "the store does not answer")
			p.do(Again{p.jobs["Wait"]}, "Load ada, Inspect a")
			p.do(Inspected{p.jobs["Inspect"], fresh("a", 7)}, "") // not before it is known what the person holds
			p.do(Loaded{Job: p.jobs["Load"], Person: ada}, "Write ada staff-card")
		},
		"when it had reserved": func(p *player) {
			p.writing()
			p.do(Removed{"a"}, "")
			p.fails("Write", StoreAway, nil, "Free a, Wait")
			p.do(Again{p.jobs["Wait"]}, "Load ada")
			o := left
			o.Phase = token.Sealed
			p.do(Loaded{Job: p.jobs["Load"], Person: ada, Open: []Open{o}}, "Resume 5")
			p.do(Ended{p.jobs["Resume"], nil}, "")
			p.plugs(fresh("b", 8), "Write ada staff-card")
		},
		"after the write": func(p *player) {
			p.writing(provision.StepSealed)
			p.fails("Write", StoreAway, &left, "Free a, Wait")
			p.do(Again{p.jobs["Wait"]}, "Load ada, Inspect a")
			p.do(Inspected{p.jobs["Inspect"], half("a")}, "Resume 5")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada, Open: []Open{left}}, "")
		},
		"when it had committed": func(p *player) {
			p.writing(provision.StepProven)
			o := left
			o.Phase = token.Written
			p.fails("Write", StoreAway, &o, "Free a, Wait")
			p.do(Removed{"a"}, "") // and another key comes in
			p.do(Again{p.jobs["Wait"]}, "Load ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada, Tokens: []token.Token{{ID: 3, Serial: 7, State: token.Active, Model: token.YubiKey, Holder: &ada}}}, "Print ada")
			if r := p.happened(DidIssue); !r.Recovered || r.Serial != 7 {
				p.t.Errorf("%+v", r)
			}
		},
		"when it had committed, the key is in": func(p *player) {
			p.writing(provision.StepProven)
			o := left
			o.Phase = token.Written
			p.fails("Write", StoreAway, &o, "Free a, Wait")
			p.do(Again{p.jobs["Wait"]}, "Load ada, Inspect a")
			k := fresh("a", 7)
			k.Have.Token = token.Token{ID: 3, Serial: 7, State: token.Active, Holder: &ada}
			k.Have.Live = []token.Credential{{ID: 50, Slot: 2, State: token.Active}}
			p.do(Inspected{p.jobs["Inspect"], k}, "Print ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada}, "")
			p.do(Printed{Job: p.jobs["Print"]}, "")
			p.do(Removed{"a"}, "Free a")
			p.sees(Who, "who is it?")
		},
		"while a typed touch is issued": func(p *player) {
			p.sits(nil)
			p.do(Checked{desk.ByStaffCard}, "")
			p.do(Touched{"otp"}, "Redeem otp ada staff-card")
			p.fails("Redeem", StoreAway, nil, "Wait")
			p.do(Touched{"another"}, "")
			p.do(Again{p.jobs["Wait"]}, "Load ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada}, "Redeem otp ada staff-card")
			p.fails("Redeem", StoreAway, nil, "Wait")
			p.do(Again{p.jobs["Wait"]}, "Load ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada, Tokens: []token.Token{{ID: 3, Serial: 7, State: token.Active}}}, "Print ada")
		},
		"and the half-written key is given up before it is known whether it was issued": func(p *player) {
			p.writing(provision.StepSealed)
			p.do(Removed{"a"}, "")
			p.fails("Write", StoreAway, &left, "Free a, Wait")
			p.do(Again{p.jobs["Wait"]}, "Load ada")
			p.do(GaveUp{}, "")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada, Open: []Open{left}}, "")
			p.do(GaveUp{}, "GiveUp 7")
		},
		"and another desk issues another key meanwhile": func(p *player) {
			p.writing(provision.StepSealed)
			p.do(Removed{"a"}, "")
			p.fails("Write", StoreAway, nil, "Free a, Wait")
			p.do(Again{p.jobs["Wait"]}, "Load ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada, Tokens: []token.Token{{ID: 9, Serial: 99, Model: token.YubiKey, State: token.Active}}}, "")
			p.sees(Identity, "has a key already")
		},
	}
}

// TestKnown: two operators must know a person who shows nothing, and neither is the person.
func TestKnown(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, func(s *Station) { s.Operator = "op" })
	p.sits(nil)
	p.plugs(fresh("a", 7), "")
	p.do(Checked{desk.ByAcquaintance}, "")
	p.sees(Identity, "second operator")
	for _, name := range []string{"", " ", "OP", "ada", "Ada  Lovelace", "a\x1b[2J", strings.Repeat("x", 61)} {
		p.do(Witnessed{name}, "")
		p.sees(Identity, "second operator")
	}
	p.do(Witnessed{" alan turing "}, "Write ada known")
	if r := p.happened(DidIdentify); r.Witness != "alan turing" || r.Check != desk.ByAcquaintance {
		t.Errorf("%+v", r)
	}
	if note := p.s.turnOrder().Note(); note != "room 12; second operator: alan turing" {
		t.Errorf("note %q", note)
	}
	if note := (Order{Witness: "x"}).Note(); note != "second operator: x" {
		t.Errorf("note %q", note)
	}
	p.do(Ended{p.jobs["Write"], &Done{Account: "ada", Serial: 7, Check: desk.ByPassport}}, "Print ada")
	if d := p.s.Done; d.Check != desk.ByPassport || d.Witness != "" {
		t.Errorf("a check that the store has otherwise: %+v", d)
	}
}

func (s State) turnOrder() Order { return (&turn{State: s}).order() }

// TestNoPaper: a receipt that could not be printed is told, also when its key was pulled out before.
func TestNoPaper(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, nil)
	p.writing()
	p.do(Ended{p.jobs["Write"], &Done{Account: "ada", Serial: 7}}, "Print ada")
	p.do(Removed{"a"}, "Free a")
	p.fails("Print", Fault, nil, "")
	if p.sees(Who, "who is it?"); p.s.Notice != "the receipt of ada was not printed: because" {
		t.Errorf("notice %q", p.s.Notice)
	}
}

// TestStock: a key that was written before is bound by one touch, held or typed.
func TestStock(t *testing.T) {
	t.Parallel()
	stock := func(port string) Key {
		k := fresh(port, 7)
		k.Have.Token, k.Class, k.Have.InUse = token.Token{ID: 3, Serial: 7, State: token.InStock, StockNumber: "S-1"}, provision.Ours, [2]bool{true, true}
		k.Have.Live = []token.Credential{{ID: 30, Slot: 2, State: token.InStock}}
		return k
	}
	p := newPlayer(t, nil)
	p.do(Touched{"early"}, "")
	p.sits(nil)
	p.do(Touched{"early"}, "") // the identity is not checked
	p.do(Checked{desk.ByStaffCard}, "")
	p.do(Touched{"spent"}, "Redeem spent ada staff-card")
	p.fails("Redeem", WrongTouch, nil, "")
	if p.s.Notice == "" {
		t.Error("nobody says why a replay is not taken")
	}
	p.plugs(stock("a"), "Bind ada staff-card")
	p.do(Passed{p.jobs["Bind"], provision.StepTouch}, "")
	p.sees(Touch, "from stock")
	p.do(Touched{"typed too"}, "") // by a key that is not grabbed
	p.do(Escaped{}, "Halt")
	p.fails("Bind", Halted, nil, "")
	p.sees(Who, "who is it?")
	p.sits(nil)
	p.do(Checked{desk.ByStaffCard}, "Bind ada staff-card")
	p.do(Ended{p.jobs["Bind"], &Done{Account: "ada", Serial: 7}}, "Print ada")
	if d := p.s.Recent[0]; !d.Stocked || d.Check != desk.ByStaffCard {
		t.Errorf("%+v", d)
	}
	q := newPlayer(t, nil)
	q.sits(nil)
	q.do(Checked{desk.ByStaffCard}, "")
	q.do(Touched{"otp"}, "Redeem otp ada staff-card")
	q.do(Ended{q.jobs["Redeem"], &Done{Account: "ada", Serial: 7}}, "Print ada")
	q.do(Printed{Job: q.jobs["Print"]}, "")
	q.sees(Who, "who is it?") // no key waits to be pulled out
}

// TestVideo: the identity is checked in a call, and the key goes out with a number that both read.
func TestVideo(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, func(s *Station) { s.Video = true })
	p.sits(nil)
	p.do(Checked{desk.ByPassport}, "")
	if p.s.Check != "" || p.s.Notice == "" {
		t.Errorf("a passport cannot be seen from here: %+v", p.s.Check)
	}
	p.do(Checked{desk.ByVideo}, "")
	p.do(Touched{"otp"}, "") // it would be active in the post
	if !strings.Contains(p.s.Notice, "plug the key in") {
		t.Errorf("notice %q", p.s.Notice)
	}
	p.plugs(fresh("a", 7), "Write ada video")
	p.do(Ended{p.jobs["Write"], &Done{Account: "ada", Serial: 7, Shipped: true, Call: "123456"}}, "Print ada")
	p.do(Printed{Job: p.jobs["Print"]}, "")
	p.sees(Removal, "123456")
	p.do(Removed{"a"}, "Free a")
	p.sees(Removal, "123456") // it is not shown again
	p.do(Submit{}, "")
	p.sees(Who, "who is it?")
	if r := p.happened(DidIssue); !r.Shipped || r.Number != "123456" {
		t.Errorf("%+v", r)
	}
}

// TestEscape: at each step, and Ctrl-C too.
func TestEscape(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, nil)
	p.do(Typed{"a"}, "Search a")
	p.do(Escaped{}, "")
	if p.s.Query != "" {
		t.Error("the field is not cleared")
	}
	p.do(Found{Query: "a"}, "")
	p.sits(nil)
	p.do(Checked{desk.ByStaffCard}, "")
	p.do(Escaped{}, "")
	p.sees(Who, "who is it?")
	p.writing(provision.StepReserved)
	p.do(Escaped{}, "Halt")
	p.do(Escaped{}, "")
	p.sees(Writing, "stopping")
	p.fails("Write", Halted, nil, "") // nothing was sent: the key is as it was
	p.sees(Who, "who is it?")
	p.sits(nil)
	p.do(Checked{desk.ByStaffCard}, "Write ada staff-card")
	p.do(Passed{p.jobs["Write"], provision.StepTouch}, "")
	p.do(Escaped{}, "Halt")
	p.fails("Write", Halted, &left, "Free a") // half-written: it is pulled out first
	p.sees(Who, "who is it?")
	p.do(Removed{"a"}, "")
	p.plugs(half("a"), "Resume 5")
	p.do(Passed{p.jobs["Resume"], provision.StepTouch}, "")
	p.do(Quit{}, "Halt")
	p.fails("Resume", Halted, &left, "Free a, Leave")
	p.do(Quit{}, "")
	if !p.s.Over {
		t.Error("it is not over")
	}
	q := newPlayer(t, nil)
	q.writing()
	q.do(Ended{q.jobs["Write"], &Done{Account: "ada", Serial: 7}}, "Print ada")
	q.do(Quit{}, "") // the receipt comes out first
	q.do(Printed{Job: q.jobs["Print"]}, "Free a, Leave")
}

// TestOffline: what is issued counts later, and everybody is told.
func TestOffline(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, func(s *Station) { s.Offline = true })
	p.writing()
	p.do(Ended{p.jobs["Write"], &Done{Account: "ada", Serial: 7}}, "Print ada")
	if r := p.happened(DidIssue); !r.Pending {
		t.Errorf("%+v", r)
	}
}
