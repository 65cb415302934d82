package audit

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
)

// Report is what Verify saw.
type Report struct {
	Chains   []Head // of the chains that were seen, by name; keep them elsewhere to notice a store that was put back
	Events   int
	Findings []Finding // empty: everything is as it was written
}

// OK reports whether nothing was found.
func (r Report) OK() bool { return len(r.Findings) == 0 }

// Finding is one thing that is not as it was written.
type Finding struct {
	Chain string
	Seq   int64 // 0: the chain as a whole
	What  string
}

// String is the finding in one line.
func (f Finding) String() string {
	if f.Seq == 0 {
		return fmt.Sprintf("chain %s: %s", f.Chain, f.What)
	}
	return fmt.Sprintf("chain %s, event %d: %s", f.Chain, f.Seq, f.What)
}

// Verify checks all chains of a store: all events, chain after chain with Desk first and by Seq in each, and all heads.
// Findings are values; the error is the source's. What follows a gap is checked on from there. Memory grows with the
// number of chains and of desk events, not of validations.
func Verify(public ed25519.PublicKey, events iter.Seq2[Event, error], heads []Head) (Report, error) {
	v := verifier{public: public, last: map[string]Event{}, marks: map[place]mark{}, desk: map[int64]Hash{}, announced: map[string]bool{Desk: true}}
	for e, err := range events {
		if err != nil {
			return Report{}, err
		}
		v.event(e)
	}
	v.heads(heads)
	v.announcements()
	order := func(a, b string, n, m int64) int { return cmp.Or(cmp.Compare(a, b), cmp.Compare(n, m)) }
	slices.SortStableFunc(v.report.Chains, func(a, b Head) int { return order(a.Chain, b.Chain, a.Seq, b.Seq) })
	slices.SortStableFunc(v.report.Findings, func(a, b Finding) int { return order(a.Chain, b.Chain, a.Seq, b.Seq) })
	return v.report, nil
}

type verifier struct {
	public    ed25519.PublicKey
	report    Report
	current   string           // the chain that is being read
	last      map[string]Event // by chain
	announced map[string]bool
	marks     map[place]mark // checkpoints whose event did not come yet
	desk      map[int64]Hash // of the desk events, by Seq
}

type place struct {
	chain string
	seq   int64
}

// mark is what the desk event at seq says.
type mark struct {
	hash Hash
	seq  int64
}

func (v *verifier) find(chain string, seq int64, format string, a ...any) {
	v.report.Findings = append(v.report.Findings, Finding{chain, seq, fmt.Sprintf(format, a...)})
}

func (v *verifier) event(e Event) {
	v.report.Events++
	before, known := v.last[e.Chain]
	switch {
	case known && e.Chain != v.current, !known && e.Chain == Desk && len(v.last) > 0:
		v.find(e.Chain, e.Seq, "is out of place: the chains are mixed or in another order")
	case e.Sum() != e.Hash:
		v.find(e.Chain, e.Seq, "was changed: its hash does not fit")
	case e.Seq != before.Seq+1:
		v.find(e.Chain, e.Seq, "follows event %d: events are missing or moved", before.Seq)
	case e.Prev != before.Hash:
		v.find(e.Chain, e.Seq, "does not fit the event before it")
	}
	v.current = e.Chain
	v.last[e.Chain] = e
	if e.Chain == Desk {
		v.desk[e.Seq] = e.Hash
		v.mark(e)
		return
	}
	v.anchor(e)
	here := place{e.Chain, e.Seq}
	if m, ok := v.marks[here]; ok {
		delete(v.marks, here)
		if m.hash != e.Hash {
			v.find(e.Chain, e.Seq, "differs from the checkpoint in event %d of the desk chain", m.seq)
		}
	}
}

// anchor compares what a validation says about the desk chain.
func (v *verifier) anchor(e Event) {
	var a Anchor
	if err := json.Unmarshal([]byte(e.Detail), &a); err != nil || a.Desk == nil {
		return
	}
	if hash, ok := v.desk[a.Desk.Seq]; !ok {
		v.find(Desk, a.Desk.Seq, "is missing: event %d of chain %s tells of it", e.Seq, e.Chain)
	} else if hash != a.Desk.Hash {
		v.find(Desk, a.Desk.Seq, "is not what event %d of chain %s tells of", e.Seq, e.Chain)
	}
}

// mark reads what a desk event says about another chain.
func (v *verifier) mark(e Event) {
	if e.Action != Opened && e.Action != Checkpoint {
		return
	}
	var m Mark
	if err := json.Unmarshal([]byte(e.Detail), &m); err != nil {
		v.find(e.Chain, e.Seq, "does not tell where chain %s stood", e.Object)
		return
	}
	v.announced[e.Object] = true
	if e.Action == Checkpoint {
		v.marks[place{e.Object, m.Seq}] = mark{m.Hash, e.Seq}
	}
}

// heads compares the end of each chain with its signed head.
func (v *verifier) heads(heads []Head) {
	signed := map[string]bool{}
	for _, h := range heads {
		last, seen := v.last[h.Chain]
		switch {
		case signed[h.Chain]:
			v.find(h.Chain, h.Seq, "is one of two heads")
		case !h.Signed(v.public):
			v.find(h.Chain, h.Seq, "the head's signature is wrong")
		case !seen:
			v.find(h.Chain, 0, "all %d events are missing", h.Seq)
		case last.Seq < h.Seq:
			v.find(h.Chain, last.Seq+1, "is missing: the head is at %d", h.Seq)
		case last.Seq > h.Seq:
			v.find(h.Chain, h.Seq+1, "was added behind the signed head")
		case last.Hash != h.Hash || !last.At.Equal(h.At):
			v.find(h.Chain, h.Seq, "is not what the head was signed for")
		}
		signed[h.Chain] = true
		v.report.Chains = append(v.report.Chains, h)
	}
	for chain := range v.last {
		if !signed[chain] {
			v.find(chain, 0, "has no signed head")
		}
	}
}

// announcements compares the chains that the desk chain speaks of with those that are there.
func (v *verifier) announcements() {
	for chain := range v.announced {
		if _, ok := v.last[chain]; !ok {
			v.find(chain, 0, "is missing")
		}
	}
	for chain := range v.last {
		if !v.announced[chain] {
			v.find(chain, 0, "was never announced in the desk chain")
		}
	}
	for here, m := range v.marks {
		v.find(here.chain, here.seq, "is missing: event %d of the desk chain is a checkpoint of it", m.seq)
	}
}
