package main

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
)

// lossGroup is the tokens that lose the same.
type lossGroup struct {
	lost   string   // fields; "" for nothing
	tokens []string // the first mostNamed
	more   int
}

// mostNamed is how many tokens of a group are named.
const mostNamed = 5

// lossReport groups what the records lose: in memory it grows with the number of different losses only.
type lossReport struct {
	groups []*lossGroup
	fields []string          // in the order in which they were met
	notes  map[string]string // by field
}

func (l *lossReport) add(name string, losses []keyfile.Loss) {
	var lost []string
	for _, x := range losses {
		lost = append(lost, x.Field)
		if _, ok := l.notes[x.Field]; !ok {
			l.fields = append(l.fields, x.Field)
			l.notes[x.Field] = x.Note
		}
	}
	text := strings.Join(lost, ", ")
	i := slices.IndexFunc(l.groups, func(g *lossGroup) bool { return g.lost == text })
	if i < 0 {
		i = len(l.groups)
		l.groups = append(l.groups, &lossGroup{lost: text})
	}
	if g := l.groups[i]; len(g.tokens) < mostNamed {
		g.tokens = append(g.tokens, printable(name))
	} else {
		g.more++
	}
}

// say tells each group in one line, then what each field means.
func (l *lossReport) say(a *app) {
	for _, g := range l.groups {
		who := strings.Join(g.tokens, "; ")
		if g.more > 0 {
			who += fmt.Sprintf("; and %d more", g.more)
		}
		a.say("  %s: %s", who, cmp.Or(g.lost, "nothing is lost"))
	}
	for _, f := range l.fields {
		a.say("  %s: %s", f, l.notes[f])
	}
}

// reportLoss tells what the file cannot carry, refuses tokens that would come out wrong, and counts the records.
func (a *app) reportLoss(d destination, inside bool, records iter.Seq2[keyfile.Record, error]) (n int, err error) {
	report := lossReport{notes: map[string]string{}}
	var refused error
	var owner string // of the record before
	for r, err := range records {
		if err != nil {
			return n, err
		}
		losses := d.loss(r, inside)
		if d.perOwner() {
			losses = append(losses, accountLoss(r, owner)...)
			owner = r.Owner
		}
		if err := keyfile.Refused(d.name(), r, losses); err != nil && refused == nil {
			refused = instead(err, d, r)
		}
		report.add(tokenName(r), losses)
		n++
	}
	if n == 0 {
		return 0, nil
	}
	a.say("what a file for %s (%s) does not carry:", d.name(), d.codec.Name())
	report.say(a)
	return n, refused
}

// instead adds to a refusal what can be used: another format of the same server, or else the formats that carry the record.
func instead(err error, d destination, r keyfile.Record) error {
	p := &problem{line: oneLine(err), code: exitRefused, cause: err}
	takes := func(losses []keyfile.Loss) bool { return keyfile.Refused("", r, losses) == nil }
	var use []string
	if d.target != nil {
		for _, t := range codecs.Targets() {
			if t.Name != d.target.Name && serverOf(t) == serverOf(*d.target) && takes(t.Loss(r)) {
				use = append(use, "--for "+t.Name)
			}
		}
	}
	if len(use) > 0 {
		return p.hint("use instead: %s", strings.Join(use, ", "))
	}
	for _, c := range codecs.All() {
		if c.Name() != d.codec.Name() && takes(c.Loss(r)) {
			use = append(use, c.Name())
		}
	}
	if len(use) == 0 {
		return p
	}
	return p.hint("formats that can carry it: %s", strings.Join(use, ", "))
}

// serverOf is whose files a target reads: "privacyIDEA" of "privacyIDEA, PSKC".
func serverOf(t codecs.Target) string {
	server, _, _ := strings.Cut(t.Title, ",")
	return server
}
