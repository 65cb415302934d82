package paper

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/profile"
)

// layout is where labels are on a sheet, in millimetres. A roll is a sheet of one label.
type layout struct {
	pageWidth, pageHeight float64
	columns, rows         int
	left, top             float64 // of the first label
	pitchX, pitchY        float64 // from one label to the next
	width, height         float64
}

func roll(w, h float64) layout { return layout{w, h, 1, 1, 0, 0, w, h, w, h} }

// builtinLayouts are the sheets and rolls that offices have. Sources: the makers' data sheets of Avery L4731 (189 of 25.4 × 10 mm), L7651
// (65 of 38.1 × 21.2 mm) and L7160 (21 of 63.5 × 38.1 mm), DYMO 11354 (57 × 32 mm), Brother DK-11209 (62 × 29 mm) and DK-11221 (23 × 23 mm).
func builtinLayouts() map[string]layout {
	return map[string]layout{
		"avery-l4731": {210, 297, 7, 27, 8.48, 13.5, 27.94, 10, 25.4, 10},
		"avery-l7651": {210, 297, 5, 13, 4.75, 10.7, 40.6, 21.2, 38.1, 21.2},
		"avery-l7160": {210, 297, 3, 7, 7.25, 15.15, 66, 38.1, 63.5, 38.1},
		"dymo-11354":  roll(57, 32), "brother-dk11209": roll(62, 29), "brother-dk11221": roll(23, 23),
	}
}

// parseLayout reads sheet.NAME.txt. All keys are needed but left and top, which are 0, and the pitches, which are the label's size.
func parseLayout(text string) (layout, error) {
	lines, err := profile.Lines(text)
	if err != nil {
		return layout{}, err
	}
	var l layout
	var columns, rows float64
	at := map[string]*float64{
		"page-width": &l.pageWidth, "page-height": &l.pageHeight, "columns": &columns, "rows": &rows, "left": &l.left, "top": &l.top,
		"pitch-x": &l.pitchX, "pitch-y": &l.pitchY, "width": &l.width, "height": &l.height,
	}
	const keys = "page-width, page-height, columns, rows, left, top, pitch-x, pitch-y, width, height"
	seen := map[string]bool{}
	for _, line := range lines {
		into := at[line.Key]
		if into == nil {
			return layout{}, &profile.SyntaxError{Line: line.At, Column: line.KeyColumn, Problem: "unknown key; the keys are " + keys}
		}
		if seen[line.Key] {
			return layout{}, line.RefuseKey("comes twice")
		}
		seen[line.Key] = true
		if *into, err = length(line.Value); err != nil {
			return layout{}, line.Refuse(err.Error())
		}
		if into == &columns || into == &rows {
			if *into != float64(int(*into)) || *into < 1 {
				return layout{}, line.Refuse("is a whole number from 1")
			}
		}
	}
	l.columns, l.rows = int(columns), int(rows)
	if l.pitchX == 0 {
		l.pitchX = l.width
	}
	if l.pitchY == 0 {
		l.pitchY = l.height
	}
	return l, l.check()
}

// length reads millimetres: digits with a point.
func length(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.Trim(s, "0123456789.") != "" || v > maxLength {
		return 0, fmt.Errorf("is a number from 0 to %d, in millimetres, with a point: 25.4", maxLength)
	}
	return v, nil
}

// The longest side of a sheet and the shortest of a label, in millimetres.
const (
	maxLength = 2000
	minLength = 6
)

func (l layout) check() error {
	const slack = 0.05 // of data sheets that round
	for _, c := range []struct {
		bad     bool
		problem string
	}{
		{l.columns == 0 || l.rows == 0, "columns and rows are missing"},
		{l.width < minLength || l.height < minLength, fmt.Sprintf("width and height of a label are %d mm at least", minLength)},
		{l.pitchX < l.width-slack && l.columns > 1 || l.pitchY < l.height-slack && l.rows > 1, "labels overlap: a pitch is less than the label's size"},
		{l.left+float64(l.columns-1)*l.pitchX+l.width > l.pageWidth+slack, "the labels are wider than the page: see left, columns, pitch-x, width, page-width"},
		{l.top+float64(l.rows-1)*l.pitchY+l.height > l.pageHeight+slack, "the labels are higher than the page: see top, rows, pitch-y, height, page-height"},
	} {
		if c.bad {
			return fmt.Errorf("%s", c.problem)
		}
	}
	return nil
}
