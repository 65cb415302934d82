package appointment

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Level says how much a warning matters.
type Level string

// The levels.
const (
	Remark Level = "note"
	Grave  Level = "warning" // to be agreed to
)

// Warning is something about a person that the operator must know.
type Warning struct {
	Level Level
	Text  string
}

func (p Person) grave() bool {
	for _, w := range p.Warnings {
		if w.Level == Grave {
			return true
		}
	}
	return false
}

// warnings are what a person's tokens and unfinished writes say.
func warnings(tokens []token.Token, open []Open) (out []Warning) {
	for _, k := range tokens {
		name := keyName(k)
		switch {
		case k.Reason == token.ReasonLeft:
			out = append(out, Warning{Grave, name + " was blocked because this person left"})
		case k.State.Blocked():
			out = append(out, Warning{Remark, fmt.Sprintf("%s is %s (%s)", name, k.State, k.Reason)})
		case k.Model == token.YubiKey && k.State != token.Pending:
			out = append(out, Warning{Remark, fmt.Sprintf("has %s already (%s)", name, k.State)})
		}
	}
	for _, o := range open {
		out = append(out, Warning{Remark, fmt.Sprintf("key %s was left half-written for this person: plug it in and it is finished", o.Serial)})
	}
	return out
}

func keyName(k token.Token) string {
	k.Holder = nil
	return strings.Replace(desk.Name(k), "serial", "key", 1)
}

func (e Opened) apply(t *turn) {
	why := ""
	if e.Open > 0 {
		why = fmt.Sprintf("half-written keys: %d; plug them in and they are finished", e.Open)
		t.Notice = why
	}
	t.tell(DidOpen, because(why))
}

func (e Typed) apply(t *turn) {
	if t.Person != nil || t.Query == e.Text {
		return
	}
	t.Query, t.Unknown, t.picking = e.Text, "", false
	t.seek()
}

// seek asks for what the field holds now, one search at a time: who types fast asks less often.
func (t *turn) seek() {
	if strings.TrimSpace(t.Query) == "" {
		t.Hits, t.HitsOf, t.Cursor = nil, "", 0
		return
	}
	if t.searching || t.HitsOf == t.Query {
		return
	}
	t.searching, t.sought = true, t.Query
	t.do(Search{t.Query})
}

func (e Found) apply(t *turn) {
	if !t.searching || e.Query != t.sought {
		return
	}
	t.searching = false
	if t.Person != nil {
		return
	}
	if e.Down != "" {
		t.down(e.Down)
		return
	}
	t.up()
	if t.Query != e.Query {
		t.seek()
		return
	}
	t.Hits, t.HitsOf, t.Cursor = persons(e.Hits), e.Query, 0
	if t.picking {
		t.pick(false)
	}
}

// persons are the hits with one line for each person, in their order.
func persons(hits []desk.Hit) (out []desk.Hit) {
	seen := map[string]bool{}
	for _, h := range hits {
		if h.Person == nil || seen[h.Person.Account] {
			continue
		}
		seen[h.Person.Account] = true
		out = append(out, h)
	}
	return out
}

func (e Move) apply(t *turn) {
	if t.Person == nil && len(t.Hits) > 0 {
		t.Cursor = min(max(t.Cursor+e.By, 0), len(t.Hits)-1)
	}
}

func (e Submit) apply(t *turn) {
	text := strings.TrimSpace(e.Text)
	switch {
	case t.Done != nil:
		if text == "" && t.printing == 0 && t.equipping == 0 {
			t.turnOver()
		}
	case t.Person != nil || t.loading != 0:
	case text == "" && len(t.Next) > 0:
		t.load(t.Next[0].Account)
	case text == "":
	default:
		seen := t.HitsOf == e.Text && !t.searching
		t.Query, t.Unknown = e.Text, ""
		if e.Whole {
			t.load(text)
			return
		}
		if seen {
			t.pick(true)
			return
		}
		t.picking = true
		t.seek()
	}
}

// pick chooses from the hits of the query: the account that was typed or scanned as it is, or the only hit, or the selected one, if the
// operator saw it.
func (t *turn) pick(seen bool) {
	t.picking = false
	text := strings.TrimSpace(t.Query)
	for _, h := range t.Hits {
		if strings.EqualFold(h.Person.Account, text) {
			t.load(h.Person.Account)
			return
		}
	}
	switch {
	case len(t.Hits) == 1, seen && t.Cursor < len(t.Hits):
		t.load(t.Hits[t.Cursor].Person.Account)
	case len(t.Hits) == 0:
		t.Unknown = text
		t.tell(DidRefuse, because("nobody fits"))
	}
}

// load asks for a person.
func (t *turn) load(account string) {
	t.loading, t.lost = t.number(), account
	t.do(Load{t.loading, account})
}

func (e Loaded) apply(t *turn) {
	if e.Job != t.loading {
		return
	}
	t.loading = 0
	t.up()
	if t.suspect != nil && t.job != 0 && t.Work != Inspecting { // something else is under way: ask again afterwards
		t.lost = e.Person.Account
		return
	}
	t.lost = ""
	if e.Person.Account == "" {
		t.Unknown = t.Query
		t.tell(DidRefuse, because("there is no such person"))
		return
	}
	again := t.Person != nil
	if t.settleLoaded(e); t.Done != nil {
		return
	}
	t.Person = &Person{Person: e.Person, Holds: e.Tokens, Open: e.Open, Warnings: warnings(e.Tokens, e.Open)}
	t.Query, t.Hits, t.HitsOf, t.Cursor, t.Notice = "", nil, "", 0, ""
	if t.Left == nil && len(e.Open) > 0 && t.Done == nil { // never a second key while one of theirs is half-written
		t.Left = &e.Open[0]
	}
	if again {
		return
	}
	t.Machine = 0
	if len(t.Next) > 0 && t.Next[0].Account == e.Person.Account {
		t.Next = t.Next[1:]
	}
	t.tell(DidSelect)
	for _, w := range t.Person.Warnings {
		t.tell(DidWarn, because(w.Text))
	}
}

func (e Checked) apply(t *turn) {
	if t.Wants() != WantCheck {
		return
	}
	if t.Station.Video && e.Check != desk.ByVideo {
		t.Notice = "this desk sends keys by post: the identity is checked in a video call (5)"
		return
	}
	t.Notice = ""
	t.Check, t.Checked = e.Check, t.now
	if !t.needsWitness() {
		t.tell(DidIdentify, func(r *Record) { r.Check = e.Check })
	}
}

// maxName is how long the name of a second operator may be, in bytes.
const maxName = 60

func (e Witnessed) apply(t *turn) {
	name := strings.Join(strings.Fields(e.Name), " ")
	switch {
	case t.Wants() != WantWitness || name == "":
		return
	case strings.EqualFold(name, t.Station.Operator) || strings.EqualFold(name, t.Person.Account) || strings.EqualFold(name, t.Person.Name):
		t.Notice = "the second operator is neither you nor the person"
		return
	case len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		t.Notice = "that is no name"
		return
	}
	t.Notice, t.Witness = "", name
	t.tell(DidIdentify, func(r *Record) { r.Check, r.Witness = t.Check, name })
}

func (e Chosen) apply(t *turn) {
	if t.Wants() != WantUse {
		return
	}
	if e.Use == Replacement {
		keys := t.Person.Keys()
		if e.Replace == 0 && len(keys) == 1 {
			e.Replace = keys[0].ID
		}
		if !holds(keys, e.Replace) {
			return
		}
	} else {
		e.Use, e.Replace = Second, 0
	}
	t.Use, t.Replace, t.Chosen = e.Use, e.Replace, true
	t.tell(DidChoose, func(r *Record) { r.Use = e.Use })
}

func holds(keys []token.Token, id token.ID) bool {
	for _, k := range keys {
		if k.ID == id {
			return true
		}
	}
	return false
}

func (e Agreed) apply(t *turn) {
	switch t.Wants() {
	case WantGrave:
		t.Agreed = true
	case WantAnew:
		t.Rewrite = true
	}
}

func (e Escaped) apply(t *turn) {
	switch {
	case t.Done != nil:
		t.haltCards()
	case t.Work == Giving:
	case t.Work == Programing || t.Work == Resuming || t.Work == Taking:
		t.halt()
	case t.Person != nil || t.loading != 0:
		t.tell(DidCancel)
		t.Notice = ""
		t.fresh()
	default:
		t.Query, t.Unknown, t.picking, t.Notice = "", "", false, ""
		t.seek()
	}
}

// halt asks what goes on to stop.
func (t *turn) halt() {
	if t.job != 0 && !t.halting {
		t.halting = true
		t.do(Halt{t.job})
	}
}

// haltCards stops what comes after the slot; the slot is issued.
func (t *turn) haltCards() {
	if t.equipping != 0 && !t.halting {
		t.halting = true
		t.do(Halt{t.equipping})
	}
}

func (e Quit) apply(t *turn) {
	t.Leaving = true
	t.haltCards()
	if t.Work == Programing || t.Work == Resuming || t.Work == Taking {
		t.halt()
	}
}
