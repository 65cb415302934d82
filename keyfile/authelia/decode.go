package authelia

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// end is the key behind the dash that Decode adds. In a file it is an unknown key.
const end = "_end"

// Decode implements keyfile.Codec. An entry with a fault is one bad row, at the line of its first fault.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		p := parser{}
		// A dash behind the end ends the last entry, as one before each other entry does.
		r := io.MultiReader(r, strings.NewReader("\n- "+end+":\n"))
		for rec, err := range keyfile.DecodeLines(c.Name(), r, p.parse) {
			if err == nil {
				rec.Line = p.ended
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// parser holds the entry that is being read.
type parser struct {
	root  bool // its key was read
	entry *entry
	ended int // first line of the entry that ended last
}

// entry is what was read of one mapping.
type entry struct {
	line   int
	values map[string]value
	fault  value  // the first line that cannot be read
	cause  string // of the fault; "": none
}

type value struct {
	text string
	line int
	key  string
}

// keys are those that an entry may have; the ones of optional may be missing.
var (
	keys     = []string{"created_at", "last_used_at", "username", "issuer", "algorithm", "digits", "period", "secret"}
	optional = []string{"created_at", "last_used_at", "issuer"}
)

func (p *parser) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	text := strings.TrimSpace(string(row.Text))
	if text == "" || text[0] == '#' || text == "---" || text == "..." {
		return rec, false
	}
	if text == "-" || strings.HasPrefix(text, "- ") {
		last, line := p.entry, row.Line
		text = strings.TrimSpace(text[1:])
		if p.entry = (&entry{line: line, values: map[string]value{}}); text == end+":" {
			p.entry = nil
		} else if !p.root {
			p.entry.fail(value{line: line, key: "line"}, "a list outside "+root)
		}
		if text != "" && p.entry != nil {
			p.entry.add(line, text)
		}
		if last == nil {
			return rec, false
		}
		p.ended = last.line
		return last.record(row), true
	}
	if p.entry != nil {
		p.entry.add(row.Line, text)
		return rec, false
	}
	name, rest, _ := strings.Cut(text, ":")
	if rest = strings.TrimSpace(rest); p.root || name != root || rest != "" && rest != "[]" {
		row.Bad(0, "line", "not "+root)
	}
	p.root = true
	return rec, false
}

// fail keeps the first fault.
func (e *entry) fail(at value, cause string) {
	if e.cause == "" {
		e.fault, e.cause = at, cause
	}
}

// add reads "key: scalar".
func (e *entry) add(line int, text string) {
	key, rest, ok := strings.Cut(text, ":")
	v := value{line: line, key: key}
	switch {
	case !ok || !slices.Contains(keys, key) || rest != "" && rest[0] != ' ' && rest[0] != '\t':
		v.key = "line"
		e.fail(v, "not one of the keys of this format")
	case e.has(key):
		e.fail(v, "stands twice")
	default:
		if v.text, ok = scalar(strings.TrimSpace(rest)); !ok {
			e.fail(v, "not a plain or quoted text on one line")
		}
		e.values[key] = v
	}
}

func (e *entry) has(key string) bool {
	_, ok := e.values[key]
	return ok
}

// scalar reads a plain scalar, or one in single or double quotes, with a comment behind it.
func scalar(s string) (string, bool) {
	if s == "" || s == "~" || s == "null" {
		return "", true
	}
	switch s[0] {
	case '"':
		d := json.NewDecoder(strings.NewReader(s))
		var out string
		if err := d.Decode(&out); err != nil {
			return "", false
		}
		return out, isComment(s[d.InputOffset():])
	case '\'':
		for i := 1; i < len(s); i++ {
			if s[i] != '\'' {
				continue
			}
			if i+1 < len(s) && s[i+1] == '\'' {
				i++
				continue
			}
			return strings.ReplaceAll(s[1:i], "''", "'"), isComment(s[i+1:])
		}
		return "", false
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s, !strings.ContainsRune("&*!|>{}[]%@`#,?:-", rune(s[0])) && !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":")
}

func isComment(s string) bool {
	t := strings.TrimSpace(s)
	return t == "" || t[0] == '#' && t != s
}

// record reads the values of a whole entry; a problem goes into row.
func (e *entry) record(row *keyfile.Row) keyfile.Record {
	rec := keyfile.Record{Kind: token.TOTP}
	bad := func(v value, cause string) {
		row.Line = v.line
		row.Bad(0, v.key, cause)
	}
	if e.cause != "" {
		bad(e.fault, e.cause)
		return rec
	}
	for _, key := range keys {
		v, ok := e.values[key]
		if v.key = key; !ok {
			v.line = e.line
		}
		if v.text == "" && !slices.Contains(optional, key) {
			bad(v, "missing or empty")
			return rec
		}
		if cause := set(&rec, key, v.text); cause != "" {
			bad(v, cause)
			return rec
		}
	}
	return rec
}

// set reads one value; cause says what is wrong with it, "" for nothing.
func set(rec *keyfile.Record, key, text string) (cause string) {
	switch key {
	case "created_at":
		t, err := time.Parse(time.RFC3339, text)
		if text != "" && err != nil {
			return "not a time of RFC 3339"
		}
		rec.Created = t
		rec.Created = createdAt(*rec)
	case "username":
		rec.Owner, cause = text, keyfile.BadText(text)
	case "issuer":
		rec.Issuer, cause = text, keyfile.BadText(text)
	case "algorithm":
		if rec.Hash = strings.ToLower(text); !slices.Contains(keyfile.Hashes(), rec.Hash) || strings.ToUpper(rec.Hash) != text {
			return "not one of the three names that Authelia has"
		}
	case "digits":
		if rec.Digits, _ = strconv.Atoi(text); rec.Digits != 6 && rec.Digits != 8 {
			return "neither 6 nor 8"
		}
	case "period":
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n < 1 || n > uint64(keyfile.MaxPeriod/time.Second) {
			return "not a number of seconds from 1 to a day"
		}
		rec.Period = time.Duration(n) * time.Second
	case "secret":
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		defer clear(b)
		if err != nil {
			return "not base64"
		}
		if rec.Key, cause = keyfile.ParseSeed(b); cause != "" {
			return "base64 of something else than a seed in base32"
		}
	}
	return cause
}
