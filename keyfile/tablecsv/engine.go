package tablecsv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Format is one table as data: what a row is made of, and what every row of it is without saying so.
type Format struct {
	Name   string // the word after --format
	Title  string // the server, and what has to be chosen there
	Sep    string // between the cells; "": the cells hold their separators as Text
	Header string // first line; "": none
	Rows   []Row  // one a kind
	Once   bool   // the server keeps one row a person: a second one is refused

	// What a row without a cell for it means. A record with another value is refused.
	Digits int
	Period time.Duration
	Hash   string // "": sha1

	Notes   map[string]string                   // what the loss of a field means there; nil: as for a table with a name in each row
	Limits  func(keyfile.Record) []keyfile.Loss // what this server refuses beyond what the cells say; nil: nothing
	Instead string                              // what to use for a record that this table cannot say
}

// Row is what a row is made of for one kind.
type Row struct {
	Kind  token.Kind
	Cells []Cell
	Is    func(values [][]byte) bool // tells two kinds with the same cells apart; nil: every row that fits is of this kind
}

// Codec is a Format at work.
type Codec struct{ Format Format }

var _ keyfile.Codec = Codec{}

// Name implements keyfile.Codec.
func (c Codec) Name() string { return c.Format.Name }

func (f Format) row(k token.Kind) (Row, bool) {
	i := slices.IndexFunc(f.Rows, func(r Row) bool { return r.Kind == k })
	if i < 0 {
		return Row{}, false
	}
	return f.Rows[i], true
}

// blank is what a row of that kind means before its cells are read.
func (f Format) blank(k token.Kind) keyfile.Record {
	rec := keyfile.Record{Kind: k}
	if k == token.YubicoOTP {
		return rec
	}
	if rec.Digits, rec.Hash = f.Digits, f.Hash; rec.Hash == "" {
		rec.Hash = "sha1"
	}
	if k == token.TOTP {
		rec.Period = f.Period
	}
	return rec
}

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	e := &keyfile.RowEncoder{Codec: c, W: w, Append: c.appendRow}
	if c.Format.Header != "" {
		e.Head = c.Format.Header + "\n"
	}
	if c.Format.Once {
		return keyfile.OncePerOwner(e, c.Name(), keyfile.LastWins)
	}
	return e
}

func (c Codec) appendRow(dst []byte, rec keyfile.Record) []byte {
	row, _ := c.Format.row(rec.Kind)
	for i, cell := range row.Cells {
		if i > 0 {
			dst = append(dst, c.Format.Sep...)
		}
		dst = cell.put(dst, rec)
	}
	return append(dst, '\n')
}

// Carried implements keyfile.Codec.
func (c Codec) Carried(rec keyfile.Record) keyfile.Record {
	row, ok := c.Format.row(rec.Kind)
	if !ok {
		return keyfile.Record{}
	}
	out := c.Format.blank(rec.Kind)
	for _, cell := range row.Cells {
		if cell.carry != nil {
			cell.carry(&out, rec)
		}
	}
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"serial":    "the file has one name for a token; a reader takes it for a label",
	"label":     "the file names the token by its serial",
	"slot":      "the file has no column for it: a second slot of the same key needs a name of its own",
	"public-id": "the file has no column for it",
	"owner":     "the file has no column for it: assign the tokens after the import",
}

// codeFields are the fields without which the server would compute other codes.
var codeFields = []string{"key", "digits", "period", "hash", "counter"}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	row, ok := c.Format.row(rec.Kind)
	if !ok {
		return []keyfile.Loss{c.Format.fatal("kind", fmt.Sprintf("this file holds no %s credentials", rec.Kind))}
	}
	out := keyfile.Unsound(rec, rec.Kind)
	for _, cell := range row.Cells {
		if cell.refuse == nil {
			continue
		}
		if field, cause := cell.refuse(rec); cause != "" {
			out = append(out, keyfile.Fatal(field, cause))
		}
	}
	said := c.Format.Notes
	if said == nil {
		said = notes
	}
	for _, l := range keyfile.Notes(rec, c.Carried(rec), said) {
		if slices.Contains(codeFields, l.Field) {
			l = c.Format.fatal(l.Field, "the file cannot say it and the server would compute other codes")
		}
		out = append(out, l)
	}
	if c.Format.Limits != nil {
		out = append(out, c.Format.Limits(rec)...)
	}
	return out
}

func (f Format) fatal(field, note string) keyfile.Loss {
	if f.Instead != "" {
		note += ": " + f.Instead
	}
	return keyfile.Fatal(field, note)
}

// Decode implements keyfile.Codec. The header may be missing or in another case; one that names other columns ends the
// reading. Columns in errors count the cells.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		p := parser{format: c.Format}
		keyfile.DecodeLines(c.Name(), r, p.parse)(yield)
	}
}

type parser struct {
	format Format
	begun  bool
}

// ErrHeader is a header line that names other columns than the format has.
var ErrHeader = errors.New("the header names other columns than this format has")

func (p *parser) parse(line *keyfile.Row) (keyfile.Record, bool) {
	first := !p.begun
	p.begun = true
	if h := p.format.Header; first && h != "" {
		text := string(bytes.TrimSpace(line.Text))
		if strings.EqualFold(text, h) {
			return keyfile.Record{}, false
		}
		word := func(s string) string { s, _, _ = strings.Cut(s, ","); return s }
		if strings.EqualFold(word(text), word(h)) {
			line.Stop(ErrHeader)
			return keyfile.Record{}, false
		}
	}
	at := 0
	for _, row := range p.format.Rows {
		values, column := row.match(p.format.Sep, line.Text)
		if column == 0 && (row.Is == nil || row.Is(values)) {
			return p.read(line, row, values), true
		}
		at = max(at, column)
	}
	line.Bad(at, "row", "not of a type that this format has, or not in its columns")
	return keyfile.Record{}, false
}

// read hands the values to the cells, through a comma-separated text, for which keyfile.Row has the readers.
func (p *parser) read(line *keyfile.Row, row Row, values [][]byte) keyfile.Record {
	rec := p.format.blank(row.Kind)
	text := bytes.Join(values, []byte(","))
	defer clear(text)
	line.Text = text
	line.Split()
	if line.Len() != len(values) {
		line.Bad(0, "row", "a comma inside a value")
	}
	for i, cell := range row.Cells {
		if cell.take != nil {
			cell.take(line, i+1, &rec)
		}
	}
	return rec
}

// match cuts text into the values of the cells, nil for those that say nothing; column is that of the first cell that does
// not fit, 0 when all do.
func (r Row) match(sep string, text []byte) (values [][]byte, column int) {
	values = make([][]byte, len(r.Cells))
	if sep != "" {
		text = bytes.TrimSpace(text)
	}
	for i, cell := range r.Cells {
		if i > 0 && sep != "" {
			var ok bool
			if text, ok = bytes.CutPrefix(bytes.TrimLeft(text, " \t"), []byte(sep)); !ok {
				return nil, i + 1
			}
			text = bytes.TrimLeft(text, " ")
		}
		if cell.text != "" {
			var ok bool
			if text, ok = bytes.CutPrefix(text, []byte(cell.text)); !ok {
				return nil, i + 1
			}
			continue
		}
		end := r.end(i, sep, text)
		if end < 0 {
			return nil, i + 1
		}
		if cell.take != nil {
			values[i] = text[:end]
		}
		text = text[end:]
	}
	if len(text) > 0 {
		return nil, len(r.Cells) + 1
	}
	return values, 0
}

// end is where the value at the beginning of text ends: before the separator or text that follows, -1 when that is missing.
func (r Row) end(i int, sep string, text []byte) int {
	switch {
	case i+1 == len(r.Cells) && sep == "":
		return len(text)
	case i+1 == len(r.Cells):
		if bytes.Contains(text, []byte(sep)) {
			return -1
		}
		return len(text)
	case sep == "":
		return bytes.Index(text, []byte(r.Cells[i+1].text))
	}
	return bytes.Index(text, []byte(sep))
}

// Detect implements keyfile.Codec: by the header, or by a row that begins with a word of this format's own. Tables of bare
// serials and keys look alike and are never detected: they have to be named.
func (c Codec) Detect(head []byte) int {
	line, _, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n"))
	line = bytes.TrimSpace(line)
	if h := c.Format.Header; h != "" && strings.EqualFold(string(line), h) {
		return 95
	}
	for _, row := range c.Format.Rows {
		if first := row.Cells[0]; first.text == "" {
			continue
		}
		if _, column := row.match(c.Format.Sep, line); column == 0 {
			return 60
		}
	}
	return 0
}
