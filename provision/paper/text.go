package paper

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// columns are the widths of plain text, in cells of a fixed font. A receipt printer of 80 mm has 42 in its wide font.
func columns(s Size) int {
	switch s {
	case A5:
		return 60
	case Roll:
		return 42
	}
	return 76
}

// cells is how wide a text is in a fixed font.
func cells(s string) int {
	n := 0
	for _, r := range s {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case k == width.EastAsianWide || k == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// wrap breaks a text at blanks, but not at hard ones (U+00A0), into lines, line n at most most(n) wide as measure sees it, and inside a word that is longer. At least one line.
func wrap(s string, most func(n int) float64, measure func(string) float64) []string {
	var out []string
	line := ""
	for word := range strings.SplitSeq(s, " ") {
		if word == "" {
			continue
		}
		joined := strings.TrimPrefix(line+" "+word, " ")
		if line == "" || measure(joined) <= most(len(out)) {
			line = joined
		} else {
			out, line = append(out, line), word
		}
		for measure(line) > most(len(out)) {
			head := fit(line, most(len(out)), measure)
			if head == line {
				break // not even one character fits
			}
			out, line = append(out, head), strings.TrimSpace(line[len(head):])
		}
	}
	if line != "" || len(out) == 0 {
		out = append(out, line)
	}
	return out
}

// wrapCells is wrap for a fixed font.
func wrapCells(s string, most int) []string {
	return wrap(s, func(int) float64 { return float64(most) }, func(s string) float64 { return float64(cells(s)) })
}

// fit is the longest beginning of a text that fits, one character at least; it ends behind what belongs together in numbers and addresses.
func fit(s string, most float64, measure func(string) float64) string {
	end, soft := 0, 0
	for i, r := range s {
		next := i + len(string(r))
		if end > 0 && measure(s[:next]) > most && !unicode.In(r, unicode.Mn, unicode.Me) {
			break
		}
		if end = next; strings.ContainsRune("/-.@_?&=", r) && i > 0 {
			soft = end
		}
	}
	if soft > end/2 && end < len(s) {
		return s[:soft]
	}
	return s[:end]
}

// writer keeps the first error.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) line(s string) {
	if w.err == nil {
		_, w.err = fmt.Fprintln(w.w, strings.TrimRight(strings.ReplaceAll(s, "\u00a0", " "), " "))
	}
}

// writeText writes blocks for a fixed font.
func writeText(out io.Writer, list []block, columns int) error {
	w := &writer{w: out}
	lines := func(first, rest, s string) {
		for _, l := range wrapCells(s, columns-cells(first)) {
			w.line(first + l)
			first = rest
		}
	}
	for i, b := range list {
		switch b.kind {
		case gap:
			w.line("")
		case title:
			lines("", "", strings.ToUpper(b.text))
			w.line(strings.Repeat("=", min(columns, cells(b.text))))
		case heading:
			lines("", "", b.text)
			w.line(strings.Repeat("-", min(columns, cells(b.text))))
		case bullet:
			lines("- ", "  ", b.text)
		case row:
			label := labelWidth(list, i, columns*2/5)
			head := wrapCells(b.label+":", label)
			for _, l := range head[:len(head)-1] {
				w.line(l)
			}
			last := head[len(head)-1]
			lines(last+strings.Repeat(" ", max(0, label-cells(last))+1), strings.Repeat(" ", label+1), b.text)
		case box:
			lines("*** ", "*** ", b.text)
			if i+1 < len(list) && list[i+1].kind != box && list[i+1].kind != gap {
				w.line("")
			}
		case sign:
			w.line("")
			w.line("")
			w.line(strings.Repeat("_", columns))
			lines("", "", b.text)
		case cut:
			w.line("")
			w.line(strings.Repeat("- ", columns/2))
			w.line("")
		case paragraph:
			lines("", "", b.text)
		}
	}
	return w.err
}

// labelWidth is how wide the labels are of the rows around row i, most at most.
func labelWidth(list []block, i, most int) int {
	widest := 0
	for _, b := range neighbours(list, i) {
		widest = max(widest, cells(b.label)+1)
	}
	return min(widest, most)
}
