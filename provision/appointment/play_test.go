package appointment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// player plays one desk, event by event.
type player struct {
	t    *testing.T
	s    State
	now  time.Time
	jobs map[string]Job // the last of each effect
	told []Record
}

func newPlayer(t *testing.T, change func(*Station)) *player {
	st := Station{Spec: provision.Spec{Slot: 2, PublicID: provision.FromSerial, AccessCode: provision.RandomCode, Verify: token.ByTouch}, Place: "room 12", Paper: true}
	if change != nil {
		change(&st)
	}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return &player{t: t, now: now, jobs: map[string]Job{}, s: New(st, nil, now)}
}

// do gives an event, and wants these effects, apart from records: "Load ada, Inspect a".
func (p *player) do(e Event, want string) {
	p.t.Helper()
	p.now = p.now.Add(time.Second)
	var out []Effect
	p.s, out = Next(p.s, p.now, e)
	var got []string
	for _, x := range out {
		if r, ok := x.(Tell); ok {
			p.told = append(p.told, r.Record)
			continue
		}
		name, job := p.name(x)
		got = append(got, name)
		if job != 0 {
			p.jobs[strings.Fields(name)[0]] = job
		}
	}
	if g := strings.Join(got, ", "); g != want {
		p.t.Fatalf("%T%+v: effects %q, want %q", e, e, g, want)
	}
}

// name is an effect without what varies.
func (p *player) name(x Effect) (string, Job) {
	order := func(o Order) string {
		s := o.Account + " " + string(o.Check)
		if o.Use != "" {
			s += fmt.Sprintf(" %s %d", o.Use, o.Replace)
		}
		return s
	}
	switch x := x.(type) {
	case Search:
		return "Search " + x.Query, 0
	case Load:
		return "Load " + x.Account, x.Job
	case Inspect:
		return "Inspect " + x.Port, x.Job
	case Write:
		return "Write " + order(x.Order), x.Job
	case Resume:
		return fmt.Sprint("Resume ", x.Entry), x.Job
	case Bind:
		return "Bind " + order(x.Order), x.Job
	case Redeem:
		return "Redeem " + x.OTP + " " + order(x.Order), x.Job
	case GiveUp:
		return fmt.Sprint("GiveUp ", x.Serial), x.Job
	case Equip:
		return fmt.Sprintf("Equip %s %t", x.Done.Account, x.Held), x.Job
	case Halt:
		return "Halt", 0
	case Free:
		return "Free " + x.Port, 0
	case Print:
		return "Print " + x.Done.Account, x.Job
	case Wait:
		return "Wait", x.Job
	case Leave:
		return "Leave", 0
	}
	return "?", 0
}

// sees wants a step and a part of what the screen says.
func (p *player) sees(step Step, text string) {
	p.t.Helper()
	if x := p.s.Prompt(); x.Step != step || !strings.Contains(x.Text, text) {
		p.t.Fatalf("at %s %q, want %s %q", x.Step, x.Text, step, text)
	}
}

// happened wants a record.
func (p *player) happened(what Happening) Record {
	p.t.Helper()
	for i := len(p.told) - 1; i >= 0; i-- {
		if p.told[i].Event == what {
			return p.told[i]
		}
	}
	p.t.Fatalf("nothing tells of %s", what)
	return Record{}
}

var ada = token.Person{ID: 1, Account: "ada", Name: "Ada Lovelace"}

// sits has ada at the desk.
func (p *player) sits(open []Open, holds ...token.Token) {
	p.t.Helper()
	p.do(Submit{Text: "ada", Whole: true}, "Load ada")
	for i := range holds {
		holds[i].Model, holds[i].Holder = token.YubiKey, &ada
	}
	p.do(Loaded{Job: p.jobs["Load"], Person: ada, Tokens: holds, Open: open}, "")
}

// fresh is a key of the factory in a port.
func fresh(port string, serial token.Serial) Key {
	return Key{Port: port, Have: provision.Have{Serial: serial, Version: ykslot.Version{Major: 5, Minor: 7}, InUse: [2]bool{true, false}}, Class: provision.Empty}
}

// plugs has a key in a port that was read; want is what follows.
func (p *player) plugs(k Key, want string) {
	p.t.Helper()
	p.do(Arrived{Port: k.Port, OTP: true}, "Inspect "+k.Port)
	p.do(Inspected{p.jobs["Inspect"], k}, want)
}

// writing has ada's key written up to a step.
func (p *player) writing(steps ...provision.Step) {
	p.t.Helper()
	p.sits(nil)
	p.do(Checked{desk.ByStaffCard}, "")
	p.plugs(fresh("a", 7), "Write ada staff-card")
	for _, s := range steps {
		p.do(Passed{p.jobs["Write"], s}, "")
	}
}

var left = Open{Entry: 5, Credential: 50, Serial: 7, Slot: 2, Phase: token.Writing, Account: "ada"}

// half is the key of left.
func half(port string) Key {
	k := fresh(port, 7)
	k.Open = &left
	return k
}

func (p *player) fails(work string, trouble Trouble, o *Open, want string) {
	p.t.Helper()
	p.do(Failed{Job: p.jobs[work], Trouble: trouble, Why: "because", Left: o}, want)
}
