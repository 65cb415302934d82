package seedtable

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// parser reads the rows of one file.
type parser struct {
	Reader
	layout
	report Report
	fields [][]byte
	print  maphash.Seed
	seen   map[uint64]uint64 // fingerprint of a serial -> of its seed
}

func newParser(report Report, l layout, c Reader) *parser {
	return &parser{Reader: c, layout: l, report: report, print: maphash.MakeSeed(), seen: map[uint64]uint64{}}
}

func (p *parser) tell(line int, format string, args ...any) {
	if p.Tell != nil {
		p.Tell(Finding{Line: line, Text: fmt.Sprintf(format, args...)})
	}
}

// parse is for keyfile.DecodeLines.
func (p *parser) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	line := bytes.TrimSpace(row.Text)
	if line[0] == '#' || bytes.Equal(line, p.header) || separatorLine(line) != 0 {
		return rec, false
	}
	var bad int
	p.fields, bad = p.sep.split(line, p.fields[:0])
	if bad > 0 {
		row.Bad(bad, "quotes", "a quote that does not close, or text beside it")
	}
	if len(p.fields) < max(p.columns[Serial], p.columns[Seed]) {
		row.Bad(len(p.fields), "row", "too few fields")
	}
	rec.Label = p.serial(row)
	rec.Kind = p.kind(row)
	rec.Digits = p.number(row, Digits, p.report.Digits.Value, p.report.Digits.From)
	rec.Hash = p.hash(row)
	p.factor(row, &rec)
	rec.Owner, rec.Issuer = p.name(row, Owner), p.name(row, Issuer)
	rec.Key = p.key(row)
	for _, l := range keyfile.Unsound(rec, token.HOTP, token.TOTP) {
		row.Bad(p.columns[roleFor[l.Field]], l.Field, l.Note)
	}
	return rec, row.Ok() && p.first(row, rec)
}

// roleFor is the column of a record's field.
var roleFor = map[string]Role{"kind": Kind, "key": Seed, "digits": Digits, "hash": Hash, "counter": Counter, "period": Period}

func (p *parser) field(role Role) []byte { return at(p.fields, p.columns[role]) }

// damaged is a number as a spreadsheet writes it when it has too many digits.
var damaged = regexp.MustCompile(`^[0-9]+([.,][0-9]+)?[Ee]\+[0-9]+$`)

const damage = "a spreadsheet turned it into a rounded number: get the file again and do not open it there"

func (p *parser) serial(row *keyfile.Row) string {
	col, f := p.columns[Serial], p.field(Serial)
	switch {
	case damaged.Match(f):
		row.Bad(col, "serial", damage)
	case len(f) == 0:
		row.Bad(col, "serial", "empty")
	case isDigits(f) && len(f) < p.serialLength:
		row.Bad(col, "serial", fmt.Sprintf("%d digits where the others have %d: a spreadsheet took its leading zeros; "+
			"put them back, or import the row in a file of its own", len(f), p.serialLength))
	case !isDigits(f) && looksLikeSeed(f) && len(f) >= 26:
		row.Bad(col, "serial", "it looks like a seed: the columns of this row are out of place")
	}
	return p.name(row, Serial)
}

// name reads a field for people.
func (p *parser) name(row *keyfile.Row, role Role) string {
	if !row.Ok() {
		return ""
	}
	s := string(p.field(role))
	if cause := keyfile.BadText(s); cause != "" {
		row.Bad(p.columns[role], string(role), "not a name: "+cause)
	}
	return s
}

func (p *parser) key(row *keyfile.Row) secret.Bytes {
	if !row.Ok() {
		return secret.Bytes{}
	}
	col, f, e := p.columns[Seed], p.field(Seed), p.report.Seed.Encoding
	if damaged.Match(f) {
		row.Bad(col, "key", damage)
		return secret.Bytes{}
	}
	s, err := e.Decode(f)
	switch {
	case err != nil && len(f) > 0:
		cause := err.Error()
		if p.report.Seed.From == Majority {
			cause += fmt.Sprintf(", as %d%% of the sampled rows are", p.report.Seed.Confidence())
		}
		row.Bad(col, "key", cause)
	case err != nil:
		row.Bad(col, "key", err.Error())
	case s.Len() < MinSeedSize || s.Len() > keyfile.MaxSeedSize:
		row.Bad(col, "key", fmt.Sprintf("a seed has %d to %d bytes, this one %d as %s", MinSeedSize, keyfile.MaxSeedSize, s.Len(), e))
		s.Destroy()
	}
	return s
}

func (p *parser) kind(row *keyfile.Row) token.Kind {
	f := p.field(Kind)
	if p.report.Kind.From != ByColumn || len(f) == 0 {
		return p.report.Kind.Value
	}
	k, ok := kindOf(f)
	if !ok {
		row.Bad(p.columns[Kind], "type", "not HOTP or TOTP")
	}
	return k
}

// kindOf reads the words for the two kinds.
func kindOf(f []byte) (token.Kind, bool) {
	switch normal(string(f)) {
	case "totp", "oathtotp", "time", "timebased", "t":
		return token.TOTP, true
	case "hotp", "oathhotp", "event", "eventbased", "e", "hmac":
		return token.HOTP, true
	}
	return "", false
}

func (p *parser) hash(row *keyfile.Row) string {
	f := p.field(Hash)
	if p.report.Hash.From != ByColumn || len(f) == 0 {
		return p.report.Hash.Value
	}
	h, ok := hashOf(f)
	if !ok {
		row.Bad(p.columns[Hash], "hash", "not sha1, sha256 or sha512")
	}
	return h
}

// hashOf reads SHA-1, HmacSHA256, SHA and the like.
func hashOf(f []byte) (string, bool) {
	h := strings.TrimPrefix(normal(string(f)), "hmac")
	if h == "sha" {
		h = "sha1"
	}
	for _, known := range keyfile.Hashes() {
		if h == known {
			return h, true
		}
	}
	return "", false
}

// factor reads what moves: the counter or the period.
func (p *parser) factor(row *keyfile.Row, rec *keyfile.Record) {
	if rec.Kind == token.HOTP {
		role := Counter
		if p.columns[Counter] == 0 {
			role = Factor
		}
		rec.Counter = p.integer(row, role, "counter", 0, keyfile.MaxCounter, 0)
		return
	}
	if p.report.Period.From == ByOption {
		rec.Period = p.report.Period.Value
		return
	}
	role := Period
	if p.columns[Period] == 0 {
		role = Factor
	}
	if rec.Period = time.Duration(p.integer(row, role, "period", 1, 3600, 0)) * time.Second; rec.Period == 0 {
		row.Bad(p.columns[role], "period", "the row does not say how long a code lasts")
	}
}

func (p *parser) number(row *keyfile.Row, role Role, value int, from Source) int {
	if from != ByColumn {
		return value
	}
	return int(p.integer(row, role, string(role), 6, 8, int64(value)))
}

// integer reads a decimal number; a unit of seconds may follow. absent is what an empty field means.
func (p *parser) integer(row *keyfile.Row, role Role, field string, low, high, absent int64) int64 {
	s := strings.ToLower(string(p.field(role)))
	if s == "" {
		return absent
	}
	for _, unit := range []string{"seconds", "sec", "s"} {
		if rest, ok := strings.CutSuffix(s, unit); ok && role != Digits {
			s = strings.TrimSpace(rest)
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) < low || int64(n) > high {
		row.Bad(p.columns[role], field, fmt.Sprintf("not a number from %d to %d", low, high))
		return 0
	}
	return int64(n)
}

// first reports whether a row's serial was not there before.
func (p *parser) first(row *keyfile.Row, rec keyfile.Record) bool {
	serial, key := fingerprint(p.print, []byte(rec.Label)), fingerprint(p.print, rec.Key.Reveal())
	old, again := p.seen[serial]
	switch {
	case again && old == key:
		p.tell(row.Line, "the same serial and seed as a row before: left out")
		rec.Destroy()
		return false
	case again:
		row.Bad(p.columns[Serial], "serial", "a row before has the same serial and another seed")
		return false
	case len(p.seen) < MaxRemembered:
		p.seen[serial] = key
	}
	return true
}
