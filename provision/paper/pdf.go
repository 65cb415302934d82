package paper

import (
	"fmt"
	"io"
	"time"

	"github.com/go-pdf/fpdf"
)

// pointsPerMM converts a font's size.
const pointsPerMM = 72 / 25.4

func setFont(pdf *fpdf.Fpdf, heavy bool, size float64) {
	style := regular
	if heavy {
		style = bold
	}
	pdf.SetFont(family, style, size*pointsPerMM)
}

// newPDF is an empty file whose bytes depend on nothing but what is drawn.
func newPDF(face *typeface, w, h float64, at time.Time, title string) *fpdf.Fpdf {
	pdf := fpdf.NewCustom(&fpdf.InitType{OrientationStr: "P", UnitStr: "mm", Size: fpdf.SizeType{Wd: w, Ht: h}})
	pdf.SetCreationDate(at)
	pdf.SetModificationDate(at)
	pdf.SetCatalogSort(true)
	pdf.SetProducer("tokendesk", true)
	pdf.SetTitle(title, true)
	pdf.SetMargins(0, 0, 0)
	pdf.SetAutoPageBreak(false, 0)
	face.add(pdf)
	return pdf
}

// meter measures texts.
type meter struct {
	pdf  *fpdf.Fpdf
	face *typeface
	lost bool // a text had a character that the font lacks
}

func newMeter(face *typeface) *meter {
	return &meter{pdf: newPDF(face, 100, 100, time.Unix(0, 0).UTC(), ""), face: face}
}

func (m *meter) width(s string, heavy bool, size float64) float64 {
	setFont(m.pdf, heavy, size)
	return m.pdf.GetStringWidth(s)
}

// squeeze makes a line smaller until it fits, and cuts what does not fit at the smallest size.
func (m *meter) squeeze(l *textLine, most float64) {
	text, _ := m.face.printable(l.text)
	l.text = text
	l.width = m.width(l.text, l.bold, l.size)
	if l.width > most {
		l.size = max(smallestText, l.size*most/l.width*0.99) // a font's widths are rounded
		l.width = m.width(l.text, l.bold, l.size)
	}
	for r := []rune(l.text); l.width > most && len(r) > 1; l.width = m.width(l.text, l.bold, l.size) {
		r = r[:len(r)-1]
		l.text = string(r) + "…"
	}
}

// wrap breaks a text into lines, line n at most most(n) wide, with boxes for what cannot be printed.
func (m *meter) wrap(s string, most func(n int) float64, heavy bool, size float64) []string {
	s, lost := m.face.printable(s)
	m.lost = m.lost || lost
	return wrap(s, most, func(s string) float64 { return m.width(s, heavy, size) })
}

// form is the page of a size, in millimetres.
type form struct {
	width, height float64 // height 0: as long as it gets
	margin, base  float64 // base: size of the text
	apart         bool    // each part on its own page
}

func formOf(s Size) form {
	switch s {
	case A5:
		return form{148, 210, 12, 2.9, true}
	case Roll:
		return form{80, 0, 4, 2.7, false}
	}
	return form{210, 297, 18, 3.1, false}
}

// PDF writes a receipt; "" is the site's size. On A4 both parts on one page if they fit, on A5 on two, on a roll below one another.
func (p *Press) PDF(w io.Writer, r Receipt, s Size) error {
	list, f, err := p.blocks(r)
	if err != nil {
		return err
	}
	words := wordsOf(f.language)
	fo := formOf(p.site.size(s))
	set := &setter{meter: newMeter(p.face), form: fo, code: f.code}
	var parts []part
	for _, blocks := range split(list) {
		one, err := set.part(blocks, words.unprintable)
		if err != nil {
			return err
		}
		parts = append(parts, one)
	}
	pages := paginate(parts, fo)
	if fo.height == 0 {
		fo.height = max(fo.width, pages[0].height+2*fo.margin)
	}
	pdf := newPDF(p.face, fo.width, fo.height, r.at(), plain(f.Number))
	for i, page := range pages {
		pdf.AddPage()
		for _, u := range page.units {
			u.draw(pdf, fo.margin, fo.margin+u.at)
		}
		if len(pages) > 1 {
			setFont(pdf, false, fo.base*0.8)
			foot := fmt.Sprintf(words.page, i+1, len(pages))
			if n := plain(f.Number); n != "" {
				foot = n + " · " + foot
			}
			foot, _ = p.face.printable(foot)
			pdf.Text(fo.margin, fo.height-fo.margin*0.5, foot)
		}
	}
	return pdf.Output(w)
}
