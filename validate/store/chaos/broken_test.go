package chaos_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/chaos"
	"github.com/tokendesk/tokendesk/validate/store/memory"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

const (
	keys    = 4
	clients = 8
	asked   = 150 // by each client
	rounds  = 40  // at most, until a flaw is found
)

func load(seed uint64, do func(op chaos.Op) chaos.Answer) (*chaos.Load, *chaos.History) {
	l := &chaos.Load{Keys: keys, Clients: clients, Servers: 3, Seed: seed, Wild: 60, Ask: func(_ context.Context, op chaos.Op) (chaos.Answer, bool) {
		return do(op), true
	}}
	l.Begin(-1)
	return l, chaos.NewHistory()
}

// TestRightStore: the verifier on the store that the others are compared with, whose answers get lost at times, on both ways. Meanwhile
// tokens are blocked and come back.
func TestRightStore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		s := newSound(t)
		l, h := load(seed, s.ask)
		staff := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			defer close(staff)
			s.staff(ctx, t, l, h)
		}()
		l.Run(t.Context(), h, asked)
		stop()
		<-staff
		for _, f := range append(chaos.Check(h), chaos.CheckEnd(h, s.ends(t))...) {
			t.Errorf("seed %d: %v", seed, f)
		}
		n := h.Count()
		for answer, least := range map[chaos.Answer]int{chaos.Accepted: 100, chaos.Replayed: 100, chaos.Repeated: 5, chaos.Unknown: 20} {
			if n[chaos.Ask][answer] < least {
				t.Errorf("seed %d: %v", seed, n)
			}
		}
	}
}

// sound is a verifier over a memory store.
type sound struct {
	store    memory.Store
	verifier *validate.Verifier
	cipher   yubiotp.Cipher
	mu       sync.Mutex
	random   *rand.Rand
	events   [keys][]int64
}

func publicID(t *testing.T, key int) token.PublicID {
	id, err := token.NewPublicID([]byte{1, 2, 3, 4, 5, byte(key)})
	if err != nil {
		t.Error(err)
	}
	return id
}

func newSound(t *testing.T) *sound {
	t.Helper()
	s := &sound{random: rand.New(rand.NewPCG(5, 6))}
	key, private := secret.Copy(make([]byte, yubiotp.KeyLen)), secret.Copy(make([]byte, yubiotp.PrivateIDLen))
	var err error
	if s.cipher, err = yubiotp.NewCipher(key, private); err != nil {
		t.Fatal(err)
	}
	for n := range keys {
		if _, err := s.store.Add(publicID(t, n), key, private, token.Active); err != nil {
			t.Fatal(err)
		}
	}
	s.verifier = validate.New(&s.store, time.Now)
	return s
}

func (s *sound) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(n) == 0
}

func (s *sound) ask(op chaos.Op) chaos.Answer {
	if s.chance(30) { // lost on its way
		return chaos.Unknown
	}
	otp := yubiotp.Join([]byte{1, 2, 3, 4, 5, byte(op.Key)}, s.cipher.Seal(yubiotp.Token{UseCounter: uint16(op.Order >> 8), SessionCounter: uint8(op.Order)}))
	r, err := s.verifier.Verify(context.Background(), validate.Request{OTP: otp, Nonce: op.Nonce})
	if err == nil && r.Outcome == validate.Accepted {
		s.mu.Lock()
		s.events[op.Key] = append(s.events[op.Key], op.Order)
		s.mu.Unlock()
	}
	if err != nil || s.chance(30) {
		return chaos.Unknown
	}
	return map[validate.Outcome]chaos.Answer{
		validate.Accepted: chaos.Accepted, validate.Replayed: chaos.Replayed, validate.ReplayedRequest: chaos.Repeated, validate.BadOTP: chaos.Refused,
	}[r.Outcome]
}

// staff blocks keys and brings them back. A restore is the proof by Spend and then the change of state: a second step, between which
// nothing newer is accepted because the token is blocked.
func (s *sound) staff(ctx context.Context, t *testing.T, l *chaos.Load, h *chaos.History) {
	r := rand.New(rand.NewPCG(3, 4))
	for ctx.Err() == nil {
		key := r.IntN(keys)
		id := token.CredentialID(key + 1)
		h.Run(chaos.Op{Verb: chaos.Block, Key: key}, func() (chaos.Answer, bool) {
			return done(s.store.Change(id, token.Lose))
		})
		for range r.IntN(2000) {
			runtime.Gosched()
		}
		order := l.Press(key, r)
		h.Run(chaos.Op{Verb: chaos.Restore, Key: key, Order: order}, func() (chaos.Answer, bool) {
			if err := s.store.Spend(ctx, validate.Advance{Credential: id, Use: int(order >> 8), Session: int(order & 255)}); err != nil {
				return chaos.Denied, true
			}
			c, err := s.store.Find(ctx, publicID(t, key))
			if err != nil || int64(c.Row.Counters.Use)<<8|int64(c.Row.Counters.Session) != order { // a newer one was seen
				return chaos.Denied, true
			}
			return done(s.store.Change(id, token.Restore))
		})
	}
}

func done(err error) (chaos.Answer, bool) {
	if err != nil {
		return chaos.Denied, true
	}
	return chaos.Accepted, true
}

func (s *sound) ends(t *testing.T) map[int]chaos.End {
	ends := map[int]chaos.End{}
	for n := range keys {
		c, err := s.store.Find(t.Context(), publicID(t, n))
		if err != nil {
			t.Fatal(err)
		}
		ends[n] = chaos.End{Stored: int64(c.Row.Counters.Use)<<8 | int64(c.Row.Counters.Session), Events: s.events[n]}
	}
	return ends
}

// TestBrokenStores: a store with a flaw is found out, and by the rule that names it.
func TestBrokenStores(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		flaw flaw
		want []chaos.Rule // any of them
	}{
		{flaw{name: "none"}, nil},
		{flaw{name: "none, but it is killed", killed: true}, nil},
		{flaw{name: "reads, then writes", race: true}, []chaos.Rule{chaos.RuleTwice}},
		{flaw{name: "forgets all when it starts again", killed: true, forgets: true}, []chaos.Rule{chaos.RuleTwice, chaos.RuleOlder}},
		{flaw{name: "compares the use counter: not above", compare: func(n, stored int64) bool { return n>>8 > stored>>8 }}, []chaos.Rule{chaos.RuleReplayed}},
		{flaw{name: "compares the use counter: not below", compare: func(n, stored int64) bool { return n>>8 >= stored>>8 }}, []chaos.Rule{chaos.RuleTwice, chaos.RuleOlder}},
		{flaw{name: "answers before it is durable", killed: true, lazy: true}, []chaos.Rule{chaos.RuleTwice, chaos.RuleOlder}},
		{flaw{name: "accepts what is not the same", compare: func(n, stored int64) bool { return n != stored }}, []chaos.Rule{chaos.RuleOlder}},
		{flaw{name: "answers another caller", swaps: true}, []chaos.Rule{chaos.RuleTwice, chaos.RuleReplayed, chaos.RuleOlder}},
		{flaw{name: "keeps no nonce", nonceless: true}, []chaos.Rule{chaos.RuleOrder}},
		{flaw{name: "keeps every nonce", nonces: true}, []chaos.Rule{chaos.RuleOrder}},
		{flaw{name: "skips the block", open: true}, []chaos.Rule{chaos.RuleBlocked}},
	} {
		t.Run(tc.flaw.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(rounds) {
				found := tc.flaw.run(t, seed)
				if tc.want == nil {
					for _, f := range found {
						t.Error(f)
					}
					if seed == 9 {
						return
					}
					continue
				}
				if slices.ContainsFunc(found, func(f chaos.Finding) bool { return slices.Contains(tc.want, f.Rule) }) {
					return
				}
			}
			t.Errorf("nobody noticed in %d rounds", rounds)
		})
	}
}

// flaw is what is wrong with a store.
type flaw struct {
	name                                     string
	race, killed, forgets, lazy, swaps, open bool
	nonceless, nonces                        bool
	compare                                  func(n, stored int64) bool
}

type row struct {
	stored int64
	nonce  string
	sent   map[string]bool // every nonce
}

// flawed is a store that decides by itself.
type flawed struct {
	flaw
	mu      sync.Mutex
	rows    [keys]row // in memory
	durable [keys]row
	decided int
	pair    sync.Mutex
	waiting *caller
}

type caller struct {
	op     chaos.Op
	answer chan chaos.Answer
}

// run is one round, in which the store is killed a few times and keys are blocked.
func (f flaw) run(t *testing.T, seed uint64) []chaos.Finding {
	s := &flawed{flaw: f}
	for n := range s.rows {
		s.rows[n] = row{stored: -1}
	}
	s.durable = s.rows
	l, h := load(seed, s.ask)
	l.Run(t.Context(), h, asked)
	if f.open {
		for n := range keys {
			h.Run(chaos.Op{Verb: chaos.Block, Key: n}, func() (chaos.Answer, bool) { return done(nil) })
		}
		l.Run(t.Context(), h, asked)
	}
	return chaos.Check(h)
}

func (s *flawed) ask(op chaos.Op) chaos.Answer {
	if s.swaps {
		return s.swap(op)
	}
	return s.decide(op)
}

// swap waits a little for another caller, and then each has the answer of the other.
func (s *flawed) swap(op chaos.Op) chaos.Answer {
	mine := &caller{op, make(chan chaos.Answer, 1)}
	s.pair.Lock()
	if other := s.waiting; other != nil {
		s.waiting = nil
		s.pair.Unlock()
		other.answer <- s.decide(op)
		return s.decide(other.op)
	}
	s.waiting = mine
	s.pair.Unlock()
	select {
	case answer := <-mine.answer:
		return answer
	case <-time.After(time.Millisecond):
	}
	s.pair.Lock()
	alone := s.waiting == mine
	if alone {
		s.waiting = nil
	}
	s.pair.Unlock()
	if alone {
		return s.decide(op)
	}
	return <-mine.answer
}

func (s *flawed) decide(op chaos.Op) chaos.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decided++; s.killed && s.decided%200 == 0 { // and starts again
		s.rows = s.durable
		for n := range s.rows {
			if s.forgets {
				s.rows[n] = row{stored: -1}
			}
		}
		return chaos.Unknown
	}
	r := s.rows[op.Key]
	newer := op.Order > r.stored
	if s.compare != nil {
		newer = s.compare(op.Order, r.stored)
	}
	if s.race {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
		r = s.rows[op.Key]
	}
	switch {
	case newer:
		r.stored, r.nonce = op.Order, op.Nonce
		if s.nonces {
			if r.sent == nil {
				r.sent = map[string]bool{}
			}
			r.sent[op.Nonce] = true
		}
		if s.rows[op.Key] = r; !s.lazy || s.decided%16 == 0 {
			s.durable = s.rows
		}
		return chaos.Accepted
	case s.nonceless:
	case s.nonces && r.sent[op.Nonce], op.Order == r.stored && op.Nonce == r.nonce:
		return chaos.Repeated
	}
	return chaos.Replayed
}
