package desk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// personFormat is the name of the file format in errors.
const personFormat = "person-csv"

// batch is how many rows go into one transaction.
const batch = 100

// maxText is the longest account, name, mail or note, in bytes.
const maxText = 1000

// TextError is a field whose text is not allowed. It does not hold the text.
type TextError struct{ Field, Cause string }

func (e *TextError) Error() string { return e.Field + ": " + e.Cause }

// checkText allows what prints on one line.
func checkText(field, s string, required bool) error {
	switch {
	case required && s == "":
		return &TextError{field, "is empty"}
	case len(s) > maxText:
		return &TextError{field, "is too long"}
	case !utf8.ValidString(s):
		return &TextError{field, "is not UTF-8"}
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return &TextError{field, "has a control character"}
	case strings.TrimSpace(s) != s:
		return &TextError{field, "begins or ends with a space"}
	}
	return nil
}

// checkPerson: an account is taken as it is, case and all; it must fit into one field of a comma-separated file.
func checkPerson(p token.Person) error {
	if err := checkText("account", p.Account, true); err != nil {
		return err
	}
	if strings.Contains(p.Account, ",") {
		return &TextError{"account", "has a comma"}
	}
	if err := checkText("name", p.Name, false); err != nil {
		return err
	}
	if err := checkText("mail", p.Mail, false); err != nil {
		return err
	}
	_, err := checkGroups(p.Groups)
	return err
}

// AddPerson registers somebody. token.ErrDuplicate if the account exists, *TextError for a text that is not allowed.
func (d *Desk) AddPerson(ctx context.Context, p token.Person) error {
	if err := checkPerson(p); err != nil {
		return err
	}
	added, err := d.Store.AddPersons(ctx, []token.Person{p})
	if err == nil && !added[0] {
		err = fmt.Errorf("account: %w", token.ErrDuplicate)
	}
	return err
}

// Group puts a person into groups and takes the person out of others, and returns the person as it is then. token.ErrNotFound,
// *TextError.
func (d *Desk) Group(ctx context.Context, account string, add, remove []string) (token.Person, error) {
	for _, g := range slices.Concat(add, remove) {
		if err := checkGroup(g); err != nil {
			return token.Person{}, err
		}
	}
	if err := d.Store.SetGroups(ctx, account, add, remove); err != nil {
		return token.Person{}, err
	}
	return d.Store.Person(ctx, account)
}

// Persons lists all, by account.
func (d *Desk) Persons(ctx context.Context) ([]token.Person, error) { return d.Store.Persons(ctx) }

// PersonRow is what became of one row of a file.
type PersonRow struct {
	Line    int
	Account string // "" if the row is bad
	Added   bool   // false without Err: the account exists already
	Err     *keyfile.RowError
}

// ImportPersons reads a CSV file of persons: a header line with the columns account, name, mail and groups (with semicolons
// between them) in any order, of which only account is required; then one person a line. report is called for each row, in the order of the file; good rows are
// kept whatever the others are. The error is the header's (*keyfile.RowError), the reader's or the store's: what was
// reported before it is stored.
func (d *Desk) ImportPersons(ctx context.Context, r io.Reader, report func(PersonRow)) error {
	var rows []PersonRow
	var persons []token.Person
	flush := func() error {
		added, err := d.Store.AddPersons(ctx, persons)
		if err != nil {
			return err
		}
		next := 0
		for _, row := range rows {
			if row.Err == nil {
				row.Added = added[next]
				next++
			}
			report(row)
		}
		rows, persons = rows[:0], persons[:0]
		return nil
	}
	for row, err := range readPersons(r) {
		if err != nil {
			return errors.Join(flush(), err)
		}
		rows = append(rows, PersonRow{Line: row.line, Account: row.Account, Err: row.err})
		if row.err == nil {
			persons = append(persons, row.Person)
		}
		if len(rows) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

type personRow struct {
	token.Person
	line int
	err  *keyfile.RowError
}

// readPersons yields one row at a time; an error ends it.
func readPersons(r io.Reader) func(yield func(personRow, error) bool) {
	return func(yield func(personRow, error) bool) {
		in := csv.NewReader(withoutBOM(r))
		in.FieldsPerRecord = -1
		in.ReuseRecord = true
		header, err := in.Read()
		if err != nil {
			yield(personRow{}, headerError(1, 1, "the header line is missing or no CSV", err))
			return
		}
		columns := slices.Clone(header)
		for i, c := range columns {
			columns[i] = strings.ToLower(strings.TrimSpace(c))
			if !slices.Contains([]string{"account", "name", "mail", "groups"}, columns[i]) || slices.Contains(columns[:i], columns[i]) {
				yield(personRow{}, headerError(1, i+1, "the header has the columns account, name, mail, groups, each once", nil))
				return
			}
		}
		if !slices.Contains(columns, "account") {
			yield(personRow{}, headerError(1, 1, "the header has no column account", nil))
			return
		}
		for {
			fields, err := in.Read()
			if err == io.EOF {
				return
			}
			row, err := parsePerson(in, columns, fields, err)
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// headerError keeps the reader's own failures; a *csv.ParseError is told by position.
func headerError(line, column int, cause string, err error) error {
	var p *csv.ParseError
	if err != nil && err != io.EOF && !errors.As(err, &p) {
		return err
	}
	return &keyfile.RowError{Format: personFormat, Line: line, Column: column, Field: "header", Cause: cause}
}

func parsePerson(in *csv.Reader, columns, fields []string, err error) (personRow, error) {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return personRow{line: p.StartLine, err: &keyfile.RowError{Format: personFormat, Line: p.Line, Column: 1, Field: "row", Cause: p.Err.Error()}}, nil
	}
	if err != nil {
		return personRow{}, err
	}
	line, _ := in.FieldPos(0)
	bad := func(i int, field, cause string) (personRow, error) {
		return personRow{line: line, err: &keyfile.RowError{Format: personFormat, Line: line, Column: i + 1, Field: field, Cause: cause}}, nil
	}
	if len(fields) != len(columns) {
		return bad(min(len(fields), len(columns)), "row", fmt.Sprintf("has %d fields, the header has %d", len(fields), len(columns)))
	}
	row := personRow{line: line}
	var groups string
	for i, c := range columns {
		*map[string]*string{"account": &row.Account, "name": &row.Name, "mail": &row.Mail, "groups": &groups}[c] = strings.Clone(strings.TrimSpace(fields[i]))
	}
	row.Groups = parseGroups(groups)
	var te *TextError
	if errors.As(checkPerson(row.Person), &te) {
		column := te.Field
		if column == "group" {
			column = "groups"
		}
		return bad(slices.Index(columns, column), column, te.Cause)
	}
	return row, nil
}

// parseGroups reads names between semicolons, with blanks around them or not.
func parseGroups(text string) []string {
	var list []string
	for name := range strings.SplitSeq(text, ";") {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, name)
		}
	}
	return list
}

// withoutBOM skips the mark that spreadsheets put in front.
func withoutBOM(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if head, err := b.Peek(3); err == nil && bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(len(head)) // they are in the buffer
	}
	return b
}
