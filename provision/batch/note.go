package batch

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// NoteError is a line of a delivery note that cannot be read. The line itself is not repeated.
type NoteError struct {
	Line    int
	Problem string
}

func (e *NoteError) Error() string {
	return fmt.Sprintf("delivery note, line %d: %s", e.Line, e.Problem)
}

// maxNote is how many lines a delivery note has at most.
const maxNote = 200_000

// ReadNote reads the serials of a vendor's delivery note: CSV with comma, semicolon or tab, of which the column called serial, serial
// number, serial_number, S/N or Seriennummer counts, or the only one. It returns them in order, each once. The errors are *NoteError and the reader's.
func ReadNote(r io.Reader) ([]token.Serial, error) {
	text, err := io.ReadAll(io.LimitReader(r, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("delivery note: %w", err)
	}
	body := strings.TrimPrefix(string(text), "\uFEFF")
	c := csv.NewReader(strings.NewReader(body))
	c.Comma, c.FieldsPerRecord, c.TrimLeadingSpace = separator(body), -1, true
	column := -1
	var out []token.Serial
	for n := 0; ; n++ {
		row, err := c.Read()
		if err == io.EOF {
			break
		}
		if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
			return nil, &NoteError{bad.Line, "is not CSV"}
		}
		line, _ := c.FieldPos(0)
		switch {
		case n > maxNote:
			return nil, &NoteError{line, "there are too many"}
		case column < 0:
			if column = serialColumn(row); column >= 0 {
				continue
			}
			if len(row) != 1 {
				return nil, &NoteError{line, "no column is called serial"}
			}
			column = 0
		}
		serial, err := noteSerial(row, column)
		switch {
		case err != nil:
			return nil, &NoteError{line, err.Error()}
		case serial != 0:
			out = append(out, serial)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// separator is the one that the first line has.
func separator(text string) rune {
	first, _, _ := strings.Cut(text, "\n")
	for _, r := range ";\t" {
		if strings.ContainsRune(first, r) {
			return r
		}
	}
	return ','
}

// serialColumn finds the column by its name; -1.
func serialColumn(head []string) int {
	return slices.IndexFunc(head, func(name string) bool {
		name = strings.ToLower(strings.NewReplacer(" ", "", "_", "", "-", "", ".", "", "/", "").Replace(name))
		return slices.Contains([]string{"serial", "serialnumber", "serialno", "sn", "seriennummer"}, name)
	})
}

// noteSerial is 0 for an empty line.
func noteSerial(row []string, column int) (token.Serial, error) {
	if len(row) <= column {
		return 0, errors.New("the serial number is missing")
	}
	text := strings.ReplaceAll(strings.TrimSpace(row[column]), " ", "")
	if text == "" && strings.Join(row, "") == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, errors.New("the serial number is not a decimal number")
	}
	return token.Serial(n), nil
}

// Delivery is how a batch differs from the delivery note.
type Delivery struct {
	Missing []token.Serial `json:"missing"` // on the note, never seen here
	Surplus []token.Serial `json:"surplus"` // here, not on the note
	Aside   []token.Serial `json:"put_aside"`
	Unnamed int            `json:"without_serial"` // keys put aside that do not tell theirs
}

// Compare holds what was seen, written or put aside, against the note.
func Compare(note []token.Serial, items []token.BatchItem, aside []token.PutAside) Delivery {
	d := Delivery{Missing: []token.Serial{}, Surplus: []token.Serial{}, Aside: []token.Serial{}}
	seen := map[token.Serial]bool{}
	for _, i := range items {
		seen[i.Serial] = true
	}
	for _, p := range aside {
		if p.Serial == 0 {
			d.Unnamed++
			continue
		}
		seen[p.Serial] = true
		d.Aside = append(d.Aside, p.Serial)
	}
	for _, s := range note {
		if !seen[s] {
			d.Missing = append(d.Missing, s)
		}
		delete(seen, s)
	}
	for s := range seen {
		d.Surplus = append(d.Surplus, s)
	}
	slices.Sort(d.Surplus)
	slices.Sort(d.Aside)
	return d
}
