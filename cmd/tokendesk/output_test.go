package main

import (
	"strings"
	"testing"
)

// TestCSVFormula: a spreadsheet takes no cell for a formula, and numbers stay numbers.
func TestCSVFormula(t *testing.T) {
	t.Parallel()
	for cell, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "@x": "'@x", "-1+1": "'-1+1", "-cmd|' /C calc'!A0": "'-cmd|' /C calc'!A0",
		"-": "-", "-5": "-5", "-30s": "-30s", "A-1": "A-1", "": "",
	} {
		var b strings.Builder
		if err := writeCSV(&b, nil, [][]string{{cell, "x"}}); err != nil || b.String() != want+",x\n" {
			t.Errorf("%q: %q, %v", cell, b.String(), err)
		}
	}
}
