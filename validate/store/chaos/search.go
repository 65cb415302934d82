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
// wherever it may be: it can only be in the way later. So the only choices are between operations that change the state, and of those
// that were accepted the one with the lowest order is next.
type search struct {
	ops   []Op // by Call
	late  []bool
	done  []bool
	low   int     // all below are done
	high  int     // none from there on was ever done
	left  int     // known ones that are not done
	order []int64 // of the accepted ones, rising
	next  int     // of order
	seen  map[string]bool
	most  int // the fewest that were ever left
	stuck []Op
}

// unexplained returns operations that no order explains, nil if there is an order for all.
func unexplained(all []Op) []Op {
	s := &search{seen: map[string]bool{}}
	for _, o := range all {
		if o.Answer == Denied || o.Answer == Foreign {
			continue
		}
		s.ops = append(s.ops, o)
		if o.Answer != Unknown {
			s.left++
		}
		if o.Answer == Accepted && o.Verb != Block {
			s.order = append(s.order, o.Order)
		}
	}
	slices.Sort(s.order)
	s.done, s.late, s.most = make([]bool, len(s.ops)), lateSpends(s.ops), s.left+1
	if s.from(state{stored: -1}) {
		return nil
	}
	return s.stuck
}

// lateSpends marks what was refused while a restore was under way: it may have been refused before it, and then come too late to be
// spent, because the token is not blocked any more.
func lateSpends(ops []Op) []bool {
	late := make([]bool, len(ops))
	for i, o := range ops {
		late[i] = o.Answer == Refused && slices.ContainsFunc(ops, func(r Op) bool {
			return r.Verb == Restore && r.Call < o.Return && r.Return > o.Call
		})
	}
	return late
}

// from reports whether what is left can follow.
func (s *search) from(st state) bool {
	low := s.low
	settled, ready := s.settle(st)
	if s.left == 0 {
		return true
	}
	key := s.position(st)
	if !s.seen[key] {
		s.seen[key] = true
		if s.left < s.most {
			s.most, s.stuck = s.left, s.describe(st, ready)
		}
		for _, i := range ready {
			if s.try(i, st) {
				return true
			}
		}
	}
	for _, i := range settled {
		s.undo(i)
	}
	s.low = low
	return false
}

// try puts operation i next.
func (s *search) try(i int, st state) bool {
	low, next := s.low, s.next
	for _, after := range s.effects(i, st) {
		s.mark(i)
		if o := s.ops[i]; o.Answer == Accepted && o.Verb != Block {
			s.next++
		}
		if s.from(after) {
			return true
		}
		s.undo(i)
		s.low, s.next = low, next
	}
	return false
}

func (s *search) mark(i int) {
	s.high = max(s.high, i+1)
	if s.done[i] = true; s.ops[i].Answer != Unknown {
		s.left--
	}
}

func (s *search) undo(i int) {
	if s.done[i] = false; s.ops[i].Answer != Unknown {
		s.left++
	}
}

// settle puts everything next that changes nothing, and returns that, and what may be next of the rest: known ones first.
func (s *search) settle(st state) (settled, ready []int) {
	for again := true; again; {
		again, ready = false, ready[:0]
		end := Never
		for i := s.low; i < len(s.ops) && s.ops[i].Call <= end; i++ {
			if !s.done[i] {
				end = min(end, s.ops[i].Return)
			}
		}
		for i := s.low; i < len(s.ops) && s.ops[i].Call <= end; i++ {
			switch {
			case s.done[i]:
			case idle(s.ops[i], st):
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
	slices.SortStableFunc(ready, func(a, b int) int {
		return cmp.Or(cmp.Compare(unknown(s.ops[a]), unknown(s.ops[b])), cmp.Compare(s.ops[a].Order, s.ops[b].Order))
	})
	return settled, ready
}

func unknown(o Op) int {
	if o.Answer == Unknown {
		return 1
	}
	return 0
}

// idle reports whether o has the right answer, and changes nothing; or can do nothing any more.
func idle(o Op, st state) bool {
	same := o.Order == st.stored && o.Nonce != "" && o.Nonce == st.nonce
	switch {
	case o.Verb == Block: // it may be one that follows a restore
		return false
	case o.Answer == Unknown: // and never can, as what is stored only rises
		return o.Order <= st.stored
	case o.Verb == Restore:
		return false
	case o.Answer == Replayed:
		return !st.off && o.Order <= st.stored && !same
	case o.Answer == Repeated:
		return !st.off && same
	case o.Answer == Refused:
		return st.off && o.Order <= st.stored
	}
	return false
}

// effects are the states that operation i may lead to; none if it cannot be next.
func (s *search) effects(i int, st state) []state {
	o := s.ops[i]
	if o.Answer == Accepted && o.Verb != Block && o.Order != s.order[s.next] {
		return nil
	}
	spent := state{stored: o.Order, off: true}
	switch {
	case o.Verb == Block:
		return []state{{st.stored, st.nonce, true}}
	case o.Order <= st.stored:
		return nil
	case o.Verb == Restore && st.off && (o.Answer == Accepted || o.Answer == Unknown):
		return []state{{stored: o.Order}}
	case o.Verb == Restore:
		return nil
	case o.Answer == Accepted && !st.off, o.Answer == Unknown && !st.off:
		return []state{{stored: o.Order, nonce: o.Nonce}}
	case o.Answer == Unknown:
		return []state{spent}
	case o.Answer == Refused && st.off && s.late[i]:
		return []state{spent, st}
	case o.Answer == Refused && st.off:
		return []state{spent}
	}
	return nil
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
	return string(b)
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
