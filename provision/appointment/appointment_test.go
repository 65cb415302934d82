package appointment

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestAppointment is the table of PRODUCT.md §3.a, step by step.
func TestAppointment(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, nil)
	p.sees(Who, "who is it?")
	p.do(Typed{"a"}, "Search a")
	p.do(Typed{"ad"}, "") // one search at a time
	p.do(Found{Query: "a", Hits: []desk.Hit{{Person: &ada}}}, "Search ad")
	p.do(Found{Query: "ad", Hits: []desk.Hit{{Person: &ada}, {Person: &ada}, {Person: &token.Person{Account: "adam"}}}}, "")
	if len(p.s.Hits) != 2 {
		t.Fatalf("%d lines for two persons", len(p.s.Hits))
	}
	p.do(Move{1}, "")
	p.do(Move{5}, "")
	p.do(Move{-1}, "")
	p.do(Submit{Text: "ad"}, "Load ada")
	p.do(Loaded{Job: p.jobs["Load"], Person: ada}, "")
	p.sees(Identity, "identity")
	p.do(Checked{desk.ByPassport}, "")
	p.sees(Insert, "plug in a key")
	p.do(Arrived{Port: "a", Product: "YubiKey", OTP: true}, "Inspect a")
	p.do(Inspected{p.jobs["Inspect"], fresh("a", 7)}, "Write ada passport")
	p.sees(Writing, "sealed")
	for _, s := range []provision.Step{provision.StepReserved, provision.StepSealed, provision.StepWritten} {
		p.do(Passed{p.jobs["Write"], s}, "")
	}
	p.sees(Writing, "leave the key in")
	p.do(Passed{p.jobs["Write"], provision.StepTouch}, "")
	p.sees(Touch, "hold for three seconds")
	p.do(Passed{p.jobs["Write"], provision.StepProven}, "")
	p.sees(Binding, "binding")
	p.do(Ended{p.jobs["Write"], &Done{Account: "ada", Name: "Ada Lovelace", Serial: 7, Receipt: "R-1"}}, "Print ada")
	p.sees(Receipt, "printed")
	p.do(Printed{Job: p.jobs["Print"], Papers: []string{"R-1.pdf"}}, "")
	p.sees(Removal, "pull the key out and give it to ada")
	if r := p.happened(DidIssue); r.Step != Binding || r.Account != "ada" || r.Serial != 7 || r.Check != desk.ByPassport {
		t.Errorf("%+v", r)
	}
	if d := p.s.Recent[0]; len(d.Steps) != 6 || d.Machine == 0 || len(d.Papers) != 1 {
		t.Errorf("%+v", d)
	}
	p.do(Removed{"a"}, "Free a")
	p.sees(Who, "who is it?")
	if p.s.Number != 2 || p.s.Count != 1 || p.s.Check != "" || p.s.Person != nil {
		t.Errorf("the next appointment begins with %+v", p.s)
	}
	p.do(Quit{}, "Leave")
}

// TestScanned: a whole text is an account as it is; a selected hit is not what Enter takes before it was seen.
func TestScanned(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, nil)
	p.do(Submit{Text: "bob", Whole: true}, "Load bob")
	p.do(Loaded{Job: p.jobs["Load"]}, "")
	p.sees(Who, "nobody fits")
	p.do(Submit{Text: "ad"}, "Search ad") // typed faster than the store answers
	p.do(Found{Query: "ad", Hits: []desk.Hit{{Person: &ada}, {Person: &token.Person{Account: "adam"}}}}, "")
	p.sees(Who, "Enter chooses")
	p.do(Submit{Text: "ada"}, "Search ada")
	p.do(Found{Query: "ada", Hits: []desk.Hit{{Person: &token.Person{Account: "adam"}}, {Person: &ada}}}, "Load ada")
	q := newPlayer(t, nil)
	q.s.Next = []Planned{{"ada", "10:00"}, {"bob", "10:15"}}
	q.sees(Who, "next appointment")
	q.do(Submit{}, "Load ada")
	q.do(Loaded{Job: q.jobs["Load"], Person: ada}, "")
	if len(q.s.Next) != 1 {
		t.Errorf("%d appointments are left", len(q.s.Next))
	}
}

// TestFailures are those of PRODUCT.md §3.a.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, play := range failures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newPlayer(t, nil))
		})
	}
}

func failures() map[string]func(*player) {
	return map[string]func(*player){
		"pulled out while it is written": func(p *player) {
			p.writing(provision.StepReserved, provision.StepSealed)
			p.do(Removed{"a"}, "")
			p.fails("Write", KeyGone, &left, "Free a")
			p.sees(Insert, "plug in key 7 again")
			p.happened(DidInterr)
			p.plugs(fresh("b", 8), "") // another one is not written now
			p.sees(Insert, "that is another key")
			p.do(Removed{"b"}, "Free b")
			p.plugs(half("a"), "Resume 5")
			p.do(Passed{p.jobs["Resume"], provision.StepTouch}, "")
			p.sees(Touch, "half-written")
			p.do(Ended{p.jobs["Resume"], &Done{Account: "ada", Serial: 7}}, "Print ada")
			if r := p.happened(DidIssue); !r.Recovered || r.Check != desk.ByStaffCard {
				p.t.Errorf("%+v", r)
			}
		},
		"pulled out, and the slot holds what it held": func(p *player) {
			p.writing(provision.StepSealed)
			p.fails("Write", KeyGone, &left, "Free a, Wait") // the bus did not notice
			p.do(Again{p.jobs["Wait"]}, "Inspect a")
			p.do(Inspected{p.jobs["Inspect"], half("a")}, "Resume 5")
			p.do(Ended{p.jobs["Resume"], nil}, "Free a, Inspect a")
			p.do(Inspected{p.jobs["Inspect"], fresh("a", 7)}, "Write ada staff-card")
		},
		"half-written and gone for good": func(p *player) {
			p.writing(provision.StepSealed)
			p.do(Removed{"a"}, "")
			p.fails("Write", KeyGone, &left, "Free a")
			p.do(GaveUp{}, "GiveUp 7")
			p.do(Escaped{}, "")
			p.do(Ended{p.jobs["GiveUp"], nil}, "Load ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada}, "")
			p.plugs(fresh("b", 8), "Write ada staff-card")
		},
		"left half-written in a session before": func(p *player) {
			p.sits([]Open{left})
			p.do(Checked{desk.ByStaffCard}, "")
			p.sees(Insert, "plug in key 7 again")
			p.do(Touched{"otp"}, "")
			p.plugs(half("a"), "Resume 5")
		},
		"reserved only in a session before": func(p *player) {
			o := left
			o.Phase = token.Reserved
			p.do(Submit{Text: "ada", Whole: true}, "Load ada")
			p.do(Loaded{Job: p.jobs["Load"], Person: ada, Open: []Open{o}}, "Resume 5") // needs no key
			p.do(Ended{p.jobs["Resume"], nil}, "")
			p.do(Checked{desk.ByStaffCard}, "")
			p.plugs(fresh("a", 8), "Write ada staff-card")
		},
		"left half-written for somebody else": func(p *player) {
			p.sits(nil)
			o := left
			o.Account = "bob"
			k := half("a")
			k.Open = &o
			p.plugs(k, "Resume 5")
			p.do(Ended{p.jobs["Resume"], &Done{Account: "bob", Serial: 7}}, "Print bob")
			p.do(Printed{Job: p.jobs["Print"]}, "")
			p.sees(Removal, "give it to bob")
			p.do(Removed{"a"}, "Free a")
			p.sees(Identity, "identity") // of ada
		},
		"left half-written, nobody at the desk": func(p *player) {
			p.plugs(half("a"), "Resume 5")
			p.do(Ended{p.jobs["Resume"], &Done{Account: "ada", Serial: 7}}, "Print ada")
		},
		"wrong touch": func(p *player) {
			p.writing(provision.StepTouch)
			p.do(Missed{p.jobs["Write"], provision.OtherKey}, "")
			p.sees(Touch, "that was the short touch: hold for three seconds")
			p.do(Missed{p.jobs["Write"], provision.NotDecrypting}, "")
			p.sees(Touch, "does not decrypt")
			p.do(Missed{p.jobs["Write"] + 1, provision.OtherKey}, "")
			p.do(Passed{p.jobs["Write"], provision.StepProven}, "")
			p.sees(Binding, "binding")
		},
		"nobody touches": func(p *player) {
			p.writing(provision.StepTouch)
			p.fails("Write", NotTouched, &left, "Free a, Inspect a")
			p.do(Inspected{p.jobs["Inspect"], half("a")}, "Resume 5")
		},
		"key of another person": func(p *player) {
			p.sits(nil)
			k := fresh("a", 9)
			k.Have.Token = token.Token{ID: 3, State: token.Active, Holder: &token.Person{ID: 2, Account: "bob"}}
			p.plugs(k, "Free a")
			p.sees(Identity, "identity")
			p.do(Checked{desk.ByStaffCard}, "")
			p.sees(Insert, "take another key: it belongs to bob")
			p.do(Removed{"a"}, "")
			p.sees(Insert, "plug in a key")
		},
		"foreign slot": func(p *player) {
			p.sits(nil)
			p.do(Checked{desk.ByStaffCard}, "")
			k := fresh("a", 9)
			k.Have.InUse, k.Class = [2]bool{true, true}, provision.Foreign
			p.plugs(k, "Free a")
			p.sees(Insert, "slot 2 holds something that this store did not write")
		},
		"unknown access code": func(p *player) {
			p.writing(provision.StepSealed)
			p.fails("Write", KeyRefused, nil, "Free a")
			p.sees(Insert, "take another key: because")
			if r := p.happened(DidAside); r.Port != "a" || r.Why == "" {
				p.t.Errorf("%+v", r)
			}
			p.plugs(fresh("b", 8), "Write ada staff-card")
		},
		"FIDO-only key": func(p *player) {
			p.do(Arrived{Port: "a"}, "Free a")
			p.sits(nil)
			p.do(Checked{desk.ByStaffCard}, "")
			p.sees(Insert, "FIDO-only")
		},
		"two keys at once": func(p *player) {
			p.sits(nil)
			p.plugs(fresh("a", 7), "")
			p.do(Arrived{Port: "b", OTP: true}, "")
			p.do(Checked{desk.ByStaffCard}, "")
			p.sees(Insert, "two keys")
			p.do(Removed{"b"}, "Write ada staff-card")
		},
		"its node is being set up": func(p *player) {
			p.do(Arrived{Port: "a", OTP: true}, "Inspect a")
			for range mostTries {
				p.fails("Inspect", KeyClosed, nil, "Wait")
				p.do(Again{p.jobs["Wait"]}, "Inspect a")
			}
			p.fails("Inspect", KeyClosed, nil, "Free a")
			if len(p.s.usable()) != 0 {
				p.t.Error("it is tried for ever")
			}
		},
		"the receipt is not printed": func(p *player) {
			p.writing()
			p.do(Ended{p.jobs["Write"], &Done{Account: "ada", Serial: 7}}, "Print ada")
			p.do(Removed{"a"}, "Free a") // before the paper is out
			p.sees(Receipt, "printed")
			p.fails("Print", Fault, nil, "")
			p.sees(Who, "who is it?")
			p.happened(DidNotPrint)
		},
	}
}

// TestPersonWarnings: what the operator must know, and agree to.
func TestPersonWarnings(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, nil)
	p.sits(nil, token.Token{ID: 3, Serial: 33, State: token.Suspended, Reason: token.ReasonLeft})
	p.sees(Identity, "see the warning")
	p.do(Checked{desk.ByStaffCard}, "")
	p.do(Agreed{}, "")
	p.sees(Identity, "has a key already")
	p.do(Chosen{Use: Second}, "")
	p.sees(Identity, "identity")
	if w := p.s.Person.Warnings; len(w) != 1 || w[0].Level != Grave || !strings.Contains(w[0].Text, "left") {
		t.Errorf("%+v", w)
	}
	p.do(Checked{desk.ByStaffCard}, "")
	p.plugs(fresh("a", 7), "Write ada staff-card second 0")
	q := newPlayer(t, nil)
	q.sits(nil, token.Token{ID: 3, Serial: 33, State: token.Lost, Reason: token.ReasonStolen}, token.Token{ID: 4, Serial: 44, State: token.Active})
	q.do(Chosen{Use: Replacement}, "") // which one?
	q.do(Chosen{Use: Replacement, Replace: 9}, "")
	q.sees(Identity, "has a key already")
	q.do(Chosen{Use: Replacement, Replace: 4}, "")
	q.do(Checked{desk.ByStaffCard}, "")
	q.plugs(fresh("a", 7), "Write ada staff-card replacement 4")
}

// TestTheirsAlready: a key that the person holds is written anew only if the operator says so.
func TestTheirsAlready(t *testing.T) {
	t.Parallel()
	p := newPlayer(t, nil)
	own := token.Token{ID: 3, Serial: 7, State: token.Active, Model: token.YubiKey}
	p.sits(nil, own)
	p.do(Chosen{Use: Replacement}, "")
	p.do(Checked{desk.ByStaffCard}, "")
	k := fresh("a", 7)
	k.Have.Token, k.Class, k.Have.InUse = own, provision.Ours, [2]bool{true, true}
	k.Have.Token.Holder = &ada
	k.Have.Live = []token.Credential{{ID: 30, Slot: 2, Kind: token.YubicoOTP, State: token.Active, PublicID: token.SerialPublicID(7)}}
	p.plugs(k, "")
	p.sees(Insert, "theirs already")
	p.do(Agreed{}, "Write ada staff-card replacement 0") // its former credential goes with the commit, the token stays
	for what, change := range map[string]func(*token.Token){
		"is blocked":   func(k *token.Token) { k.State = token.Lost },
		"was given up": func(k *token.Token) { k.State = token.Revoked },
	} {
		q := newPlayer(t, nil)
		q.sits(nil)
		q.do(Checked{desk.ByStaffCard}, "")
		k := fresh("a", 7)
		k.Have.Token = token.Token{ID: 9, Serial: 7}
		change(&k.Have.Token)
		q.plugs(k, "Free a")
		q.sees(Insert, what)
	}
}
