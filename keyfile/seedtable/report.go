package seedtable

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Report is what was decided about a file. It holds no secret and no serial.
type Report struct {
	Charset   Charset // of the sample
	Separator Separator
	Header    bool
	Columns   []Column
	Rows      int // of the sample, without header and comments
	Seed      Decision
	Kind      Choice[token.Kind]
	Digits    Choice[int]
	Hash      Choice[string]
	Period    Choice[time.Duration] // with Unknown: Decode wants Options.Period
}

// Column is one column of the table.
type Column struct {
	Title string // of the header; "" when there is none
	Role  Role
}

// Source is where a decision comes from. What an option says beats the file.
type Source string

// The sources.
const (
	ByOption Source = "option"
	ByHeader Source = "header"   // the title of the column says it
	ByColumn Source = "column"   // each row says it
	Majority Source = "majority" // most rows of the sample
	Default  Source = "default"
	Unknown  Source = "unknown"
	Unused   Source = "unused" // no row needs it
)

// Choice is a value and where it comes from. The value is the one for rows that do not say it themselves.
type Choice[T any] struct {
	Value T
	From  Source
}

// Decision is the encoding of the seeds and how sure it is.
type Decision struct {
	Encoding Encoding
	From     Source
	Rows     int    // of the sample that have a seed
	Votes    []Vote // of every encoding that any row fits
}

// Vote is how many rows of the sample fit an encoding.
type Vote struct {
	Encoding Encoding
	Fit      int // so many rows are a seed in this encoding
	Only     int // so many are in no other
}

// Confidence is the share of the rows that fit the decision, 0 to 100.
func (d Decision) Confidence() int {
	for _, v := range d.Votes {
		if v.Encoding == d.Encoding && d.Rows > 0 {
			return 100 * v.Fit / d.Rows
		}
	}
	return 0
}

// NeedsPeriod reports whether TOTP rows do not say how long a code lasts: 30 and 60 seconds are both common, so that somebody
// has to look at a token.
func (r Report) NeedsPeriod() bool { return r.Period.From == Unknown }

// Finding is one thing that was decided or noticed, for people to read. It holds no secret.
type Finding struct {
	Line int // 0: the whole file
	Text string
}

// Findings is the report in words.
func (r Report) Findings() []Finding {
	var out []Finding
	say := func(format string, args ...any) { out = append(out, Finding{Text: fmt.Sprintf(format, args...)}) }
	say("text: %s", r.Charset)
	header := "without header"
	if r.Header {
		header = "with header"
	}
	say("table: separated by %s, %s", r.Separator, header)
	for i, c := range r.Columns {
		switch {
		case c.Role != Unread:
			say("column %d: %s", i+1, c.Role)
		case c.Title != "":
			say("column %d (%s): not read", i+1, c.Title)
		default:
			say("column %d: not read", i+1)
		}
	}
	say("seeds: %s (%s, %d%% of %d rows%s)", r.Seed.Encoding, r.Seed.From, r.Seed.Confidence(), r.Seed.Rows, r.Seed.others())
	say("type: %s (%s)", r.Kind.Value, r.Kind.From)
	say("digits: %d (%s)", r.Digits.Value, r.Digits.From)
	say("hash: %s (%s)", r.Hash.Value, r.Hash.From)
	switch r.Period.From {
	case Unknown:
		say("period: unknown; look at a token whether its code lasts 30 or 60 seconds")
	case Unused, ByColumn:
		say("period: %s", r.Period.From)
	default:
		say("period: %s (%s)", r.Period.Value, r.Period.From)
	}
	return out
}

// others says what else the rows would fit.
func (d Decision) others() string {
	var b strings.Builder
	for _, v := range d.Votes {
		if v.Encoding == d.Encoding {
			fmt.Fprintf(&b, ", %d of them nothing else", v.Only)
		}
	}
	for _, v := range d.Votes {
		if v.Encoding != d.Encoding {
			fmt.Fprintf(&b, "; %s would fit %d", v.Encoding, v.Fit)
		}
	}
	return b.String()
}
