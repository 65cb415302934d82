package chaos

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// state is the machine of one key.
type state struct {
	stored int64
	nonce  string
	off    bool
}

// search looks for an order of the operations of one key. What can change nothing, now or later, and has the right answer is put first
// wherever it may be: it can only be in the way later. Of those that were accepted the one with the lowest order is next. What has no answer
// is put only before an operation that needs it, as it may come late: see needed. So there are few choices.
type search struct {
	ops   []Op // with an answer, by Call
	late  []bool
	done  []bool
	low   int  // all below are done
	high  int  // none from there on was ever done
	left  int  // those that are not done
	lost  []Op // without an answer, by Call
	used  []bool
	order []int64 // of the accepted ones, rising
	next  int     // of order
	seen  map[string]bool
	most  int // the fewest that were ever left
	stuck []Op
	limit int  // of seen
	hard  bool // the limit was met: nothing is known
}

// triesEach is how many positions are tried for each operation before the search gives up; usual are 1 to 3.
const triesEach = 100

// unexplained returns operations that no order explains, nil if there is an order for all. Hard: none was found in time.
func unexplained(all []Op) (stuck []Op, hard bool) {
	s := newSearch(all)
	if s.from(state{stored: -1}) {
		return nil, false
	}
	return s.stuck, s.hard
}

func newSearch(all []Op) *search {
	s := &search{seen: map[string]bool{}}
	for _, o := range all {
		switch {
		case o.Answer == Denied || o.Answer == Foreign:
			continue
		case o.Answer == Unknown:
			s.lost = append(s.lost, o)
			continue
		case o.Answer == Accepted && o.Verb != Block:
			s.order = append(s.order, o.Order)
		}
		s.ops = append(s.ops, o)
	}
	slices.Sort(s.order)
	s.left, s.most, s.limit = len(s.ops), len(s.ops)+1, triesEach*(len(all)+10)
	s.done, s.used, s.late = make([]bool, len(s.ops)), make([]bool, len(s.lost)), lateSpends(s.ops, all)
	return s
}

// lateSpends marks what was refused while a restore was under way: it may have been refused before it, and then come too late to be
// spent, because the token is not blocked any more.
func lateSpends(ops, all []Op) []bool {
	late := make([]bool, len(ops))
	for i, o := range ops {
		late[i] = o.Answer == Refused && slices.ContainsFunc(all, func(r Op) bool {
			return r.Verb == Restore && r.Call < o.Return && r.Return > o.Call
		})
	}
	return late
}

// from reports whether what is left can follow.
func (s *search) from(st state) bool {
	if s.next < len(s.order) && s.order[s.next] <= st.stored {
		return false
	}
	low := s.low
	settled, ready, end := s.settle(st)
	if s.left == 0 {
		return true
	}
	if s.hard = s.hard || len(s.seen) >= s.limit; s.hard {
		return false
	}
	if key := s.position(st); !s.seen[key] {
		s.seen[key] = true
		if s.left < s.most {
			s.most, s.stuck = s.left, s.describe(st, ready)
		}
		for _, i := range ready {
			if !s.laterSpend(i, ready) && s.try(i, st) {
				return true
			}
		}
		if s.tryLost(st, ready, end) {
			return true
		}
	}
	for _, i := range settled {
		s.undo(i)
	}
	s.low = low
	return false
}

// laterSpend reports whether operation i spends an OTP, and one that is lower may be spent before it: that can only be better, as whatever the
// higher one would make of it happens then too.
func (s *search) laterSpend(i int, ready []int) bool {
	spends := func(i int) bool { return s.ops[i].Answer == Refused && !s.late[i] }
	return spends(i) && slices.ContainsFunc(ready, func(j int) bool { return spends(j) && s.ops[j].Order < s.ops[i].Order })
}

// try puts operation i next.
func (s *search) try(i int, st state) bool {
	o, low, next := s.ops[i], s.low, s.next
	accepted := o.Answer == Accepted && o.Verb != Block
	if accepted && o.Order != s.order[s.next] {
		return false
	}
	after, ok := effect(o, st)
	if !ok {
		return false
	}
	if s.mark(i); accepted {
		s.next++
	}
	if s.from(after) {
		return true
	}
	s.undo(i)
	s.low, s.next = low, next
	return false
}

// tryLost puts an operation without an answer next, of those that were called before end.
func (s *search) tryLost(st state, ready []int, end time.Duration) bool {
	blocked := false // one block is like another
	for i, o := range s.lost {
		if o.Call > end {
			break
		}
		if s.used[i] || blocked && o.Verb == Block || !s.needed(o, st, ready, end) {
			continue
		}
		blocked = blocked || o.Verb == Block
		after, ok := effect(o, st)
		if !ok {
			continue
		}
		s.used[i] = true
		if s.from(after) {
			return true
		}
		s.used[i] = false
	}
	return false
}

// needed reports whether one of the operations that may be next has an answer that o may help it to.
func (s *search) needed(o Op, st state, ready []int, end time.Duration) bool {
	any := func(is func(Op) bool) bool {
		return slices.ContainsFunc(ready, func(i int) bool { return is(s.ops[i]) })
	}
	newer := func(r Op) bool {
		return r.Answer == Replayed && (r.Order > st.stored || r.Order == st.stored && r.Nonce == st.nonce)
	}
	switch {
	case o.Verb == Block && st.off, o.Verb != Block && o.Order <= st.stored:
		return false
	case o.Verb == Block: // for itself, or for a restore without an answer that is needed
		return any(func(r Op) bool { return r.Answer == Refused || r.Verb == Restore }) ||
			any(newer) && slices.ContainsFunc(s.lost, func(l Op) bool { return l.Verb == Restore && l.Call <= end && l.Order > st.stored })
	case o.Verb == Restore:
		return st.off && any(func(r Op) bool { return r.Verb == Ask && r.Answer != Refused })
	}
	return !st.off && any(func(r Op) bool {
		return newer(r) && r.Order <= o.Order || r.Answer == Repeated && r.Order == o.Order && r.Nonce == o.Nonce
	})
}

func (s *search) mark(i int) {
	s.high = max(s.high, i+1)
	s.done[i] = true
	s.left--
}

func (s *search) undo(i int) {
	s.done[i] = false
	s.left++
}

// settle puts everything next that changes nothing, and returns that, and what may be next of the rest: what was called before end.
func (s *search) settle(st state) (settled, ready []int, end time.Duration) {
	for again := true; again; {
		again, ready, end = false, ready[:0], Never
		for i := s.low; i < len(s.ops) && s.ops[i].Call <= end; i++ {
			if !s.done[i] {
				end = min(end, s.ops[i].Return)
			}
		}
		for i := s.low; i < len(s.ops) && s.ops[i].Call <= end; i++ {
			switch {
			case s.done[i]:
			case idle(s.ops[i], st, s.late[i]):
				s.mark(i)
				settled, again = append(settled, i), true
			default:
				ready = append(ready, i)
			}
		}
		for s.low < len(s.ops) && s.done[s.low] {
			s.low++
		}
	}
	slices.SortStableFunc(ready, func(a, b int) int { return cmp.Compare(s.ops[a].Return, s.ops[b].Return) })
	return settled, ready, end
}

// idle reports whether o has the right answer, and changes nothing, whenever it is put. What was refused and may have come late is taken
// for not spent: the next restore is above it in any case.
func idle(o Op, st state, late bool) bool {
	same := o.Order == st.stored && o.Nonce != "" && o.Nonce == st.nonce
	switch {
	case o.Verb != Ask: // a block may be one that follows a restore
		return false
	case o.Answer == Replayed:
		return !st.off && o.Order <= st.stored && !same
	case o.Answer == Repeated:
		return !st.off && same
	}
	return o.Answer == Refused && st.off && (late || o.Order <= st.stored)
}

// effect is the state that o leads to; not ok if it cannot be next.
func effect(o Op, st state) (after state, ok bool) {
	happened := o.Answer == Accepted || o.Answer == Unknown
	switch {
	case o.Verb == Block:
		return state{st.stored, st.nonce, true}, true
	case o.Order <= st.stored:
		return st, false
	case o.Verb == Restore && st.off && happened:
		return state{stored: o.Order}, true
	case o.Verb == Ask && !st.off && happened:
		return state{stored: o.Order, nonce: o.Nonce}, true
	case o.Answer == Refused && st.off:
		return state{stored: o.Order, off: true}, true
	}
	return st, false
}

// position names what is done and the state, so that nothing is tried twice.
func (s *search) position(st state) string {
	top := s.high
	for top > s.low && !s.done[top-1] {
		top--
	}
	b := binary.AppendVarint(nil, int64(s.low))
	b = binary.AppendVarint(b, int64(top))
	b = binary.AppendVarint(b, st.stored)
	b = fmt.Appendf(b, "%t %s;", st.off, st.nonce)
	for i := s.low; i < top; i++ {
		if !s.done[i] {
			b = binary.AppendVarint(b, int64(i))
		}
	}
	blocks := 0 // without an answer that were used: one is like another; what else was used is not above what is stored
	for i, o := range s.lost {
		if s.used[i] && o.Verb == Block {
			blocks++
		}
	}
	return string(binary.AppendVarint(b, int64(blocks)))
}

// describe shows where the search cannot go on: the state, as an operation, and what waits.
func (s *search) describe(st state, ready []int) []Op {
	const most = 12
	show := []Op{{Verb: "stored", Order: st.stored, Nonce: st.nonce, Answer: map[bool]Answer{true: "off", false: "on"}[st.off], Return: time.Duration(0)}}
	for _, i := range ready[:min(len(ready), most)] {
		show = append(show, s.ops[i])
	}
	return show
}
