package appointment

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// mayEquip: what comes after the slot is for a key that was issued, to who has it, once.
func (w *world) mayEquip(e Equip) {
	w.cards++
	i := slices.IndexFunc(w.keys, func(k *thing) bool { return k.serial == e.Done.Serial })
	if !w.s.Station.Cards || i < 0 {
		w.fail("after the slot of key %s", e.Done.Serial)
	}
	k := w.keys[i]
	if k.tok.Holder == nil || k.tok.Holder.Account != e.Done.Account || e.Held && w.held != nil && w.held != k {
		w.fail("after the slot of key %s of %s, held %t: %+v", k.serial, e.Done.Account, e.Held, k.tok)
	}
}

// mayPrint: a receipt names what is on the key, so it comes last.
func (w *world) mayPrint(e Print) {
	for _, j := range w.jobs {
		if _, ok := j.e.(Equip); ok {
			w.fail("the receipt of %s before its accounts", e.Done.Account)
		}
	}
}

// equip puts something on the key, or fails.
func (w *world) equip(j *running, e Equip, end func(Event)) {
	switch {
	case j.halt || !e.Held || w.r.IntN(6) == 0:
		end(Equipped{e.Job, Cards{Why: "because", Finish: []string{"a command"}}})
	case j.stage < 3:
		j.stage++
		w.give(Carded{e.Job, "oath", "a step", j.stage == 2})
	case w.r.IntN(8) == 0:
		end(Failed{Job: e.Job, Trouble: Fault, Why: "a fault"})
	default:
		end(Equipped{e.Job, Cards{Accounts: []string{"Example:x"}}})
	}
}

// carded has ada's key issued at a desk that puts more on it.
func carded(t *testing.T) *player {
	p := newPlayer(t, func(s *Station) { s.Cards = true })
	p.writing(provision.StepReserved, provision.StepSealed, provision.StepWritten, provision.StepTouch, provision.StepProven)
	p.do(Ended{p.jobs["Write"], &Done{Account: "ada", Serial: 7, Receipt: "R-1"}}, "Equip ada true")
	return p
}

// TestCards: what a key gets beside its slot comes after the issue and before the receipt, and its failure takes nothing back.
func TestCards(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*player){
		"all of it": func(p *player) {
			p.do(Carded{p.jobs["Equip"], "oath", "the key took the account", false}, "")
			p.sees(Binding, "leave the key in")
			p.do(Carded{p.jobs["Equip"], "oath", "touch it", true}, "")
			p.sees(Binding, "it blinks")
			p.do(Carded{p.jobs["Equip"] + 1, "oath", "of another", false}, "")
			if r := p.happened(DidCard); r.Card != "oath" || r.Why != "touch it" || r.Account != "ada" || r.Serial != 7 || r.Step != Binding {
				p.t.Errorf("%+v", r)
			}
			p.do(Equipped{p.jobs["Equip"], Cards{Accounts: []string{"Example:ada"}, PIV: true}}, "Print ada")
			if r := p.happened(DidEquip); len(r.Accounts) != 1 || !r.PIV || r.Account != "ada" {
				p.t.Errorf("%+v", r)
			}
			p.do(Printed{Job: p.jobs["Print"], Number: "R-1"}, "")
			p.sees(Removal, "pull the key out and give it to ada")
			p.do(Removed{"a"}, "Free a")
			p.sees(Who, "who is it?")
		},
		"a failure": func(p *player) {
			p.do(Equipped{p.jobs["Equip"], Cards{Why: "no room", Finish: []string{"tokendesk provision --oath x"}}}, "Print ada")
			if r := p.happened(DidNotEquip); r.Why != "no room" || len(r.Finish) != 1 {
				p.t.Errorf("%+v", r)
			}
			p.sees(Receipt, "not all is on the key")
			p.do(Printed{Job: p.jobs["Print"]}, "")
			p.sees(Removal, "note the command below")
			p.do(Removed{"a"}, "Free a") // what is shown once stays until Enter
			p.sees(Removal, "note the command below")
			if p.s.Recent[0].Cards.Why != "no room" || p.s.Count != 1 {
				p.t.Errorf("%+v", p.s.Recent)
			}
			p.do(Submit{}, "")
			p.sees(Who, "who is it?")
		},
		"a fault": func(p *player) {
			p.fails("Equip", Fault, nil, "Print ada")
			p.sees(Receipt, "not all is on the key")
		},
		"pulled out": func(p *player) {
			p.do(Removed{"a"}, "Free a")
			p.sees(Binding, "leave the key in")
			p.do(Submit{}, "") // not yet
			p.do(Equipped{p.jobs["Equip"], Cards{Accounts: []string{"x"}}}, "Print ada")
			p.do(Printed{Job: p.jobs["Print"]}, "")
			p.sees(Who, "who is it?")
		},
		"stopped": func(p *player) {
			p.do(Escaped{}, "Halt")
			p.do(Escaped{}, "")
			p.sees(Binding, "stopping")
			p.do(Equipped{p.jobs["Equip"], Cards{Why: "stopped", Finish: []string{"x"}}}, "Print ada")
			if p.s.Done == nil || p.s.Count != 1 {
				p.t.Error("the issue was taken back")
			}
		},
		"the desk closes": func(p *player) {
			p.do(Quit{}, "Halt")
			p.do(Equipped{p.jobs["Equip"], Cards{Why: "stopped"}}, "Print ada")
			p.do(Printed{Job: p.jobs["Print"]}, "Free a, Leave")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := carded(t)
			p.t = t
			play(p)
		})
	}
}

// TestCardsFromStock: a key from stock gets the same, but must be plugged in for it; one that was issued while the store was away is not at hand.
func TestCardsFromStock(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, func(s *Station) { s.Cards = true })
	p.sits(nil)
	p.do(Checked{desk.ByStaffCard}, "")
	p.sees(Insert, "plug in a key")
	if strings.Contains(p.s.Prompt().Text, "stock") {
		t.Error(p.s.Prompt().Text)
	}
	p.do(Touched{"otp"}, "")
	if !strings.Contains(p.s.Notice, "plug it in") {
		t.Error(p.s.Notice)
	}
	k := fresh("a", 7)
	k.Class, k.Have.Token = provision.Ours, token.Token{ID: 3, Serial: 7, State: token.InStock}
	p.plugs(k, "Bind ada staff-card")
	p.do(Ended{p.jobs["Bind"], &Done{Account: "ada", Serial: 7}}, "Equip ada true")
	p.do(Equipped{p.jobs["Equip"], Cards{}}, "Print ada")

	q := carded(t)
	q.do(Equipped{q.jobs["Equip"], Cards{}}, "Print ada")
	q.do(Printed{Job: q.jobs["Print"]}, "")
	q.do(Removed{"a"}, "Free a")
	q.sits(nil)
	q.do(Checked{desk.ByStaffCard}, "")
	q.plugs(fresh("a", 8), "Write ada staff-card")
	q.do(Passed{q.jobs["Write"], provision.StepProven}, "")
	q.fails("Write", StoreAway, &Open{Entry: 6, Credential: 60, Serial: 8, Slot: 2, Phase: token.Written, Account: "ada"}, "Free a, Wait")
	q.do(Removed{"a"}, "")
	q.do(Again{q.jobs["Wait"]}, "Load ada")
	has := token.Token{ID: 9, Serial: 8, Model: token.YubiKey, State: token.Active, Holder: &ada}
	q.do(Loaded{Job: q.jobs["Load"], Person: ada, Tokens: []token.Token{has}}, "Equip ada false")
}

// TestCardsLacking: a key of theirs that lacks something gets it without a new secret in its slot, if the operator says so.
func TestCardsLacking(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, func(s *Station) { s.Cards = true })
	has := token.Token{ID: 3, Serial: 7, State: token.Active}
	p.sits(nil, has)
	p.do(Chosen{Use: Second}, "")
	p.do(Checked{desk.ByStaffCard}, "")
	has.Holder, has.Model = &ada, token.YubiKey
	k := fresh("a", 7)
	k.Class, k.Lacks, k.Have.Token = provision.Ours, true, has
	k.Have.Live = []token.Credential{{ID: 9, Slot: 2, State: token.Active}}
	p.plugs(k, "")
	p.sees(Insert, "F puts on it what it lacks")
	p.do(Finished{}, "Equip ada true")
	if d := p.s.Done; !d.Recovered || d.Token != 3 || d.Slot != 2 {
		t.Errorf("%+v", d)
	}
	p.do(Finished{}, "")
	p.do(Equipped{p.jobs["Equip"], Cards{}}, "Print ada")

	q := newPlayer(t, func(s *Station) { s.Cards = true })
	q.sits(nil, has)
	q.do(Chosen{Use: Second}, "")
	q.do(Checked{desk.ByStaffCard}, "")
	k.Lacks = false
	q.plugs(k, "")
	q.sees(Insert, "Y writes it anew")
	q.do(Finished{}, "") // it lacks nothing
	q.do(Agreed{}, "Write ada staff-card second 0")
}
