package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// drawn is what a terminal of so many columns shows after it was sent text: cursor up, carriage return, clear to the end of line and
// of screen; colours are left out.
func drawn(t *testing.T, text string, columns int) []string {
	t.Helper()
	var lines [][]rune
	row, col := 0, 0
	for i := 0; i < len(text); {
		if strings.HasPrefix(text[i:], "\x1b[") {
			end := i + 2 + strings.IndexFunc(text[i+2:], func(r rune) bool { return r >= 'A' && r <= 'z' })
			n := 0
			for _, d := range text[i+2 : end] {
				if d >= '0' && d <= '9' {
					n = 10*n + int(d-'0')
				}
			}
			switch text[end] {
			case 'A':
				if row -= n; row < 0 {
					t.Fatal("above the first line")
				}
			case 'K':
				lines[row] = lines[row][:min(col, len(lines[row]))]
			case 'J':
				lines = lines[:min(row, len(lines))]
			}
			i = end + 1
			continue
		}
		r := []rune(text[i:])[0]
		i += len(string(r))
		for row >= len(lines) {
			lines = append(lines, nil)
		}
		switch r {
		case '\n':
			row++
		case '\r':
			col = 0
		default:
			for col >= len(lines[row]) {
				lines[row] = append(lines[row], ' ')
			}
			lines[row][col] = r
			if col++; col > columns {
				t.Fatalf("a line is longer than %d columns", columns)
			}
		}
	}
	var out []string
	for _, l := range lines {
		out = append(out, strings.TrimRight(string(l), " "))
	}
	return out
}

// TestLaneScreen: one line a port in the order of ports, drawn in place, with the numbers of all.
func TestLaneScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := profile.New("staff", token.YubicoOTP)
	s := newLaneScreen(&app{env: &env{stderr: &out}}, token.Batch{ID: 7, Profile: "staff"}, p)
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	totals := batch.Totals{Wanted: 200, Done: 36}
	show := func(e batch.Event) {
		if e.State == batch.Done {
			totals.Done++
		}
		at = at.Add(2 * time.Second)
		e.Time, e.Totals = at, totals
		s.show(e)
	}
	show(batch.Event{Event: batch.Begun})
	show(batch.Event{Event: batch.Lane, Port: "1-1.10", State: batch.Writing, Serial: 20411733})
	show(batch.Event{Event: batch.Lane, Port: "1-1.9", State: batch.Done, Serial: 20411734, StockNumber: "R-0037"})
	show(batch.Event{Event: batch.Lane, Port: "1-1.2", State: batch.Touch, Serial: 20411735})
	show(batch.Event{Event: batch.Lane, Port: "1-1.10", State: batch.Done, Serial: 20411733, StockNumber: "R-0038"})
	totals.Aside, totals.Uncertain = 1, 2
	show(batch.Event{Event: batch.Lane, Port: "1-1.1", State: batch.Aside, Serial: 9, Reason: token.AsideForeign, Detail: "slot 2 holds what this store did not write, and this line is much longer than the screen is"})
	show(batch.Event{Event: batch.Paused, Detail: "no\x1b[31m route"})
	got := strings.Join(drawn(t, out.String(), 80), "\n")
	want := `batch 7 staff: 38/200 done, 2 uncertain, 1 aside · 15.0/min · 11 min left
the store is away, nothing more is written: no[31m route
1-1.1     9          ....... put aside: foreign: slot 2 holds what this store d…
1-1.2     20411735   #####.. now touch it and hold for three seconds
1-1.9     20411734   ####### done R-0037
1-1.10    20411733   ####### done R-0038`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	show(batch.Event{Event: batch.Resumed})
	show(batch.Event{Event: batch.Lane, Port: "1-1.1", State: batch.Removed})
	if lines := drawn(t, out.String(), 80); len(lines) != 5 || lines[1] != "1-1.1" {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
}

// TestLaneScreenHeight: with more lanes than lines, the numbers and the lanes that need somebody stay in sight, and the others are counted.
func TestLaneScreenHeight(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newLaneScreen(&app{env: &env{stderr: &out}}, token.Batch{ID: 7, Profile: "staff"}, profile.New("staff", token.YubicoOTP))
	for n := range 40 {
		state := batch.Waiting
		if n%4 == 3 {
			state = batch.Touch
		}
		s.show(batch.Event{Event: batch.Lane, Port: fmt.Sprintf("1-1.%d", n+1), State: state})
	}
	s.note("finishing")
	lines := drawn(t, out.String(), 80)
	text := strings.Join(lines, "\n")
	if len(lines) != 23 || !strings.HasPrefix(lines[0], "batch 7 staff") || lines[21] != "… and 20 more: 20 waiting" || lines[22] != "finishing" {
		t.Errorf("%d lines\n%s", len(lines), text)
	}
	if n := strings.Count(text, "now touch it"); n != 10 {
		t.Errorf("%d lanes to touch are in sight\n%s", n, text)
	}
}
