package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// storePause is between two tries of a store that failed.
const storePause = time.Second

// paceOf is over how many keys the throughput is taken.
const paceOf = 40

// laneScreen draws one line a port and one for all, in place. It belongs to the engine, which reports one event at a time.
type laneScreen struct {
	a      *app
	b      token.Batch
	slot   token.Slot
	lanes  map[string]batch.Event // the last one of each port
	last   batch.Event
	away   string      // why the store is away
	said   string      // beside
	ends   []time.Time // of the last keys
	drawn  []int       // the widths of the lines that are drawn
	colour bool
}

func newLaneScreen(a *app, b token.Batch, p profile.Profile) *laneScreen {
	return &laneScreen{a: a, b: b, slot: p.Slot, lanes: map[string]batch.Event{}, colour: a.getenv("NO_COLOR") == ""}
}

func (s *laneScreen) show(e batch.Event) {
	s.last = e
	switch e.Event {
	case batch.Paused:
		s.away = e.Detail
	case batch.Resumed:
		s.away = ""
	case batch.Lane:
		s.lanes[e.Port] = e
		if e.State == batch.Done {
			if s.ends = append(s.ends, e.Time); len(s.ends) > paceOf {
				s.ends = s.ends[1:]
			}
		}
	}
	s.draw()
}

func (s *laneScreen) note(text string) {
	s.said = text
	s.draw()
}

// draw goes back to the first line and writes all of them anew; what a line or the picture had more is cleared. A terminal that became
// narrower meanwhile has broken the lines that were too long for it.
func (s *laneScreen) draw() {
	width, height := screenSize(s.a.stderr)
	var out strings.Builder
	up := 0
	for _, n := range s.drawn {
		up += max(1, (n+width-1)/width)
	}
	if up = min(up, height-1); up > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", up)
	}
	s.drawn = s.drawn[:0]
	for _, l := range s.picture(height - 1) {
		out.WriteString("\r\x1b[K" + s.paint(l, width) + "\n") // cleared first: behind the last column it would take the last sign
		s.drawn = append(s.drawn, min(width, utf8.RuneCountInString(l.text)))
	}
	out.WriteString("\x1b[J")
	_, _ = io.WriteString(s.a.stderr, out.String()) // to a terminal
}

// line is one line of the picture and its colour.
type line struct {
	text   string
	colour string // parameters of SGR; "": none
}

// picture has so many lines at most: where there are more lanes, those that need somebody come first.
func (s *laneScreen) picture(most int) []line {
	list := []line{{s.total(), "1"}}
	if s.away != "" {
		list = append(list, line{"the store is away, nothing more is written: " + printable(s.away), "31"})
	}
	room := most - len(list)
	if s.said != "" {
		room--
	}
	ports, rest := s.visible(max(room, 1))
	for _, port := range ports {
		list = append(list, s.lane(s.lanes[port]))
	}
	if rest != "" {
		list = append(list, line{rest, "90"})
	}
	if s.said != "" {
		list = append(list, line{s.said, "1"})
	}
	return list
}

// laneOrder is how much a lane needs somebody, what is not here in between.
var laneOrder = map[batch.State]int{
	batch.Touch: -4, batch.Uncertain: -3, batch.Failed: -2, batch.Aside: -1, batch.Done: 1, batch.Again: 2, batch.Waiting: 3, batch.Removed: 4,
}

// visible are the ports that have a line each, in their order, and a line about the others; "": there are none.
func (s *laneScreen) visible(room int) (ports []string, rest string) {
	ports = slices.SortedFunc(maps.Keys(s.lanes), usbhid.ComparePorts)
	if len(ports) <= room {
		return ports, ""
	}
	slices.SortStableFunc(ports, func(a, b string) int { return laneOrder[s.lanes[a].State] - laneOrder[s.lanes[b].State] })
	states := map[batch.State]int{}
	for _, port := range ports[room-1:] {
		states[s.lanes[port].State]++
	}
	rest = fmt.Sprintf("… and %d more:", len(ports)-room+1)
	for _, state := range slices.Sorted(maps.Keys(states)) {
		rest += fmt.Sprintf(" %d %s", states[state], state)
	}
	ports = ports[:room-1]
	slices.SortFunc(ports, usbhid.ComparePorts)
	return ports, rest
}

// total is the line of the whole batch, with throughput and estimate.
func (s *laneScreen) total() string {
	t := s.last.Totals
	text := fmt.Sprintf("%s %s: %d/%d done", s.a.mark(fmt.Sprintf("batch %d", s.b.ID)), printable(s.b.Profile), t.Done, t.Wanted)
	if t.Uncertain > 0 {
		text += fmt.Sprintf(", %d uncertain", t.Uncertain)
	}
	if t.Aside > 0 {
		text += fmt.Sprintf(", %d aside", t.Aside)
	}
	if n := len(s.ends); n > 1 && s.ends[n-1].After(s.ends[0]) {
		each := s.ends[n-1].Sub(s.ends[0]) / time.Duration(n-1)
		text += fmt.Sprintf(" · %.1f/min", float64(time.Minute)/float64(each))
		if left := t.Wanted - t.Done; left > 0 {
			text += " · " + roughly(time.Duration(left)*each) + " left"
		}
	}
	return text
}

// roughly is a time for people.
func roughly(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
	}
	return fmt.Sprintf("%d min", int((d + 30*time.Second).Minutes()))
}

// laneMarks show how far a key has come, and the colour of its lane.
var laneMarks = map[batch.State]struct {
	steps  int
	colour string
}{
	batch.Opening: {1, ""}, batch.Sealing: {2, ""}, batch.Writing: {3, ""}, batch.Written: {4, ""}, batch.Touch: {5, "36;1"}, batch.Proven: {6, "36"},
	batch.Done: {7, "32"}, batch.Again: {7, "90"}, batch.Aside: {0, "33"}, batch.Uncertain: {0, "33;1"}, batch.Failed: {0, "31"}, batch.Removed: {0, "90"}, batch.Waiting: {0, ""},
}

const allSteps = 7

func (s *laneScreen) lane(e batch.Event) line {
	m := laneMarks[e.State]
	text := laneText(e)
	switch e.State {
	case batch.Touch:
		if text = "now " + touches[s.slot]; e.Detail != "" {
			text = printable(e.Detail) + "; once more: " + touches[s.slot]
		}
	case batch.Removed:
		return line{fmt.Sprintf("%-9s", printable(e.Port)), m.colour}
	}
	bar := strings.Repeat("#", m.steps) + strings.Repeat(".", allSteps-m.steps)
	return line{fmt.Sprintf("%-9s %-10s %s %s", printable(e.Port), e.Serial, bar, text), m.colour}
}

// paint cuts a line to the width and colours it.
func (s *laneScreen) paint(l line, width int) string {
	text := []rune(l.text)
	if len(text) > width {
		text = append(text[:width-1], '…')
	}
	if l.colour == "" || !s.colour {
		return string(text)
	}
	return "\x1b[" + l.colour + "m" + string(text) + "\x1b[0m"
}

// screenSize is that of the terminal, or 80 by 24.
func screenSize(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if n, m, err := term.GetSize(int(f.Fd())); err == nil && n > 20 && m > 4 {
			return n, m
		}
	}
	return 80, 24
}
