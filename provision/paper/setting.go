package paper

import "github.com/go-pdf/fpdf"

// unit is a piece of a page that is not torn apart: most are one line.
type unit struct {
	height float64
	keep   bool // stays with the unit below it
	space  bool // nothing but room: left out at the top of a page
	draw   func(pdf *fpdf.Fpdf, x, y float64)
}

// part is what belongs together, in its order.
type part struct{ units []unit }

func (p part) height() (h float64) {
	for _, u := range p.units {
		h += u.height
	}
	return h
}

// placed is a unit on a page, from its upper margin.
type placed struct {
	unit
	at float64
}

type sheet struct {
	units  []placed
	height float64
}

// split parts the blocks at the cuts.
func split(list []block) [][]block {
	out := [][]block{nil}
	for _, b := range list {
		if b.kind == cut {
			out = append(out, nil)
			continue
		}
		out[len(out)-1] = append(out[len(out)-1], b)
	}
	return out
}

// paginate puts parts on pages. A part begins a page of its own if the form says so or it does not fit below the one before.
func paginate(parts []part, f form) []sheet {
	room := f.height - 2*f.margin
	pages := []sheet{{}}
	page := func() *sheet { return &pages[len(pages)-1] }
	put := func(u unit) {
		p := page()
		p.units = append(p.units, placed{u, p.height})
		p.height += u.height
	}
	for i, one := range parts {
		if i > 0 {
			line := cutLine(f)
			if f.height > 0 && (f.apart || page().height+line.height+one.height() > room) {
				pages = append(pages, sheet{})
			} else {
				put(line)
			}
		}
		for n, u := range one.units {
			need := u.height
			for k := n; one.units[k].keep && k+1 < len(one.units); k++ {
				need += one.units[k+1].height
			}
			if f.height > 0 && page().height > 0 && page().height+need > room {
				pages = append(pages, sheet{})
			}
			if u.space && page().height == 0 {
				continue
			}
			put(u)
		}
	}
	return pages
}

func cutLine(f form) unit {
	h := 5 * f.base
	return unit{height: h, draw: func(pdf *fpdf.Fpdf, x, y float64) {
		pdf.SetDashPattern([]float64{1.5, 1.5}, 0)
		pdf.SetLineWidth(0.2)
		pdf.Line(x/2, y+h/2, f.width-x/2, y+h/2)
		pdf.SetDashPattern(nil, 0)
	}}
}

// setter turns blocks into units.
type setter struct {
	*meter
	form
	code string

	out   []unit
	y     float64 // from the part's top
	float float64 // height of the code in the upper right corner; 0: none
}

// codeSide is how large the code of a receipt is, in sizes of the text.
const codeSide = 8.5

// lineHeight of text, in its size.
const lineHeight = 1.38

// room is how wide line n may be of lines that are height high and follow here.
func (s *setter) room(height float64) func(n int) float64 {
	y := s.y
	return func(n int) float64 {
		w := s.form.width - 2*s.margin
		if y+float64(n)*height < s.float {
			w -= s.float + s.base
		}
		return w
	}
}

func (s *setter) add(u unit) {
	s.out = append(s.out, u)
	s.y += u.height
}

// part sets the blocks of one part; remark is added if a character could not be printed.
func (s *setter) part(list []block, remark string) (part, error) {
	s.out, s.y, s.float, s.lost = nil, 0, 0, false
	for _, b := range list {
		if b.kind == code && s.float == 0 {
			if err := s.corner(b.text); err != nil {
				return part{}, err
			}
		}
	}
	for i, b := range list {
		s.block(b, list, i)
	}
	if s.y < s.float {
		s.add(unit{height: s.float - s.y, draw: nothing})
	}
	if s.lost && len(s.out) > 0 {
		s.add(unit{height: s.base, space: true, draw: nothing})
		s.lines(remark, false, s.base*0.85, 0, nil)
	}
	return part{s.out}, nil
}

func nothing(*fpdf.Fpdf, float64, float64) {}

// corner draws a code at the part's top, right: it takes no room below the lines beside it.
func (s *setter) corner(text string) error {
	if text == "" {
		text = s.code
	}
	c, err := qrCode(text)
	if err != nil {
		return err
	}
	side := codeSide * s.base
	s.float = side
	left := s.form.width - 2*s.margin - side
	s.out = append(s.out, unit{keep: true, draw: func(pdf *fpdf.Fpdf, x, y float64) {
		dot := side / float64(c.width)
		for _, r := range c.rects() {
			pdf.Rect(x+left+float64(r.x)*dot, y+float64(r.y)*dot, float64(r.w)*dot, float64(r.h)*dot, "F")
		}
	}})
	return nil
}

func (s *setter) block(b block, list []block, i int) {
	base := s.base
	switch b.kind {
	case gap:
		s.add(unit{height: base * 0.6, space: true, draw: nothing})
	case title:
		s.lines(b.text, true, base*1.55, 0, nil)
		s.add(unit{height: base * 0.3, draw: nothing})
	case heading:
		s.lines(b.text, true, base*1.08, 0, nil)
		s.out[len(s.out)-1].keep = true
	case bullet:
		first := true
		s.lines(b.text, false, base, base*1.3, func(pdf *fpdf.Fpdf, x, y float64) {
			if first {
				pdf.Circle(x+base*0.4, y+base*0.62, base*0.16, "F")
			}
			first = false
		})
	case box:
		s.lines(b.text, true, base, base*1.3, func(pdf *fpdf.Fpdf, x, y float64) {
			pdf.Rect(x, y, base*0.5, base*lineHeight, "F")
		})
		s.add(unit{height: base * 0.8, space: true, draw: nothing})
	case row:
		s.row(b, list, i)
	case sign:
		s.sign(b.text)
	case paragraph:
		s.lines(b.text, false, base, 0, nil)
	}
}

// lines adds a text line by line, indented, each with a mark in front of it.
func (s *setter) lines(text string, heavy bool, size, indent float64, mark func(*fpdf.Fpdf, float64, float64)) {
	room := s.room(size * lineHeight)
	for _, line := range s.wrap(text, func(n int) float64 { return room(n) - indent }, heavy, size) {
		s.add(unit{height: size * lineHeight, draw: func(pdf *fpdf.Fpdf, x, y float64) {
			if mark != nil {
				mark(pdf, x, y)
			}
			setFont(pdf, heavy, size)
			pdf.Text(x+indent, y+size*ascent, line)
		}})
	}
}

// row sets a label and its value beside one another; the labels of rows that follow one another are one column.
func (s *setter) row(b block, list []block, i int) {
	size := s.base
	column := 0.0
	for _, other := range neighbours(list, i) {
		column = max(column, s.meter.width(other.label, false, size*labelSize))
	}
	column = min(column, labelShare*(s.form.width-2*s.margin))
	labels := s.wrap(b.label, func(int) float64 { return column + 0.01 }, false, size*labelSize)
	room, indent := s.room(size*lineHeight), column+1.2*size
	values := s.wrap(b.text, func(n int) float64 { return room(n) - indent }, false, size)
	for n := range max(len(labels), len(values)) {
		label, value := "", ""
		if n < len(labels) {
			label = labels[n]
		}
		if n < len(values) {
			value = values[n]
		}
		s.add(unit{height: size * lineHeight, keep: n+1 < len(labels), draw: func(pdf *fpdf.Fpdf, x, y float64) {
			setFont(pdf, false, size*labelSize)
			pdf.SetTextColor(90, 90, 90)
			pdf.Text(x, y+size*ascent, label)
			pdf.SetTextColor(0, 0, 0)
			setFont(pdf, false, size)
			pdf.Text(x+indent, y+size*ascent, value)
		}})
	}
}

// The labels of rows: their size in that of the text, and their share of the page's width at most.
const (
	labelSize  = 0.92
	labelShare = 0.36
)

// neighbours are the rows around row i.
func neighbours(list []block, i int) []block {
	from, to := i, i
	for from > 0 && list[from-1].kind == row {
		from--
	}
	for to < len(list) && list[to].kind == row {
		to++
	}
	return list[from:to]
}

// sign sets a line to write on, with room above it.
func (s *setter) sign(text string) {
	size := s.base * 0.85
	s.add(unit{height: s.base * 4, keep: true, space: true, draw: nothing})
	width := min(95, s.form.width-2*s.margin)
	s.add(unit{height: s.base * 0.4, keep: true, draw: func(pdf *fpdf.Fpdf, x, y float64) {
		pdf.SetLineWidth(0.25)
		pdf.Line(x, y, x+width, y)
	}})
	s.lines(text, false, size, 0, nil)
}
