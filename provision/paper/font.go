package paper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-fonts/dejavu/dejavusans"
	"github.com/go-fonts/dejavu/dejavusansbold"
	"github.com/go-pdf/fpdf"
	"golang.org/x/image/font/sfnt"
)

// The one family of a PDF, and its styles.
const (
	family  = "paper"
	regular = ""
	bold    = "B"
)

// typeface is what PDFs are set in. DejaVu Sans has Latin, Greek, Cyrillic, Armenian and Georgian letters; a site that has persons whose names
// need others puts a TrueType font of its own into its folder.
type typeface struct {
	regular, bold []byte
	has           func(rune) bool
	lack          rune // is drawn for what the font lacks
}

func builtinFace() (*typeface, error) { return newFace(dejavusans.TTF, dejavusansbold.TTF) }

// siteFace reads a font that nobody has tried yet.
func siteFace(plain, heavy []byte) (*typeface, error) {
	f, err := newFace(plain, heavy)
	if err != nil {
		return nil, err
	}
	return f, f.try()
}

// newFace reads a TrueType font in two weights.
func newFace(plain, heavy []byte) (*typeface, error) {
	var both [2]*sfnt.Font
	for i, b := range [][]byte{plain, heavy} {
		// The PDF writer takes these two kinds alone, and talks on standard output about others.
		if !bytes.HasPrefix(b, []byte("\x00\x01\x00\x00")) && !bytes.HasPrefix(b, []byte("true")) {
			return nil, errors.New("is no TrueType font; OpenType fonts with PostScript outlines (.otf) and collections (.ttc) cannot be used")
		}
		var err error
		if both[i], err = sfnt.Parse(b); err != nil {
			return nil, fmt.Errorf("is no TrueType font: %w", err)
		}
	}
	f := &typeface{regular: plain, bold: heavy, lack: missing, has: func(r rune) bool {
		for _, one := range both {
			if i, err := one.GlyphIndex(nil, r); err != nil || i == 0 {
				return false
			}
		}
		return true
	}}
	if !f.has(missing) {
		f.lack = '?'
	}
	return f, nil
}

// try makes a page, so that a font that the PDF writer cannot use is found before somebody stands at the desk.
func (f *typeface) try() (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("is a font that cannot be used in a PDF")
		}
	}()
	pdf := fpdf.New("P", "mm", "A4", "")
	f.add(pdf)
	pdf.AddPage()
	pdf.Text(10, 10, "Aa0")
	return pdf.Output(io.Discard)
}

func (f *typeface) add(pdf *fpdf.Fpdf) {
	pdf.AddUTF8FontFromBytes(family, regular, f.regular)
	pdf.AddUTF8FontFromBytes(family, bold, f.bold)
	pdf.SetFont(family, regular, 10)
}

// lastRune is the last character that the PDF writer sets.
const lastRune = 0xffff

// printable is a text with a box for each character that cannot be printed; lost reports that there are some.
func (f *typeface) printable(s string) (out string, lost bool) {
	out = strings.Map(func(r rune) rune {
		if r > lastRune || !straight(r) || !f.has(r) {
			lost = true
			return f.lack
		}
		return r
	}, s)
	return out, lost
}
