package seedtable

import "bytes"

// Separator stands between the fields of a row.
type Separator byte

// The separators. Any number of blanks and tabs together are one Blank.
const (
	Tab       Separator = '\t'
	Semicolon Separator = ';'
	Bar       Separator = '|'
	Comma     Separator = ','
	Blank     Separator = ' '
)

// separators lists them in the order in which they are preferred where two of them cut equally well: a comma is often followed
// by a blank, and a field often has both.
func separators() []Separator { return []Separator{Tab, Semicolon, Bar, Comma, Blank} }

func (s Separator) String() string {
	switch s {
	case Tab:
		return "tab"
	case Semicolon:
		return "semicolon"
	case Bar:
		return "|"
	case Comma:
		return "comma"
	}
	return "blank"
}

// split appends the fields of a line to fields. A field may stand in quotes, in which a doubled quote is one; Excel's ="…" is
// read as what stands in it. bad is the column, 1 the first, whose quotes do not fit; 0: none. The fields are parts of the
// line, apart from those with doubled quotes.
func (s Separator) split(line []byte, fields [][]byte) (out [][]byte, bad int) {
	for {
		if s == Blank {
			if line = bytes.TrimLeft(line, " \t"); len(line) == 0 {
				return fields, bad
			}
		}
		field, rest, more, ok := s.cut(line)
		fields = append(fields, field)
		if !ok && bad == 0 {
			bad = len(fields)
		}
		if !more {
			return fields, bad
		}
		line = rest
	}
}

// cut takes the first field off a line.
func (s Separator) cut(line []byte) (field, rest []byte, more, ok bool) {
	start := bytes.TrimLeft(line, " ")
	if len(start) == 0 || start[0] != '"' {
		end := s.index(line)
		field, rest, more = line, nil, end >= 0
		if more {
			field, rest = line[:end], line[end+1:]
		}
		field = bytes.TrimSpace(field)
		if inner, found := bytes.CutPrefix(field, []byte(`="`)); found {
			field = bytes.TrimSuffix(inner, []byte(`"`))
		}
		return field, rest, more, bytes.IndexByte(field, '"') < 0
	}
	start = start[1:]
	doubled := false
	for i := 0; i < len(start); i++ {
		if start[i] != '"' {
			continue
		}
		if i+1 < len(start) && start[i+1] == '"' {
			doubled = true
			i++
			continue
		}
		field = start[:i]
		if doubled {
			field = bytes.ReplaceAll(field, []byte(`""`), []byte(`"`))
		}
		tail := start[i+1:]
		end := s.index(tail)
		if end < 0 {
			return bytes.TrimSpace(field), nil, false, len(bytes.TrimSpace(tail)) == 0
		}
		return bytes.TrimSpace(field), tail[end+1:], true, len(bytes.TrimSpace(tail[:end])) == 0
	}
	return bytes.TrimSpace(start), nil, false, false
}

func (s Separator) index(line []byte) int {
	if s == Blank {
		return bytes.IndexAny(line, " \t")
	}
	return bytes.IndexByte(line, byte(s))
}
