// Package chaos judges a validation server that is killed while many ask it: Load asks and writes down what was answered and when, Check says
// whether a store that decides about one OTP at a time could have answered so.
//
// An operation takes effect at one instant between its call and its return, or not at all; one without an answer at any time after its
// call, or never. A history is right if such instants exist for which every answer is the one of this machine, of which each key has one:
//
//	stored, nonce   order and nonce of what was accepted last
//	off             the token is blocked
//	Ask n           off: Refused, and stored rises to n, nonce is empty; n > stored: Accepted, both are stored;
//	                n and nonce are the stored ones: Repeated; otherwise Replayed
//	Block           off
//	Restore n       if off and n > stored: stored is n, nonce is empty, on
//
// Source: reference validation-protocol.md §6. Beside that search, which finds everything and explains little, rules look for what can be
// said in one sentence: an OTP accepted twice, one accepted after a newer one, a replay of what nobody had presented.
//
// The package knows no store and no protocol. Who asks says what an OTP's order is.
package chaos

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// Verb is what an operation does.
type Verb string

// The verbs.
const (
	Ask     Verb = "ask"     // a relying server submits an OTP or a code
	Block   Verb = "block"   // staff block the key's token
	Restore Verb = "restore" // staff bring it back, by a fresh OTP
)

// Answer is what became of an operation.
type Answer string

// The answers. Replayed, Repeated and Refused are answers to Ask alone.
const (
	Accepted Answer = "accepted" // or done
	Replayed Answer = "replayed" // not above what is stored
	Repeated Answer = "repeated" // the very request that was accepted last
	Refused  Answer = "refused"  // the token is blocked
	Denied   Answer = "denied"   // not accepted, which says nothing: a code, or a restore that was refused
	Unknown  Answer = "unknown"  // no answer, or that something failed: whether it took effect is not known
	Foreign  Answer = "foreign"  // the answer to somebody else's request
)

// Never is the Return of an operation without an answer.
const Never = time.Duration(math.MaxInt64)

// Op is one operation on a key.
type Op struct {
	Verb   Verb
	Key    int
	Order  int64 // of the OTP among those of its key, from 0 on: UseCounter·256 + SessionCounter, or the moving factor
	Nonce  string
	Server int // which was asked; for people who read it
	Answer Answer
	Call   time.Duration // by the clock of the History
	Return time.Duration // Never for Unknown
}

func (o Op) String() string {
	end := "never"
	if o.Return != Never {
		end = fmt.Sprint(o.Return.Microseconds())
	}
	return fmt.Sprintf("%s %d (nonce %.8s, server %d, %d-%s µs): %s", o.Verb, o.Order, o.Nonce, o.Server, o.Call.Microseconds(), end, o.Answer)
}

// raises reports whether o may have raised what is stored to its order.
func (o Op) raises() bool {
	switch o.Answer {
	case Accepted, Unknown:
		return o.Verb != Block
	}
	return o.Answer == Refused
}

// History collects operations under one clock. Make it with NewHistory; it is safe for concurrent use.
type History struct {
	start time.Time
	mu    sync.Mutex
	ops   []Op
}

// NewHistory returns an empty one, whose clock begins.
func NewHistory() *History { return &History{start: time.Now()} }

// Run calls do and writes down op with its answer and the times before and after, unless do says that nobody was asked.
func (h *History) Run(op Op, do func() (answer Answer, sent bool)) Answer {
	op.Call = time.Since(h.start)
	var sent bool
	if op.Answer, sent = do(); !sent {
		return op.Answer
	}
	if op.Return = time.Since(h.start); op.Answer == Unknown {
		op.Return = Never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return op.Answer
}

// Ops are all so far, of each key in the order of their calls.
func (h *History) Ops() map[int][]Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	byKey := map[int][]Op{}
	for _, o := range h.ops {
		byKey[o.Key] = append(byKey[o.Key], o)
	}
	for _, list := range byKey {
		slices.SortStableFunc(list, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	}
	return byKey
}

// Count is how many operations there are, by verb and answer.
func (h *History) Count() map[Verb]map[Answer]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[Verb]map[Answer]int{Ask: {}, Block: {}, Restore: {}}
	for _, o := range h.ops {
		n[o.Verb][o.Answer]++
	}
	return n
}
