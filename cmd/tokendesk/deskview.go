package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/token"
)

// deskLook draws the screen. What colour says, words say too.
type deskLook struct {
	title string // profile or slot, and place
	tones map[appointment.Tone]lipgloss.Style
	dim   lipgloss.Style
	bold  lipgloss.Style
	now   func() time.Time
	scan  func(text string, quick bool) appointment.Submit
}

func newDeskLook(out io.Writer, colour bool, title string, now func() time.Time) deskLook {
	r := lipgloss.NewRenderer(out)
	if !colour {
		r.SetColorProfile(termenv.Ascii)
	}
	tone := func(fg string) lipgloss.Style { return r.NewStyle().Bold(true).Foreground(lipgloss.Color(fg)) }
	return deskLook{
		title: title, now: now, dim: r.NewStyle().Faint(true), bold: r.NewStyle().Bold(true),
		tones: map[appointment.Tone]lipgloss.Style{
			appointment.Plain: r.NewStyle(), appointment.Act: tone("14"), appointment.Busy: tone("12"), appointment.Good: tone("10"), appointment.Bad: tone("11"),
		},
		scan: func(text string, quick bool) appointment.Submit { return appointment.Submit{Text: text, Whole: quick} },
	}
}

// The least that the screen is drawn for.
const (
	minWidth  = 40
	minHeight = 10
)

// view is the whole screen, cut to its size.
func (l deskLook) view(m deskScreen) string {
	w, h := max(m.width, minWidth), max(m.height, minHeight)
	s := m.state
	head := []string{l.head(s, w), l.steps(s, w), l.dim.Render(strings.Repeat("─", w)), ""}
	head = append(head, l.prompt(s, w)...)
	head = append(head, "")
	foot := []string{l.dim.Render(strings.Repeat("─", w)), l.keys(s)}
	room := h - len(head) - len(foot)
	body := l.body(m, w, room)
	if room > 0 && len(body) > room {
		body = body[:room]
	}
	lines := append(head, body...)
	for len(lines) < h-len(foot) {
		lines = append(lines, "")
	}
	lines = append(lines, foot...)
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, w, "…")
	}
	return strings.Join(lines[max(0, len(lines)-h):], "\n")
}

// head is what desk this is, and how fast it goes.
func (l deskLook) head(s appointment.State, w int) string {
	left := " tokendesk desk · " + l.title
	if s.Station.Offline {
		left += " · OFFLINE: activation pending synchronisation"
	}
	if s.Station.Video {
		left += " · VIDEO"
	}
	right := fmt.Sprintf("%d issued", s.Count)
	if hours := l.now().Sub(s.Began).Hours(); s.Count > 1 && hours > 0 {
		right += fmt.Sprintf(" · %.0f an hour", float64(s.Count)/hours)
	}
	return l.bold.Render(ansi.Truncate(left, max(w-len(right)-3, 1), "…")) + strings.Repeat(" ", max(1, w-ansi.StringWidth(left)-len(right)-1)) + right
}

// steps is H-1 … H-8, the present one marked.
func (l deskLook) steps(s appointment.State, w int) string {
	var parts []string
	now := s.Step()
	for _, x := range appointment.Steps() {
		text := string(x.Step)
		if w >= 100 || x.Step == now {
			text += " " + x.Name
		}
		switch {
		case x.Step == now:
			text = l.tones[appointment.Act].Render("[" + text + "]")
		case x.Step < now:
			text += " ✓"
		default:
			text = l.dim.Render(text)
		}
		parts = append(parts, text)
	}
	return " " + strings.Join(parts, "  ")
}

// prompt is the one line that says what to do, wrapped where it must be.
func (l deskLook) prompt(s appointment.State, w int) []string {
	p := s.Prompt()
	mark := map[appointment.Tone]string{appointment.Act: "►", appointment.Busy: "…", appointment.Good: "✓", appointment.Bad: "!"}[p.Tone]
	var out []string
	for i, line := range strings.Split(ansi.Wordwrap(printable(p.Text), max(w-5, 10), ""), "\n") {
		if i > 0 {
			mark = " "
		}
		out = append(out, " "+l.tones[p.Tone].Render(mark+" "+line))
	}
	return out
}

// body is person and key, or the search, and then the last receipts.
func (l deskLook) body(m deskScreen, w, room int) []string {
	s := m.state
	var out []string
	if s.Notice != "" {
		out = append(out, l.row("Note", l.tones[appointment.Bad].Render(printable(s.Notice))))
	}
	switch {
	case s.Done != nil:
		out = append(out, l.done(s, w, room)...)
	case s.Person == nil:
		out = append(out, l.search(m, room)...)
	}
	if s.Person != nil && s.Done == nil {
		out = append(out, l.person(s)...)
		if s.Wants() == appointment.WantWitness {
			out = append(out, l.row("Second", string(m.field)+"█"))
		}
	}
	if s.Done == nil {
		out = append(out, l.device(s)...)
	}
	if len(s.Recent) > 0 && len(out)+3 <= room {
		out = append(out, "", l.bold.Render(" Last receipts"))
		for _, d := range s.Recent[:min(len(s.Recent), room-len(out))] {
			out = append(out, "  "+receiptLine(d))
		}
	}
	return out
}

func (l deskLook) row(name, text string) string { return fmt.Sprintf(" %-9s %s", name, text) }

// search is the field and who fits.
func (l deskLook) search(m deskScreen, room int) []string {
	s := m.state
	out := []string{l.row("Search", string(m.field)+"█"), ""}
	if s.Query == "" {
		for i, p := range s.Next {
			if i == 5 {
				break
			}
			out = append(out, l.row(printable(p.Time), printable(p.Account)))
		}
		return out
	}
	most := max(room-6, 3)
	first := max(0, s.Cursor-most+1)
	for i, h := range s.Hits {
		if i < first || i >= first+most {
			continue
		}
		line := fmt.Sprintf("%-16s %s", printable(h.Person.Account), printable(h.Person.Name))
		if len(h.Person.Groups) > 0 {
			line += " · " + printable(strings.Join(h.Person.Groups, ", "))
		}
		if h.Token != nil {
			line += " · holds " + printable(heldName(*h.Token))
		}
		if i == s.Cursor {
			out = append(out, l.tones[appointment.Act].Render(" ► "+line))
			continue
		}
		out = append(out, "   "+line)
	}
	return out
}

func heldName(t token.Token) string {
	name := t.Serial.String()
	if name == "" {
		name = t.Label
	}
	return fmt.Sprintf("%s (%s)", name, t.State)
}

// person is who sits at the desk.
func (l deskLook) person(s appointment.State) []string {
	p := s.Person
	who := l.bold.Render(printable(p.Name)) + " (" + printable(p.Account) + ")"
	if len(p.Groups) > 0 {
		who += " · " + printable(strings.Join(p.Groups, ", "))
	}
	out := []string{l.row("Person", who)}
	for _, w := range p.Warnings {
		style := l.tones[appointment.Bad]
		word := "note: "
		if w.Level == appointment.Grave {
			word = "WARNING: "
		}
		out = append(out, l.row("", style.Render(word+printable(w.Text))))
	}
	if s.Wants() == appointment.WantUse {
		for i, k := range p.Keys() {
			out = append(out, l.row("", fmt.Sprintf("%d replaces %s", i+1, printable(heldName(k)))))
		}
	}
	switch {
	case s.Use == appointment.Replacement:
		out = append(out, l.row("Use", "replacement: the old one is revoked with the issue, and is to be given back"))
	case s.Use == appointment.Second:
		out = append(out, l.row("Use", "a second key"))
	}
	if s.Check != "" {
		out = append(out, l.row("Identity", "✓ checked "+s.Checked.Local().Format("15:04")+" · "+appointment.CheckName(s.Check)+witnessed(s.Witness)))
	}
	return out
}

func witnessed(name string) string {
	if name == "" {
		return ""
	}
	return " to you and to " + printable(name)
}

// device is what is plugged in.
func (l deskLook) device(s appointment.State) []string {
	var out []string
	if k := s.Key; k != nil {
		text := fmt.Sprintf("%s · firmware %v · slot %d %s", k.Have.Serial, k.Have.Version, s.Station.Spec.Slot, k.Class)
		switch t := k.Have.Token; {
		case t.Holder != nil:
			text += " · held by " + printable(t.Holder.Account)
		case t.State == token.InStock:
			text += " · in stock " + printable(t.StockNumber)
		case t.ID == 0:
			text += " · never issued"
		}
		out = append(out, "", l.row("Key", l.bold.Render(text)))
	}
	for _, p := range s.Ports {
		if p.Aside != "" {
			out = append(out, l.row("Aside", l.tones[appointment.Bad].Render(printable(p.Product+" at "+p.Path+": "+p.Aside))))
		}
	}
	if s.Down != nil {
		out = append(out, l.row("Store", l.tones[appointment.Bad].Render("away since "+s.Down.Since.Local().Format(time.TimeOnly)+": "+printable(s.Down.Why))))
	}
	return out
}

// tick is drawn when a key is issued.
const tick = `
            ██
          ██
  ██    ██
    ████
     ██`

// done is the big tick, and what was issued.
func (l deskLook) done(s appointment.State, w, room int) []string {
	d := s.Done
	facts := append(l.unfinished(d.Cards, w),
		l.row("Issued", l.bold.Render(printable(d.Name)+" ("+printable(d.Account)+")")),
		l.row("Key", receiptKey(*d)),
	)
	if s.Card != "" {
		facts = append(facts, l.row("On it", printable(s.Card)))
	}
	facts = append(facts, l.beside(d.Cards)...)
	if d.Proof != nil {
		facts = append(facts, l.row("Works", fmt.Sprintf("✓ proven by touch, counters %d/%d", d.Proof.Use, d.Proof.Session)))
	}
	if d.Replaced != "" {
		facts = append(facts, l.row("Replaced", printable(d.Replaced)+" is revoked: ask for it back"))
	}
	for _, line := range d.Revoke {
		facts = append(facts, l.wrapped("", line, w)...)
	}
	switch {
	case d.Receipt != "" && len(d.Papers) > 0:
		facts = append(facts, l.row("Receipt", printable(d.Receipt+" · "+strings.Join(d.Papers, ", "))))
	case d.Receipt != "":
		facts = append(facts, l.row("Receipt", printable(d.Receipt)))
	}
	if d.Pending {
		facts = append(facts, l.row("Note", l.tones[appointment.Bad].Render("activation pending synchronisation")))
	}
	facts = append(facts, l.row("Machine", fmt.Sprintf("%.1f s", d.Machine.Seconds())))
	art := strings.Split(strings.TrimPrefix(tick, "\n"), "\n")
	if len(facts)+len(art) > room {
		return facts
	}
	var out []string
	for _, line := range art {
		out = append(out, l.tones[appointment.Good].Render("   "+line))
	}
	return append(append(out, ""), facts...)
}

// unfinished is what a key lacks, and the commands that finish it, whole.
func (l deskLook) unfinished(c appointment.Cards, w int) (out []string) {
	if c.Why == "" {
		return nil
	}
	out = l.wrapped("Missing", c.Why, w)
	for _, command := range c.Finish {
		out = append(out, l.wrapped("Finish", command, w)...)
	}
	return out
}

// wrapped is something to be done, whole.
func (l deskLook) wrapped(name, text string, w int) (out []string) {
	for line := range strings.SplitSeq(ansi.Wrap(printable(text), max(w-13, 10), ""), "\n") {
		out = append(out, l.row(name, l.tones[appointment.Bad].Render(line)))
		name = ""
	}
	return out
}

// beside is what is on a key beside its slot.
func (l deskLook) beside(c appointment.Cards) (out []string) {
	if len(c.Accounts) > 0 {
		out = append(out, l.row("Accounts", "✓ "+printable(strings.Join(c.Accounts, ", "))))
	}
	switch {
	case c.Letter != "":
		out = append(out, l.row("PIV", "✓ set up; the letter with the PIN: "+printable(c.Letter)))
	case c.PIV:
		out = append(out, l.row("PIV", "✓ was set up before"))
	}
	if c.Request != "" {
		out = append(out, l.row("Request", "✓ for the certificate authority: "+printable(c.Request)))
	}
	return out
}

func receiptKey(d appointment.Done) string {
	name := d.Serial.String()
	if name == "" {
		name = printable(d.Label)
	}
	if d.PublicID != "" {
		name += " · " + d.PublicID
	}
	return name
}

// receiptLine is one of the last receipts.
func receiptLine(d appointment.Done) string {
	line := fmt.Sprintf("✓ %s  %-10s %-14s key %s", d.At.Local().Format("15:04"), d.Receipt, printable(d.Account), d.Serial)
	for _, x := range []struct {
		is   bool
		word string
	}{{d.Pending, "pending"}, {d.Shipped, "shipped"}, {d.Recovered, "finished after an interruption"}, {d.Cards.Why != "", "not all on it"}, {d.Replaced != "", "replaces " + printable(d.Replaced)}} {
		if x.is {
			line += " · " + x.word
		}
	}
	return line
}

// keys is the last line: what can be pressed now.
func (l deskLook) keys(s appointment.State) string {
	text := "Esc cancel  Ctrl-C end"
	switch s.Wants() {
	case appointment.WantPerson:
		text = "letters search  ↑↓ Enter choose  Esc clear  Ctrl-C end"
	case appointment.WantCheck:
		text = checkKeys() + "  Esc cancel"
	case appointment.WantWitness:
		text = "Enter takes the name  Esc cancel"
	case appointment.WantUse:
		text = "S second key  R or its number replace  Esc cancel"
	case appointment.WantAnew:
		text = "Y yes  Esc cancel"
		if s.Key.Lacks {
			text = "F finish it  Y write it anew  Esc cancel"
		}
	case appointment.WantGrave:
		text = "Y yes  Esc cancel"
	case appointment.WantPull:
		text = "removal or Enter: next person  Ctrl-C end"
	case appointment.WantKey:
		if s.Left != nil {
			text = "G give the half-written key up  Esc cancel"
		}
	}
	return l.dim.Render(" " + text)
}
