package seedtable

import (
	"bytes"
	"hash/maphash"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// layout is what the parser has to know.
type layout struct {
	sep          Separator
	header       []byte       // the line of the header; nil: none
	columns      map[Role]int // 1 the first
	serialLength int          // of serials that are all digits, 0: not fixed
}

// What the file gets when neither it nor Options say something. Source: reference key-files.md §9 rule 5.
const (
	defaultKind   = token.TOTP
	defaultDigits = 6
	defaultHash   = "sha1"
)

// decide makes all decisions from the first bytes of the file.
func (c Reader) decide(head []byte, more bool, t *text) (Report, layout, error) {
	head = keyfile.TrimBOM(head)
	switch first := bytes.TrimSpace(head); {
	case bytes.IndexByte(head, 0) >= 0:
		return Report{}, layout{}, ErrBinary
	case len(first) > 0 && bytes.IndexByte([]byte("<{["), first[0]) >= 0:
		return Report{}, layout{}, ErrMarkup
	}
	lines, sep := sampleLines(head, more)
	if sep == 0 {
		sep = bestSeparator(lines)
	}
	if sep == 0 {
		return Report{}, layout{}, ErrNoSeeds
	}
	rows, l := cutRows(lines, sep)
	report := Report{Charset: t.charset, Separator: sep, Header: l.header != nil, Rows: len(rows)}
	said := l.name(&report, rows)
	switch {
	case l.columns[Seed] == 0:
		return Report{}, layout{}, ErrNoSeeds
	case l.columns[Serial] == 0:
		return Report{}, layout{}, ErrNoSerial
	}
	report.Seed = vote(rows, l.columns[Seed])
	if said != "" {
		report.Seed.Encoding, report.Seed.From = said, ByHeader
	}
	if c.Encoding != "" {
		report.Seed.Encoding, report.Seed.From = c.Encoding, ByOption
	}
	if report.Seed.Encoding == "" {
		return Report{}, layout{}, ErrNoSeeds
	}
	report.Kind = choose(c.Kind, l.columns[Kind] > 0, defaultKind)
	report.Digits = choose(c.Digits, l.columns[Digits] > 0, defaultDigits)
	report.Hash = choose(c.Hash, l.columns[Hash] > 0, defaultHash)
	report.Period = c.period(report.Kind, rows, l)
	l.serialLength = usualLength(rows, l.columns[Serial])
	return report, l, nil
}

func choose[T comparable](option T, column bool, otherwise T) Choice[T] {
	var none T
	switch {
	case option != none:
		return Choice[T]{option, ByOption}
	case column:
		return Choice[T]{otherwise, ByColumn}
	}
	return Choice[T]{otherwise, Default}
}

// period is Unknown when there are TOTP rows in the sample and none of them says its period. A row that alone does not is bad.
func (c Reader) period(kind Choice[token.Kind], rows [][][]byte, l layout) Choice[time.Duration] {
	if c.Period != 0 {
		return Choice[time.Duration]{c.Period, ByOption}
	}
	from := Unused
	for _, row := range rows {
		k := kind.Value
		if kind.From == ByColumn && len(at(row, l.columns[Kind])) > 0 {
			k, _ = kindOf(at(row, l.columns[Kind]))
		}
		switch {
		case k != token.TOTP:
		case len(at(row, l.columns[Period])) > 0 || len(at(row, l.columns[Factor])) > 0:
			return Choice[time.Duration]{From: ByColumn}
		default:
			from = Unknown
		}
	}
	return Choice[time.Duration]{From: from}
}

// at is the field of a column, 1 the first; nil for column 0 and for short rows.
func at(row [][]byte, column int) []byte {
	if column < 1 || column > len(row) {
		return nil
	}
	return row[column-1]
}

// sampleLines are the lines that may be rows, and the separator that a spreadsheet's "sep=;" names. The last one is left out
// when more of it may follow.
func sampleLines(head []byte, more bool) (lines [][]byte, sep Separator) {
	if end := bytes.LastIndexByte(head, '\n'); more {
		head = head[:end+1]
	}
	for line := range bytes.SplitSeq(head, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if s := separatorLine(line); s != 0 && len(lines) == 0 {
			sep = s
			continue
		}
		if len(line) > 0 && line[0] != '#' && len(line) <= keyfile.MaxLine {
			lines = append(lines, line)
		}
	}
	return lines, sep
}

// separatorLine reads a spreadsheet's first line "sep=;".
func separatorLine(line []byte) Separator {
	rest, ok := bytes.CutPrefix(bytes.Trim(line, `"`), []byte("sep="))
	if !ok || len(rest) != 1 || !slices.Contains(separators(), Separator(rest[0])) {
		return 0
	}
	return Separator(rest[0])
}

// bestSeparator is the one with which most lines have a seed beside another field; 0: none has.
func bestSeparator(lines [][]byte) Separator {
	var best Separator
	most := 0
	for _, s := range separators() {
		n := 0
		for _, line := range lines {
			if f, bad := s.split(line, nil); len(f) > 1 && len(f) <= maxColumns && bad == 0 && slices.ContainsFunc(f, looksLikeSeed) {
				n++
			}
		}
		if n > most {
			best, most = s, n
		}
	}
	return best
}

// cutRows splits the lines and takes out the header, which has a word for the seed, or for the serial and something else, and no
// seed in it.
func cutRows(lines [][]byte, sep Separator) ([][][]byte, layout) {
	l := layout{sep: sep, columns: map[Role]int{}}
	var rows [][][]byte
	words, width := 0, 0
	for _, line := range lines {
		f, _ := sep.split(line, nil)
		if l.header == nil && isHeader(f) {
			l.header, words = bytes.Clone(line), len(f)
			for i, h := range f {
				if role, _ := roleOf(string(h)); role != Unread && l.columns[role] == 0 {
					l.columns[role] = i + 1
				}
			}
			continue
		}
		if !bytes.Equal(line, l.header) && len(f) <= maxColumns {
			rows = append(rows, f)
			width = max(width, len(f))
		}
	}
	if sep == Blank && words > width { // "serial number" is one title and two words
		clear(l.columns)
	}
	return rows, l
}

func isHeader(f [][]byte) bool {
	seen := map[Role]bool{}
	for _, h := range f {
		if looksLikeSeed(h) {
			return false
		}
		role, _ := roleOf(string(h))
		seen[role] = true
	}
	delete(seen, Unread)
	return seen[Seed] || seen[Serial] && len(seen) > 1
}

// name gives every column its role, by the header or by its shape, and returns the encoding that the header declares.
func (l *layout) name(report *Report, rows [][][]byte) Encoding {
	width := 0
	for _, row := range rows {
		width = max(width, len(row))
	}
	var titles [][]byte
	if l.header != nil {
		titles, _ = l.sep.split(l.header, nil)
		if l.sep == Blank && len(titles) > width {
			titles = nil
		}
		width = max(width, min(len(titles), maxColumns))
	}
	l.guess(shapes(rows, width))
	report.Columns = make([]Column, width)
	for role, i := range l.columns {
		report.Columns[i-1].Role = role
	}
	var said Encoding
	for i := range titles[:min(len(titles), width)] {
		if s := string(titles[i]); keyfile.BadText(s) == "" {
			report.Columns[i].Title = s
		}
		if i+1 == l.columns[Seed] {
			_, said = roleOf(string(titles[i]))
		}
	}
	return said
}

// vote counts which encodings the seeds fit.
func vote(rows [][][]byte, column int) Decision {
	d := Decision{From: Majority}
	votes := map[Encoding]*Vote{}
	for _, row := range rows {
		field := at(row, column)
		if len(field) == 0 {
			continue
		}
		d.Rows++
		fit := plausible(field)
		for _, e := range fit {
			if votes[e] == nil {
				votes[e] = &Vote{Encoding: e}
			}
			votes[e].Fit++
			if len(fit) == 1 {
				votes[e].Only++
			}
		}
	}
	for _, e := range Encodings() {
		if v := votes[e]; v != nil {
			d.Votes = append(d.Votes, *v)
		}
	}
	slices.SortStableFunc(d.Votes, func(a, b Vote) int { return b.Fit - a.Fit })
	if len(d.Votes) > 0 {
		d.Encoding = d.Votes[0].Encoding
	}
	return d
}

// A serial of a batch has one length. Shorter ones lost zeros to a spreadsheet, unless lengths vary anyway or numbers are so
// short that counting up made them longer.
const (
	minFixedLength = 8
	fixedOfTen     = 9
	minFixedRows   = 3
)

// usualLength is the length of nine in ten of the serials that are all digits; 0 when there is none.
func usualLength(rows [][][]byte, column int) int {
	lengths, n := map[int]int{}, 0
	for _, row := range rows {
		if s := at(row, column); isDigits(s) {
			lengths[len(s)]++
			n++
		}
	}
	for length, count := range lengths {
		if length >= minFixedLength && n >= minFixedRows && 10*count >= fixedOfTen*n {
			return length
		}
	}
	return 0
}

// fingerprint tells serials and seeds apart without keeping them.
func fingerprint(seed maphash.Seed, b []byte) uint64 { return maphash.Bytes(seed, b) }
