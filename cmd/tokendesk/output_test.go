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

// TestCSVNames: a program reads the names of columns without quotes.
func TestCSVNames(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := writeCSV(&b, []string{"On, USB", "Slots in use"}, nil); err != nil || b.String() != "on_usb,slots_in_use\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

// TestPrintable: a name from a key or a picture steers no terminal, and turns round no row.
func TestPrintable(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Zoë Ťᶒśƫ 例": "Zoë Ťᶒśƫ 例", "a\x1b[2Jb\r\n\tc": "a[2Jbc", "a\u009b31mb\x7f": "a31mb", "a\xffb": "a\uFFFDb",
		"ab\u202ecod.exe\u202c": "abcod.exe", "\u2066x\u2069\u200f\u061c\u2028y": "xy",
	} {
		if got := printable(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
