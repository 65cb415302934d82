package main

import (
	"fmt"
	"io"
)

// stream is list for rows that come one at a time and are not kept: the same JSON and CSV, and nothing for a table. After an error
// of the output it says no more, and close returns that error.
type stream[T any] struct {
	w       io.Writer
	format  string // of -o
	name    string
	columns []column[T]
	rows    int
	err     error
}

func (s *stream[T]) add(row T) {
	if s.err != nil {
		return
	}
	switch s.format {
	case "json":
		s.err = s.addJSON(row)
	case "csv":
		s.err = s.addCSV([]T{row})
	}
	s.rows++
}

func (s *stream[T]) addJSON(row T) error {
	text, err := indented(row, "    ")
	if err != nil {
		return err
	}
	before := ",\n"
	if s.rows == 0 {
		before = fmt.Sprintf("{\n  \"schema\": %d,\n  %q: [\n", schema, s.name)
	}
	_, err = fmt.Fprintf(s.w, "%s    %s", before, text)
	return err
}

// addCSV writes rows, and the header before the first of all.
func (s *stream[T]) addCSV(rows []T) error {
	var head []string
	cells := make([][]string, len(rows))
	for _, c := range s.columns {
		if s.rows == 0 {
			head = append(head, c.name)
		}
		for i, r := range rows {
			cells[i] = append(cells[i], c.show(r))
		}
	}
	return writeCSV(s.w, head, cells)
}

// close ends the listing.
func (s *stream[T]) close() error {
	switch {
	case s.err != nil:
	case s.format == "json" && s.rows == 0:
		s.err = writeJSON(s.w, s.name, []T{})
	case s.format == "json":
		_, s.err = fmt.Fprint(s.w, "\n  ]\n}\n")
	case s.format == "csv" && s.rows == 0:
		s.err = s.addCSV(nil)
	}
	return s.err
}
