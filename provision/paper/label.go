package paper

import (
	"cmp"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"
)

// sticker is one label as it is drawn: millimetres from its upper left corner.
type sticker struct {
	width, height float64
	dark          []area
	lines         []textLine
}

type area struct{ x, y, w, h float64 }

// textLine is a line of text: y is its baseline, size the font's, in millimetres.
type textLine struct {
	x, y, size, width float64
	bold              bool
	text              string
}

// Proportions of a label.
const (
	labelPad     = 0.07 // of the shorter side
	wide         = 1.5  // a label this many times as wide as high has its QR code at the left, others on top
	codeShare    = 0.45 // of the width, at most, for a QR code at the left
	codeHeight   = 0.6  // of the height for one on top
	barShare     = 0.42 // of the height for a barcode
	largestText  = 4.2  // millimetres
	smallestText = 0.9
	boldFactor   = 1.25
	lineFactor   = 1.25
	ascent       = 0.95 // of the size, from the top of a line to its baseline
	narrowestBar = 0.15 // millimetres: what printers of 200 dots an inch draw
	smallestDot  = 0.2
)

// sticker lays a label out.
func (p *Press) sticker(m *meter, l layout, templateName string, label Label) (sticker, error) {
	t := p.labels[templateName]
	if t == nil {
		return sticker{}, fmt.Errorf("label.%s.txt: %w", templateName, ErrUnknown)
	}
	text, err := fill(t, label.facts())
	if err != nil {
		return sticker{}, err
	}
	s := sticker{width: l.width, height: l.height}
	pad := labelPad * min(l.width, l.height)
	in := area{pad, pad, l.width - 2*pad, l.height - 2*pad}
	bars := 0.0
	var lines []block
	for _, b := range blocks(text, false) {
		switch b.kind {
		case code:
			if in, err = s.square(b.text, in, pad); err != nil {
				return s, err
			}
		case bar, title, paragraph:
			if b.text != "" {
				lines = append(lines, b)
			}
			if b.kind == bar {
				bars = barShare * in.h
			}
		}
	}
	return s, s.stack(m, lines, in, bars)
}

// square draws a QR code at the left of a wide label, or on top of one that is about as high as wide, and leaves the rest.
func (s *sticker) square(text string, in area, pad float64) (rest area, err error) {
	c, err := qrCode(text)
	if err != nil {
		return in, err
	}
	side, x := min(in.h, codeShare*s.width), in.x
	rest = area{in.x + side + pad, in.y, in.w - side - pad, in.h}
	if s.width < wide*s.height {
		side = min(in.w, codeHeight*in.h)
		x += (in.w - side) / 2
		rest = area{in.x, in.y + side, in.w, in.h - side}
	}
	dot := side / float64(c.width+2) // paper around it is the rest of the quiet zone
	if dot < smallestDot {
		return in, fmt.Errorf("a QR code of %d squares does not fit on %.1f mm", c.width, side)
	}
	for _, r := range c.rects() {
		s.dark = append(s.dark, area{x + float64(r.x+1)*dot, in.y + float64(r.y+1)*dot, float64(r.w) * dot, float64(r.h) * dot})
	}
	return rest, nil
}

// stack sets lines below one another, as large as they fit, a barcode among them bars high.
func (s *sticker) stack(m *meter, lines []block, in area, bars float64) error {
	units := 0.0
	for _, b := range lines {
		switch b.kind {
		case title:
			units += boldFactor
		case paragraph:
			units++
		}
	}
	size := largestText
	if units > 0 {
		size = min(size, (in.h-bars)/units/lineFactor)
	}
	y := in.y + max(0, in.h-bars-units*size*lineFactor)/2
	for _, b := range lines {
		if b.kind == bar {
			if err := s.bar(b.text, area{in.x, y, in.w, bars}); err != nil {
				return err
			}
			y += bars
			continue
		}
		line := textLine{x: in.x, size: size, text: b.text}
		step := size * lineFactor
		if b.kind == title {
			line.bold, line.size, step = true, size*boldFactor, step*boldFactor
		}
		line.y = y + line.size*ascent
		m.squeeze(&line, in.w)
		s.lines = append(s.lines, line)
		y += step
	}
	return nil
}

func (s *sticker) bar(text string, in area) error {
	c, err := barcode(text)
	if err != nil {
		return err
	}
	dot := in.w / float64(c.width+2*quietBar)
	if dot < narrowestBar {
		return fmt.Errorf("a barcode of %d characters does not fit on %.0f mm: use [qr] in the label's template", len(text), in.w)
	}
	for _, r := range c.rects() {
		s.dark = append(s.dark, area{in.x + float64(r.x+quietBar)*dot, in.y + 0.06*in.h, float64(r.w) * dot, 0.88 * in.h})
	}
	return nil
}

// layout finds the layout of stickers; "" is a roll of 62 × 29 mm.
func (p *Press) layout(name string) (layout, error) {
	l, ok := p.layouts[cmp.Or(name, "brother-dk11209")]
	if !ok {
		return l, p.Known("", "", name)
	}
	return l, nil
}

// LabelSVG writes one label, as large as the layout's.
func (p *Press) LabelSVG(w io.Writer, o Stickers, label Label) error {
	l, err := p.layout(o.Layout)
	if err != nil {
		return err
	}
	s, err := p.sticker(newMeter(p.face), l, o.Template, label)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]smm" height="%[2]smm" viewBox="0 0 %[1]s %[2]s">`+"\n", mm(s.width), mm(s.height))
	fmt.Fprintf(&b, `<rect width="%s" height="%s" fill="#fff"/>`+"\n", mm(s.width), mm(s.height))
	b.WriteString(`<path shape-rendering="crispEdges" d="`)
	for _, a := range s.dark {
		fmt.Fprintf(&b, "M%s %sh%sv%sh-%sz", mm(a.x), mm(a.y), mm(a.w), mm(a.h), mm(a.w))
	}
	b.WriteString(`"/>` + "\n")
	for _, line := range s.lines {
		weight := ""
		if line.bold {
			weight = ` font-weight="bold"`
		}
		fmt.Fprintf(&b, `<text x="%s" y="%s" font-family="DejaVu Sans, Verdana, sans-serif" font-size="%s"%s textLength="%s" lengthAdjust="spacingAndGlyphs">`,
			mm(line.x), mm(line.y), mm(line.size), weight, mm(line.width))
		if err := xml.EscapeText(&b, []byte(line.text)); err != nil {
			return err
		}
		b.WriteString("</text>\n")
	}
	b.WriteString("</svg>\n")
	_, err = io.WriteString(w, b.String())
	return err
}

// mm is a length with a resolution of a thousandth of a millimetre.
func mm(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
}

// LabelPDF writes labels onto the sheets of a layout, in their order, from left to right and from top to bottom.
func (p *Press) LabelPDF(w io.Writer, o Stickers, list []Label) error {
	l, err := p.layout(o.Layout)
	if err != nil {
		return err
	}
	places := l.columns * l.rows
	if o.Skip < 0 || o.Skip >= places && o.Skip > 0 {
		return fmt.Errorf("the sheet has %d places: between 0 and %d can be used up", places, places-1)
	}
	pdf := newPDF(p.face, l.pageWidth, l.pageHeight, time.Unix(0, 0).UTC(), "")
	m := &meter{pdf: pdf, face: p.face}
	for i, one := range list {
		s, err := p.sticker(m, l, o.Template, one)
		if err != nil {
			return fmt.Errorf("label %d of %d: %w", i+1, len(list), err)
		}
		at := i + o.Skip
		if i == 0 || at%places == 0 {
			pdf.AddPage()
		}
		at %= places
		s.draw(pdf, l.left+float64(at%l.columns)*l.pitchX, l.top+float64(at/l.columns)*l.pitchY)
	}
	if len(list) == 0 {
		pdf.AddPage()
	}
	return pdf.Output(w)
}

func (s sticker) draw(pdf *fpdf.Fpdf, x, y float64) {
	for _, a := range s.dark {
		pdf.Rect(x+a.x, y+a.y, a.w, a.h, "F")
	}
	for _, line := range s.lines {
		setFont(pdf, line.bold, line.size)
		pdf.Text(x+line.x, y+line.y, line.text)
	}
}

// LabelCSV writes labels for a label printer's own program. A cell that a spreadsheet would take for a formula gets an apostrophe in front
// (reference key-files.md §10).
func (p *Press) LabelCSV(w io.Writer, list []Label) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"code", "serial", "stock_number", "label", "model", "public_id", "batch"}}
	for _, l := range list {
		f := l.facts()
		row := []string{f.Code, f.Serial, f.Stock, f.Label, f.Model, f.PublicID, f.Batch}
		for i, cell := range row {
			if cell = unguard(cell); cell != "" && strings.Contains("=+-@", cell[:1]) {
				cell = "'" + cell
			}
			row[i] = cell
		}
		rows = append(rows, row)
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("labels: %w", err)
	}
	return nil
}
