package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

type pair struct {
	A string `json:"a"`
	B int    `json:"b"`
}

func pairColumns() []column[pair] {
	return []column[pair]{
		{"A", func(p pair) string { return p.A }},
		{"The B", func(p pair) string { return fmt.Sprint(p.B) }},
	}
}

// TestStreamIsList: rows that come one at a time are printed as a listing of all of them.
func TestStreamIsList(t *testing.T) {
	t.Parallel()
	for _, rows := range [][]pair{nil, {{"x", 1}}, {{"x", 1}, {"=<y>\"\n", 2}, {"", 3}}} {
		for _, format := range []string{"json", "csv"} {
			var want, got bytes.Buffer
			if err := list(&app{env: &env{stdout: &want}, format: format}, "pairs", rows, pairColumns()); err != nil {
				t.Fatal(err)
			}
			s := stream[pair]{w: &got, format: format, name: "pairs", columns: pairColumns()}
			for _, r := range rows {
				s.add(r)
			}
			if err := s.close(); err != nil || got.String() != want.String() || s.rows != len(rows) {
				t.Errorf("%s: %v, %d rows\n%s\nwant\n%s", format, err, s.rows, got.String(), want.String())
			}
			if format == "json" && !json.Valid(got.Bytes()) {
				t.Errorf("no JSON: %s", got.String())
			}
		}
	}
}

// failing takes so many writes.
type failing int

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if *f--; *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestStreamKeepsTheFirstError(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		w := failing(n)
		s := stream[pair]{w: &w, format: "json", name: "pairs"}
		s.add(pair{})
		s.add(pair{})
		if err := s.close(); !errors.Is(err, errFull) {
			t.Errorf("after %d writes: %v", n, err)
		}
	}
}
