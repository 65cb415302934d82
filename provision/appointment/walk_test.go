package appointment

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// world is a desk with its store, its box of keys, its people and an operator who does anything.
type world struct {
	t     *testing.T
	r     *rand.Rand
	s     State
	now   time.Time
	seen  map[Job]bool
	keys  []*thing
	ports map[string]*thing
	held  *thing
	jobs  []*running
	away  bool // the store
	next  token.ID
	open  []*entry
	issue []issued
	cards int   // how often what comes after the slot was begun
	log   []any // events and effects
}

// thing is a key.
type thing struct {
	serial  token.Serial
	otp     bool
	foreign bool
	locked  bool
	slot    int64 // number of the secret; 0: empty
	tok     token.Token
	cred    token.CredentialID
}

type entry struct {
	Open
	order  Order
	secret int64
	key    *thing
}

type issued struct {
	number int
	order  Order
	key    *thing
	proven bool
}

// running is an effect under way.
type running struct {
	e      Effect
	job    Job
	stage  int
	halt   bool
	entry  *entry
	key    *thing // as it was held when it began
	proven bool
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0), seen: map[Job]bool{}, ports: map[string]*thing{},
	}
	for i := range 9 {
		k := &thing{serial: token.Serial(100 + i), otp: i != 5, foreign: i == 6, locked: i == 7}
		k.tok = token.Token{Serial: k.serial, Model: token.YubiKey}
		if i == 8 { // from stock
			w.next++
			k.tok.ID, k.tok.State, k.cred, k.slot = w.next, token.InStock, 1000, 1000
		}
		w.keys = append(w.keys, k)
	}
	w.s = New(Station{Spec: provision.Spec{Slot: 2, PublicID: provision.FromSerial, AccessCode: provision.RandomCode, Verify: token.ByTouch}, Paper: seed%2 == 0, Cards: seed%4 > 1}, nil, w.now)
	return w
}

var people = []string{"ada", "bob", "eve"}

// give puts an event in, and starts what comes out.
func (w *world) give(e Event) {
	w.log = append(w.log, e)
	w.now = w.now.Add(time.Second)
	before, look := w.s, w.r.IntN(16) == 0
	shape := ""
	if look {
		shape = fmt.Sprintf("%+v", before)
	}
	s, out := Next(w.s, w.now, e)
	if look && fmt.Sprintf("%+v", before) != shape {
		w.fail("%T changed the former state", e)
	}
	w.s = s
	if p := s.Prompt(); p.Text == "" || p.Step == "" {
		w.fail("no prompt")
	}
	for _, e := range out {
		w.begin(e)
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, l := range w.log[max(0, len(w.log)-60):] {
		w.t.Logf("%T%+v", l, l)
	}
	w.t.Logf("at %s: %q, wants %q, work %q, done %+v, left %+v, key %+v", w.s.Step(), w.s.Prompt().Text, w.s.Wants(), w.s.Work, w.s.Done, w.s.Left, w.s.Key)
	w.t.Fatalf(format, args...)
}

func (w *world) begin(e Effect) {
	run := &running{e: e}
	work := false
	switch e := e.(type) {
	case Tell, Leave:
		return
	case Free:
		if w.ports[e.Port] == w.held || w.held == nil {
			w.held = nil
		}
		return
	case Halt:
		for _, j := range w.jobs {
			j.halt = j.halt || j.job == e.Job
		}
		return
	case Search:
	case Load:
		run.job = e.Job
	case Inspect:
		run.job, work = e.Job, true
	case Write:
		run.job, work = e.Job, true
		w.mayIssue(e.Order)
	case Bind:
		run.job, work = e.Job, true
		w.mayIssue(e.Order)
	case Redeem:
		run.job, work = e.Job, true
		w.mayIssue(e.Order)
	case Resume:
		run.job, work = e.Job, true
	case GiveUp:
		run.job, work = e.Job, true
	case Equip:
		run.job = e.Job
		w.mayEquip(e)
	case Print:
		run.job = e.Job
		w.mayPrint(e)
	case Wait:
		run.job = e.Job
	}
	w.log = append(w.log, e)
	if _, ok := e.(Search); !ok && (run.job == 0 || w.seen[run.job]) {
		w.fail("%T is performed twice", e)
	}
	w.seen[run.job] = true
	run.key = w.held
	for _, j := range w.jobs {
		if work && j.working() {
			w.fail("%T while %T is under way", e, j.e)
		}
	}
	w.jobs = append(w.jobs, run)
}

func (j *running) working() bool {
	switch j.e.(type) {
	case Inspect, Write, Bind, Redeem, Resume, GiveUp:
		return true
	}
	return false
}

// mayIssue: an order names a person whose identity was checked, and who has no unfinished write.
func (w *world) mayIssue(o Order) {
	if o.Account == "" || o.Check == "" || w.s.Person == nil || w.s.Person.Account != o.Account {
		w.fail("an issue without person or identity check: %+v", o)
	}
	if (o.Check == desk.ByAcquaintance) != (o.Witness != "") || o.Witness == o.Account {
		w.fail("known to %q: %+v", o.Witness, o)
	}
	for _, e := range w.open {
		if e.Account == o.Account {
			w.fail("a second write for %s while key %s is open", o.Account, e.Serial)
		}
	}
}

// step lets one effect go on by one step, and returns whether there was one.
func (w *world) step(i int) {
	j := w.jobs[i]
	end := func(e Event) {
		w.jobs = slices.DeleteFunc(w.jobs, func(o *running) bool { return o == j })
		w.give(e)
	}
	away := func(left *entry) {
		var o *Open
		if left != nil {
			o = &left.Open
		}
		end(Failed{Job: j.job, Trouble: StoreAway, Why: "away", Left: o})
	}
	switch e := j.e.(type) {
	case Wait:
		end(Again(e))
	case Print:
		if w.r.IntN(8) == 0 {
			end(Failed{Job: e.Job, Trouble: Fault, Why: "no paper"})
			return
		}
		end(Printed{Job: e.Job, Number: "R-1"})
	case Equip:
		w.equip(j, e, end)
	case Search:
		if w.away {
			end(Found{Query: e.Query, Down: "away"})
			return
		}
		end(Found{Query: e.Query, Hits: w.hits(e.Query)})
	case Load:
		if w.away {
			away(nil)
			return
		}
		end(w.load(e))
	case Inspect:
		w.inspect(j, e, end, away)
	case Write, Resume:
		w.write(j, end, away)
	case Bind:
		w.bind(j, e, end, away)
	case Redeem:
		w.redeem(e, end, away)
	case GiveUp:
		if w.away {
			away(nil)
			return
		}
		w.open = slices.DeleteFunc(w.open, func(o *entry) bool { return o.Serial == e.Serial })
		for _, k := range w.keys {
			if k.serial == e.Serial {
				k.tok.State, k.tok.Holder, k.cred = token.Revoked, nil, 0
			}
		}
		end(Ended{Job: e.Job})
	}
}

func (w *world) hits(q string) (out []desk.Hit) {
	for _, p := range people {
		if p[0] == q[0] {
			out = append(out, desk.Hit{Person: &token.Person{ID: 1, Account: p, Name: p}})
		}
	}
	return out
}

func (w *world) load(e Load) Loaded {
	if !slices.Contains(people, e.Account) {
		return Loaded{Job: e.Job}
	}
	l := Loaded{Job: e.Job, Person: person(e.Account)}
	for _, k := range w.keys {
		if k.tok.Holder != nil && k.tok.Holder.Account == e.Account && k.tok.State != token.Revoked {
			l.Tokens = append(l.Tokens, k.tok)
		}
	}
	for _, o := range w.open {
		if o.Account == e.Account {
			l.Open = append(l.Open, o.Open)
		}
	}
	return l
}

func person(account string) token.Person {
	return token.Person{ID: token.PersonID(slices.Index(people, account) + 1), Account: account, Name: account}
}

func (w *world) inspect(j *running, e Inspect, end func(Event), away func(*entry)) {
	k := w.ports[e.Port]
	switch {
	case k == nil:
		end(Failed{Job: e.Job, Trouble: KeyGone, Why: "gone"})
	case w.r.IntN(6) == 0:
		end(Failed{Job: e.Job, Trouble: KeyClosed, Why: "no permission yet"})
	case w.away:
		away(nil)
	default:
		w.held = k
		key := Key{Port: e.Port, Have: provision.Have{Serial: k.serial, Version: ykslot.Version{Major: 5, Minor: 4, Patch: 3}, Token: k.tok}}
		key.Class = provision.Empty
		if k.slot != 0 || k.foreign || k.locked {
			key.Have.InUse = [2]bool{true, true}
			key.Class = provision.Foreign
		}
		key.Lacks = w.r.IntN(2) == 0
		if k.cred != 0 {
			key.Class = provision.Ours
			key.Have.Live = []token.Credential{{ID: k.cred, Slot: 2, State: token.Active, Kind: token.YubicoOTP}}
		}
		if k.locked { // looks like ours, and is not
			key.Class, key.Have.Live = provision.Ours, []token.Credential{{ID: 5000, Slot: 2, State: token.Active, Kind: token.YubicoOTP}}
		}
		for _, o := range w.open {
			if o.Serial == k.serial {
				key.Open = &o.Open
			}
		}
		end(Inspected{Job: j.job, Key: key})
	}
}

func (w *world) bind(j *running, e Bind, end func(Event), away func(*entry)) {
	if j.halt {
		end(Failed{Job: e.Job, Trouble: Halted, Why: "stopped"})
		return
	}
	switch {
	case j.stage == 0:
		j.stage = 1
		w.give(Passed{e.Job, provision.StepTouch})
	case !w.plugged(j.key):
		end(Failed{Job: e.Job, Trouble: KeyGone, Why: "pulled"})
	case j.stage == 1:
		j.stage = 2
		w.give(Passed{e.Job, provision.StepProven})
	default:
		w.take(e.Job, j.key, e.Order, end, away)
	}
}

func (w *world) redeem(e Redeem, end func(Event), away func(*entry)) {
	k := w.keys[len(w.keys)-1]
	if k.tok.State != token.InStock || e.OTP != "fresh" {
		end(Failed{Job: e.Job, Trouble: WrongTouch, Why: "the code is not newer than what was seen"})
		return
	}
	w.take(e.Job, k, e.Order, end, away)
}

func (w *world) take(job Job, k *thing, o Order, end func(Event), away func(*entry)) {
	if w.away && w.r.IntN(2) == 0 {
		away(nil)
		return
	}
	p := person(o.Account)
	k.tok.State, k.tok.Holder = token.Active, &p
	w.issued(o, k, true)
	if w.away {
		away(nil)
		return
	}
	end(Ended{Job: job, Done: &Done{Account: o.Account, Serial: k.serial}})
}

func (w *world) plugged(k *thing) bool {
	for _, p := range w.ports {
		if p == k {
			return true
		}
	}
	return false
}
