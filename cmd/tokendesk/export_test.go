package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
)

// TestEqualLossesAreOneLine: a thousand tokens that lose the same are one line, not a thousand.
func TestEqualLossesAreOneLine(t *testing.T) {
	t.Parallel()
	report := lossReport{notes: map[string]string{}}
	same := []keyfile.Loss{{Field: "label", Note: "no place"}, {Field: "owner", Note: "none either"}}
	for i := range 1000 {
		losses := same
		if i == 2 {
			losses = nil
		}
		report.add(fmt.Sprint("token ", i), losses)
	}
	var said bytes.Buffer
	report.say(&app{env: &env{stderr: &said}})
	want := `  token 0; token 1; token 3; token 4; token 5; and 994 more: label, owner
  token 2: nothing is lost
  label: no place
  owner: none either
`
	if said.String() != want {
		t.Errorf("got\n%swant\n%s", said.String(), want)
	}
}
