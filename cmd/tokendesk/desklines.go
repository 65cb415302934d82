package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// deskLines is the front for scripts and terminals that cannot be drawn on: acts are lines of standard input, events lines of standard
// output. A line waits until it is asked for.
type deskLines struct {
	out  io.Writer
	json bool
	asks string // what was asked for last
	fail error  // of out

	mu    sync.Mutex
	lines []string
	ended bool // no more lines come
}

// read takes lines from in until it ends; wake is called after each.
func (f *deskLines) read(in io.Reader, wake func()) {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, maxTyped)
	for scan.Scan() {
		f.mu.Lock()
		f.lines = append(f.lines, scan.Text())
		f.mu.Unlock()
		wake()
	}
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	wake()
}

// show implements deskFront.
func (f *deskLines) show(s appointment.State, happened []appointment.Record) {
	for _, r := range happened {
		if f.json {
			f.failed(json.NewEncoder(f.out).Encode(r))
			continue
		}
		_, err := fmt.Fprintln(f.out, recordLine(r))
		f.failed(err)
	}
	p := s.Prompt()
	if line := fmt.Sprintf("%s  %s", p.Step, p.Text); !f.json && line != f.asks {
		f.asks = line
		_, err := fmt.Fprintln(f.out, "    "+printable(line))
		f.failed(err)
	}
}

func (f *deskLines) failed(err error) {
	if f.fail == nil {
		f.fail = err
	}
}

// recordLine is a record for people.
func recordLine(r appointment.Record) string {
	var parts []string
	add := func(format, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf(format, printable(value)))
		}
	}
	add("%s", r.Account)
	add("key %s", r.Serial.String())
	add("%s", r.PublicID)
	add("%s", appointment.CheckName(r.Check))
	add("second operator %s", r.Witness)
	add("%s", string(r.Use))
	add("number %s", r.Number)
	add("receipt %s", r.Receipt)
	add("%s", strings.Join(r.Accounts, ", "))
	if r.PIV {
		add("%s", "PIV")
	}
	add("(%s)", r.Why)
	add("finish: %s", strings.Join(r.Finish, "; then: "))
	add("%s", strings.Join(r.Revoke, "; "))
	if r.Pending {
		parts = append(parts, "activation pending synchronisation")
	}
	return strings.TrimRight(fmt.Sprintf("%s %s %-12s %s", r.Time.Local().Format(time.TimeOnly), r.Step, r.Event, strings.Join(parts, " ")), " ")
}

// next implements deskFront.
func (f *deskLines) next(s appointment.State) appointment.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil && !s.Leaving { // nobody reads on
		return appointment.Quit{}
	}
	for len(f.lines) > 0 {
		line := strings.TrimSpace(f.lines[0])
		e, taken := lineMeans(s, line)
		if !taken && s.Wants() == appointment.WantPull && s.Key == nil { // what a screen shows until Enter is a line here
			return appointment.Submit{}
		}
		if !taken {
			return nil
		}
		f.lines = f.lines[1:]
		if e != nil {
			return e
		}
	}
	if f.ended && !s.Leaving && stuck(s) {
		return appointment.Quit{}
	}
	return nil
}

// stuck: without another line nothing more can happen, or only with another key than the one that was refused.
func stuck(s appointment.State) bool {
	switch s.Wants() {
	case appointment.Nothing:
		return false
	case appointment.WantKey:
		return s.Work == appointment.NoWork && (s.Aside() != "" || s.Refused != "")
	}
	return true
}

// lineMeans is what a line means in a state; not taken: it waits.
func lineMeans(s appointment.State, line string) (e appointment.Event, taken bool) {
	verb, rest, _ := strings.Cut(line, " ")
	wants := s.Wants()
	switch {
	case line == "":
		return nil, wants != appointment.Nothing
	case verb == "quit":
		return appointment.Quit{}, !s.Leaving
	case verb == "cancel" && s.Done == nil:
		return appointment.Escaped{}, true
	case wants == appointment.WantKey && isOTP(line), wants == appointment.WantWitness && isOTP(line), wants == appointment.WantPerson && isOTP(line):
		return appointment.Touched{OTP: line}, true
	}
	switch wants {
	case appointment.WantPerson:
		return appointment.Submit{Text: line, Whole: true}, true
	case appointment.WantCheck:
		return checkOf(line), true
	case appointment.WantWitness:
		return appointment.Witnessed{Name: line}, true
	case appointment.WantUse:
		return useOf(s, verb, rest), true
	case appointment.WantAnew:
		if verb == "finish" || verb == "f" {
			return appointment.Finished{}, true
		}
		return agreedOf(verb), true
	case appointment.WantGrave:
		return agreedOf(verb), true
	case appointment.WantKey:
		if verb == "give-up" {
			return appointment.GaveUp{}, true
		}
	case appointment.WantPull:
		if verb == "next" {
			return appointment.Submit{}, true
		}
	}
	return nil, false
}

// isOTP reports whether text is shaped as a one-time password.
func isOTP(text string) bool { return len(validate.Readings(text)) > 0 }

// checkOf is an identity check by its number or name; nil if it is none.
func checkOf(word string) appointment.Event {
	all := desk.IDChecks()
	if len(word) == 1 && word[0] >= '1' && int(word[0]-'1') < len(all) {
		return appointment.Checked{Check: all[word[0]-'1']}
	}
	if c := desk.IDCheck(word); slices.Contains(all, c) {
		return appointment.Checked{Check: c}
	}
	return nil
}

// useOf is second, or replace with a number as the screen counts or a serial.
func useOf(s appointment.State, verb, which string) appointment.Event {
	switch verb {
	case "second", "s":
		return appointment.Chosen{Use: appointment.Second}
	case "replace", "r":
		return appointment.Chosen{Use: appointment.Replacement, Replace: replaced(s, which)}
	}
	return nil
}

// replaced is one of the person's tokens, by its place in the list from 1, or its serial or label; 0 if none is named.
func replaced(s appointment.State, which string) token.ID {
	for i, k := range s.Person.Keys() {
		if which != "" && (which == fmt.Sprint(i+1) || which == k.Serial.String() || which == k.Label) {
			return k.ID
		}
	}
	return 0
}

func agreedOf(word string) appointment.Event {
	switch strings.ToLower(word) {
	case "y", "yes":
		return appointment.Agreed{}
	case "n", "no":
		return appointment.Escaped{}
	}
	return nil
}
