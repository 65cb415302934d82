package seedtable

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strconv"
)

// shape is what the values of one column look like, each a number of rows.
type shape struct {
	filled, seeds, kinds, hashes, periods, digits, numbers, mails int
	withDigit, length                                             int // length: of all values together, in bytes
	distinct                                                      map[uint64]struct{}
}

// shapes looks at every column of the sample.
func shapes(rows [][][]byte, width int) []shape {
	out := make([]shape, width)
	seed := maphash.MakeSeed()
	for i := range out {
		out[i].distinct = map[uint64]struct{}{}
	}
	for _, row := range rows {
		for i, f := range row {
			if len(f) > 0 {
				out[i].add(f, fingerprint(seed, f))
			}
		}
	}
	return out
}

func (s *shape) add(f []byte, print uint64) {
	count := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	s.filled++
	s.length += len(f)
	s.distinct[print] = struct{}{}
	_, kind := kindOf(f)
	_, hash := hashOf(f)
	count(&s.seeds, looksLikeSeed(f))
	count(&s.kinds, kind)
	count(&s.hashes, hash)
	count(&s.mails, bytes.IndexByte(f, '@') > 0)
	count(&s.withDigit, bytes.ContainsAny(f, "0123456789"))
	n, err := strconv.ParseUint(string(f), 10, 40)
	count(&s.numbers, err == nil)
	count(&s.digits, err == nil && n >= 6 && n <= 8 && len(f) == 1)
	count(&s.periods, err == nil && (n == 30 || n == 60))
}

// guess gives roles to columns by their shape: the seed's and the serial's where the header names none, the others only where
// there is no header at all.
func (l *layout) guess(shapes []shape) {
	taken := map[int]bool{}
	for _, i := range l.columns {
		taken[i-1] = true
	}
	take := func(role Role, i int) {
		if i >= 0 && l.columns[role] == 0 {
			l.columns[role] = i + 1
			taken[i] = true
		}
	}
	first := func(all func(shape) int) int {
		for i, s := range shapes {
			if !taken[i] && s.filled > 0 && all(s) == s.filled {
				return i
			}
		}
		return -1
	}
	if l.columns[Seed] == 0 {
		take(Seed, best(shapes, taken, func(s shape) []int { return []int{s.seeds, len(s.distinct)} }))
	}
	if l.header == nil {
		take(Kind, first(func(s shape) int { return s.kinds }))
		take(Hash, first(func(s shape) int { return s.hashes }))
		take(Owner, first(func(s shape) int { return s.mails }))
	}
	if l.columns[Serial] == 0 {
		take(Serial, best(shapes, taken, func(s shape) []int { return []int{s.withDigit, len(s.distinct), s.length} }))
	}
	if l.header == nil {
		take(Period, first(func(s shape) int { return s.periods }))
		take(Digits, first(func(s shape) int { return s.digits }))
		take(Factor, first(func(s shape) int { return s.numbers }))
	}
}

// best is the free column with the greatest rank, compared number by number; the first number must not be 0. -1: none.
func best(shapes []shape, taken map[int]bool, rank func(shape) []int) int {
	found := -1
	var most []int
	for i, s := range shapes {
		r := rank(s)
		if taken[i] || r[0] == 0 {
			continue
		}
		if found < 0 || slices.Compare(r, most) > 0 {
			found, most = i, r
		}
	}
	return found
}
