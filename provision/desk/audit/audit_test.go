package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
)

func signer() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) }

func public() ed25519.PublicKey { return signer().Public().(ed25519.PublicKey) }

// log is a store in memory: desk with 6 events, among them the announcements of two validators with 4 and 3 events and a
// checkpoint of the first at 2.
type log struct {
	events []Event
	heads  []Head
}

func makeLog(t *testing.T) log {
	t.Helper()
	heads := map[string]Head{}
	chains := map[string][]Event{}
	add := func(chain, action, object string, detail any) {
		text, err := json.Marshal(detail)
		if err != nil {
			t.Fatal(err)
		}
		h := heads[chain]
		h.Chain = chain
		e := Link(h, Event{At: time.Unix(int64(1000+len(chains[chain])), 1234567), Actor: "anna", Action: action, Object: object, Detail: string(text)})
		chains[chain] = append(chains[chain], e)
		heads[chain] = HeadOf(e)
	}
	anchor := func() Anchor { return Anchor{&Mark{heads[Desk].Seq, heads[Desk].Hash}} }
	one, two := ValidatePrefix+"1", ValidatePrefix+"2"
	add(Desk, "store.create", "store", struct{}{})
	add(Desk, Opened, one, Mark{})
	for i := range 4 {
		add(one, "validate", "vvcc", anchor())
		if i == 1 {
			add(Desk, Checkpoint, one, Mark{heads[one].Seq, heads[one].Hash})
		}
	}
	add(Desk, Opened, two, Mark{})
	for range 3 {
		add(two, "validate", "vvcc", anchor())
	}
	add(Desk, "token.block", "token 1", map[string]string{"reason": "lost"})
	add(Desk, "token.restore", "token 1", struct{}{})
	var l log
	for _, c := range []string{Desk, one, two} {
		h := heads[c]
		h.Signature = ed25519.Sign(signer(), h.Message())
		l.events = append(l.events, chains[c]...)
		l.heads = append(l.heads, h)
	}
	return l
}

func (l log) clone() log { return log{slices.Clone(l.events), slices.Clone(l.heads)} }

func each(events []Event) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (l log) verify(t *testing.T) Report {
	t.Helper()
	r, err := Verify(public(), each(l.events), l.heads)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUntouchedLogIsFine(t *testing.T) {
	t.Parallel()
	r := makeLog(t).verify(t)
	if !r.OK() || r.Events != 13 || len(r.Chains) != 3 {
		t.Errorf("%+v", r)
	}
}

func TestEveryFlippedFieldIsFound(t *testing.T) {
	t.Parallel()
	l := makeLog(t)
	for i := range l.events {
		for name, flip := range map[string]func(e *Event){
			"chain": func(e *Event) { e.Chain += "x" }, "seq": func(e *Event) { e.Seq++ }, "at": func(e *Event) { e.At = e.At.Add(time.Microsecond) },
			"actor": func(e *Event) { e.Actor = "bert" }, "action": func(e *Event) { e.Action += "." }, "object": func(e *Event) { e.Object += " " },
			"detail": func(e *Event) { e.Detail += " " }, "prev": func(e *Event) { e.Prev[31] ^= 1 }, "hash": func(e *Event) { e.Hash[0] ^= 1 },
			"moved boundary": func(e *Event) { e.Actor, e.Action = e.Actor+e.Action[:1], e.Action[1:] },
			"rehashed":       func(e *Event) { e.Actor = "bert"; e.Hash = e.Sum() },
		} {
			c := l.clone()
			flip(&c.events[i])
			r := c.verify(t)
			if r.OK() {
				t.Fatalf("event %d of %s, %s: not found", l.events[i].Seq, l.events[i].Chain, name)
			}
			if name != "chain" && !slices.ContainsFunc(r.Findings, func(f Finding) bool {
				return f.Chain == l.events[i].Chain && f.Seq >= l.events[i].Seq && f.Seq <= l.events[i].Seq+1
			}) {
				t.Errorf("event %d of %s, %s: found elsewhere: %v", l.events[i].Seq, l.events[i].Chain, name, r.Findings)
			}
		}
	}
	for i := range l.heads {
		for name, flip := range map[string]func(h *Head){
			"chain": func(h *Head) { h.Chain += "x" }, "seq": func(h *Head) { h.Seq-- }, "hash": func(h *Head) { h.Hash[5] ^= 1 },
			"at": func(h *Head) { h.At = h.At.Add(time.Second) }, "signature": func(h *Head) { h.Signature = append([]byte{1}, h.Signature[1:]...) }, "none": func(h *Head) { h.Signature = nil },
		} {
			c := l.clone()
			flip(&c.heads[i])
			if c.verify(t).OK() {
				t.Errorf("head of %s, %s: not found", l.heads[i].Chain, name)
			}
		}
	}
}

func TestEveryDroppedOrMovedRowIsFound(t *testing.T) {
	t.Parallel()
	l := makeLog(t)
	for i, e := range l.events {
		c := l.clone()
		c.events = slices.Delete(c.events, i, i+1)
		r := c.verify(t)
		if r.OK() || !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Chain == e.Chain }) {
			t.Errorf("dropped event %d of %s: %v", e.Seq, e.Chain, r.Findings)
		}
		for j := range i {
			c := l.clone()
			c.events[i], c.events[j] = c.events[j], c.events[i]
			if c.verify(t).OK() {
				t.Errorf("swapped events %d and %d: not found", i, j)
			}
			if l.events[i].Chain != l.events[j].Chain {
				continue
			}
			c.events[i].Seq, c.events[j].Seq = c.events[j].Seq, c.events[i].Seq // as two rows of a table
			if c.verify(t).OK() {
				t.Errorf("swapped numbers of events %d and %d: not found", i, j)
			}
		}
		c = l.clone()
		c.events = slices.Insert(c.events, i, e)
		if c.verify(t).OK() {
			t.Errorf("doubled event %d: not found", i)
		}
	}
}

// TestWholeChains: what somebody without the signing key can do to whole chains.
func TestWholeChains(t *testing.T) {
	t.Parallel()
	l := makeLog(t)
	for _, chain := range []string{Desk, ValidatePrefix + "1", ValidatePrefix + "2"} {
		c := l.clone()
		c.events = slices.DeleteFunc(c.events, func(e Event) bool { return e.Chain == chain })
		if r := c.verify(t); r.OK() || !mentions(r, chain) {
			t.Errorf("%s without events: %v", chain, r.Findings)
		}
		c.heads = slices.DeleteFunc(c.heads, func(h Head) bool { return h.Chain == chain })
		if r := c.verify(t); r.OK() || !mentions(r, chain) {
			t.Errorf("%s gone: %v", chain, r.Findings)
		}
	}
	swap := map[string]string{ValidatePrefix + "1": ValidatePrefix + "2", ValidatePrefix + "2": ValidatePrefix + "1", Desk: Desk}
	c := l.clone()
	for i := range c.events {
		c.events[i].Chain = swap[c.events[i].Chain]
	}
	if c.verify(t).OK() {
		t.Error("swapped chains: not found")
	}
	c = l.clone()
	c.events = append(c.events, Link(l.heads[2], Event{Actor: "bert", Detail: "{}"}))
	if c.verify(t).OK() {
		t.Error("an event behind the head: not found")
	}
	c = l.clone()
	stranger := Link(Head{Chain: "z"}, Event{Detail: "{}"})
	h := HeadOf(stranger)
	h.Signature = ed25519.Sign(signer(), h.Message())
	c.events, c.heads = append(c.events, stranger), append(c.heads, h)
	if r := c.verify(t); r.OK() || !mentions(r, "z") {
		t.Errorf("a chain never announced: %v", r.Findings)
	}
	if r, err := Verify(public(), each(nil), nil); err != nil || r.OK() {
		t.Errorf("nothing at all: %+v, %v", r, err)
	}
	other := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	if r, err := Verify(other, each(l.events), l.heads); err != nil || len(r.Findings) != 3 {
		t.Errorf("another public key: %+v, %v", r, err)
	}
}

// TestOldHeadMissesCheckpoint: a validator's chain is cut to an older state whose signed head was kept by the attacker.
func TestOldHeadMissesCheckpoint(t *testing.T) {
	t.Parallel()
	l := makeLog(t)
	c := l.clone()
	first := slices.IndexFunc(c.events, func(e Event) bool { return e.Chain == ValidatePrefix+"1" })
	old := HeadOf(c.events[first])
	old.Signature = ed25519.Sign(signer(), old.Message())
	c.events = slices.Delete(c.events, first+1, first+4)
	c.heads[1] = old
	if r := c.verify(t); r.OK() || !mentions(r, ValidatePrefix+"1") {
		t.Errorf("cut behind the checkpoint: %v", r.Findings)
	}
}

func mentions(r Report, chain string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Chain == chain && strings.Contains(f.String(), chain) })
}

func TestLines(t *testing.T) {
	t.Parallel()
	l := makeLog(t)
	var out bytes.Buffer
	if err := Write(&out, each(l.events), l.heads); err != nil {
		t.Fatal(err)
	}
	r, err := VerifyLines(public(), bytes.NewReader(out.Bytes()))
	if err != nil || !r.OK() || r.Events != len(l.events) {
		t.Fatalf("%+v, %v", r, err)
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	for i := range lines {
		c := slices.Delete(slices.Clone(lines), i, i+1)
		if r, err := VerifyLines(public(), bytes.NewReader(bytes.Join(c, nil))); err == nil && r.OK() {
			t.Errorf("line %d dropped: not found", i+1)
		}
	}
	for name, text := range map[string]string{"empty line": "\n", "array": "[]\n", "unknown field": `{"event":{"chain":"desk","extra":1}}` + "\n", "both": `{"event":{},"head":{}}`, "neither": "{}",
		"something behind": `{"event":{}}}`, "finer than hashed": `{"event":{"at":"2026-01-02T03:04:05.000000001Z"}}`, "head finer": `{"head":{"at":"2026-01-02T03:04:05.1234567Z"}}`} {
		if _, err := VerifyLines(public(), strings.NewReader(text)); !errors.Is(err, errLine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := VerifyLines(public(), headsLast(lines)); err == nil {
		t.Error("a head behind the events: taken")
	}
}

func headsLast(lines [][]byte) *bytes.Reader {
	moved := append(slices.Clone(lines[1:]), []byte("\n"), lines[0])
	return bytes.NewReader(bytes.ReplaceAll(bytes.Join(moved, nil), []byte("\n\n"), []byte("\n")))
}

// FuzzLine: a line that is taken is written back with the same meaning.
func FuzzLine(f *testing.F) {
	e := Link(Head{Chain: Desk}, Event{Actor: "anna", Detail: "{}"})
	for _, l := range []line{{Event: &e}, {Head: &Head{Chain: Desk, Seq: 1}}, {}} {
		b, err := json.Marshal(l)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLine(text)
		if err != nil {
			if l != (line{}) {
				t.Fatal("an error with a line")
			}
			return
		}
		b, err := json.Marshal(l)
		if err != nil {
			return // a year above 9999 is read and not written
		}
		again, err := parseLine(b)
		if err != nil || l.Event != nil && again.Event.Sum() != l.Event.Sum() || fmt.Sprint(again.Head == nil) != fmt.Sprint(l.Head == nil) {
			t.Fatalf("%s became %s: %v", text, b, err)
		}
	})
}
