package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Rule names what was broken.
type Rule string

// The rules.
const (
	RuleForeign  Rule = "answer to somebody else's request"
	RuleTwice    Rule = "accepted twice"
	RuleOlder    Rule = "accepted after a newer one"
	RuleBlocked  Rule = "accepted while blocked"
	RuleReplayed Rule = "called a replay, and nobody had presented it or a newer one"
	RuleRepeated Rule = "called the same request, which nobody had sent"
	RuleRefused  Rule = "refused, and nobody had blocked it"
	RuleOrder    Rule = "no order of the operations explains the answers"
	RuleHard     Rule = "too many orders of the operations to try"
	RuleLost     Rule = "accepted, and not stored"
	RuleUnheard  Rule = "accepted, without an event in the audit chain"
	RuleInvented Rule = "in the audit chain, and nobody asked"
)

// Finding is one thing that must not be.
type Finding struct {
	Rule Rule
	Key  int
	Ops  []Op // that show it
}

func (f Finding) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "key %d: %s", f.Key, f.Rule)
	for _, o := range f.Ops {
		fmt.Fprintf(&text, "\n\t%v", o)
	}
	return text.String()
}

// Check judges a history.
func Check(h *History) []Finding {
	var found []Finding
	for key, ops := range h.Ops() {
		found = append(found, checkKey(key, ops)...)
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Key, b.Key) })
	return found
}

// checkKey judges what happened to one key, in the order of the calls.
func checkKey(key int, ops []Op) []Finding {
	var found []Finding
	say := func(r Rule, ops ...Op) { found = append(found, Finding{r, key, ops}) }
	accepted := acceptedOf(ops)
	for _, o := range ops {
		if o.Answer == Foreign {
			say(RuleForeign, o)
		}
	}
	for i := 1; i < len(accepted); i++ {
		if accepted[i-1].Order == accepted[i].Order {
			say(RuleTwice, accepted[i-1], accepted[i])
		}
	}
	checkOlder(accepted, say)
	checkStaff(ops, say)
	checkRefusals(ops, say)
	if len(found) == 0 {
		switch stuck, hard := unexplained(ops); {
		case hard:
			say(RuleHard, stuck...)
		case stuck != nil:
			say(RuleOrder, stuck...)
		}
	}
	return found
}

// acceptedOf are the operations that spent their OTP for sure, by order.
func acceptedOf(ops []Op) []Op {
	var list []Op
	for _, o := range ops {
		if o.Answer == Accepted && o.Verb != Block {
			list = append(list, o)
		}
	}
	slices.SortStableFunc(list, func(a, b Op) int { return cmp.Compare(a.Order, b.Order) })
	return list
}

// checkOlder looks for an OTP that was asked about after a newer one had been accepted, and accepted all the same.
func checkOlder(accepted []Op, say func(Rule, ...Op)) {
	asked, answered := slices.Clone(accepted), slices.Clone(accepted)
	slices.SortStableFunc(asked, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	slices.SortStableFunc(answered, func(a, b Op) int { return cmp.Compare(a.Return, b.Return) })
	newest := Op{Order: -1}
	for _, o := range asked {
		for len(answered) > 0 && answered[0].Return < o.Call {
			if answered[0].Order > newest.Order {
				newest = answered[0]
			}
			answered = answered[1:]
		}
		if newest.Order > o.Order {
			say(RuleOlder, newest, o)
		}
	}
}

// checkStaff looks for what was accepted although a block had been acknowledged and nothing could have ended it, and for what was
// refused although nothing could have blocked it.
func checkStaff(ops []Op, say func(Rule, ...Op)) {
	var blocks, restores []Op
	for _, o := range ops {
		switch {
		case o.Answer != Accepted && o.Answer != Unknown:
		case o.Verb == Block:
			blocks = append(blocks, o)
		case o.Verb == Restore:
			restores = append(restores, o)
		}
	}
	for _, o := range ops {
		if o.Verb != Ask || o.Answer != Accepted && o.Answer != Refused {
			continue
		}
		may := false // be blocked
		for _, b := range blocks {
			if o.Answer == Accepted && b.Answer == Accepted && b.Return < o.Call && !slices.ContainsFunc(restores, func(r Op) bool { return r.Call < o.Return && r.Return > b.Call }) {
				say(RuleBlocked, b, o)
			}
			over := slices.ContainsFunc(restores, func(r Op) bool { return r.Answer == Accepted && r.Call > b.Return && r.Return < o.Call })
			may = may || b.Call < o.Return && !over
		}
		if o.Answer == Refused && !may {
			say(RuleRefused, o)
		}
	}
}

// checkRefusals looks for replays of what was not there yet.
func checkRefusals(ops []Op, say func(Rule, ...Op)) {
	var calls []time.Duration // of what may have raised what is stored, in order
	var highest []int64       // up to there
	type request struct {
		order int64
		nonce string
	}
	first := map[request]time.Duration{} // call of the first that may have been accepted
	for _, o := range ops {
		if !o.raises() {
			continue
		}
		high := o.Order
		if n := len(highest); n > 0 {
			high = max(high, highest[n-1])
		}
		calls, highest = append(calls, o.Call), append(highest, high)
		r := request{o.Order, o.Nonce}
		if _, seen := first[r]; !seen && o.Verb == Ask && o.Answer != Refused {
			first[r] = o.Call
		}
	}
	for _, o := range ops {
		switch o.Answer {
		case Replayed:
			if n := sort.Search(len(calls), func(i int) bool { return calls[i] >= o.Return }); n == 0 || highest[n-1] < o.Order {
				say(RuleReplayed, o)
			}
		case Repeated:
			if call, sent := first[request{o.Order, o.Nonce}]; !sent || o.Nonce == "" || call >= o.Return {
				say(RuleRepeated, o)
			}
		}
	}
}

// End is what a store holds of a key when all is quiet.
type End struct {
	Stored int64
	Events []int64 // orders of the OTPs that the audit chain says were accepted for a relying server
}

// CheckEnd holds what is stored against the history: all that was acknowledged is there, with one event each; what is there besides was
// asked, and not answered.
func CheckEnd(h *History, ends map[int]End) []Finding {
	var found []Finding
	for key, ops := range h.Ops() {
		end := ends[key]
		asked, events := map[int64]bool{}, map[int64]int{}
		for _, n := range end.Events {
			if events[n]++; events[n] > 1 {
				found = append(found, Finding{RuleTwice, key, []Op{{Verb: "event", Order: n}}})
			}
		}
		for _, o := range ops {
			if o.Verb == Ask && (o.Answer == Accepted || o.Answer == Unknown) {
				asked[o.Order] = true
			}
			if o.Answer == Accepted && o.Verb != Block && o.Order > end.Stored {
				found = append(found, Finding{RuleLost, key, []Op{o}})
			}
			if o.Answer == Accepted && o.Verb == Ask && events[o.Order] == 0 {
				found = append(found, Finding{RuleUnheard, key, []Op{o}})
			}
		}
		for _, n := range end.Events {
			if !asked[n] {
				found = append(found, Finding{RuleInvented, key, []Op{{Verb: "event", Order: n}}})
			}
		}
	}
	return found
}
