// Package qr draws QR codes, for terminals and as PNG and SVG, and reads them from pictures. It knows nothing of what they say.
//
//	code, err := qr.Encode(uri)
//	err = code.Terminal(os.Stdout, qr.Dark)
//	texts, err := qr.Decode(file) // a screenshot, several codes in one picture
//
// Encoding is by rsc.io/qr, decoding by gozxing; both take or give the text as a string, which cannot be cleared.
package qr

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"

	"rsc.io/qr"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// quiet is the width of the white border, in modules. Source: ISO/IEC 18004 §6.3.8.
const quiet = 4

// pixels is the side of a module in a PNG and of the unit of an SVG.
const pixels = 8

// ErrTooLong is text that does not fit into a QR code: 2953 bytes at most.
var ErrTooLong = errors.New("the text is too long for a QR code")

// Code is one QR code. Whoever has its modules has its text, so they are a secret. The zero value draws an empty square.
type Code struct {
	modules secret.Bytes // rows of size bytes, 1 is black
	size    int          // modules on a side, without the border
}

// Encode makes the code of a text, with error correction M, or L if the text is too long for that. The caller destroys it.
func Encode(text secret.Bytes) (Code, error) {
	q, err := qr.Encode(string(text.Reveal()), qr.M)
	if err != nil {
		q, err = qr.Encode(string(text.Reveal()), qr.L)
	}
	if err != nil {
		return Code{}, ErrTooLong
	}
	defer clear(q.Bitmap)
	modules := make([]byte, q.Size*q.Size)
	for i := range modules {
		if q.Black(i%q.Size, i/q.Size) {
			modules[i] = 1
		}
	}
	return Code{secret.New(modules), q.Size}, nil
}

// Destroy clears the modules.
func (c Code) Destroy() { c.modules.Destroy() }

// side is the number of modules on a side with the border.
func (c Code) side() int { return c.size + 2*quiet }

// black reports the module at x, y, counted from the corner of the border.
func (c Code) black(x, y int) bool {
	x, y = x-quiet, y-quiet
	m := c.modules.Reveal()
	return x >= 0 && x < c.size && y >= 0 && y < c.size && y*c.size+x < len(m) && m[y*c.size+x] == 1
}

// Background is what a terminal shows where nothing is written.
type Background bool

// The backgrounds. A code on the wrong one is inverted, which some cameras do not read.
const (
	Dark  Background = false
	Light Background = true
)

// halves are the characters of two modules, the upper one first, where true is drawn in the foreground's colour.
var halves = map[[2]bool]string{{false, false}: " ", {true, false}: "▀", {false, true}: "▄", {true, true}: "█"}

// Columns is the width of Terminal's lines, in characters.
func (c Code) Columns() int { return c.side() }

// Terminal writes lines of half blocks, two modules a character, with the border. On a dark background the white modules are
// drawn, on a light one the black ones.
func (c Code) Terminal(w io.Writer, b Background) error {
	out := bufio.NewWriter(w)
	for y := 0; y < c.side(); y += 2 {
		for x := range c.side() {
			draw := [2]bool{c.black(x, y) == bool(b), c.black(x, y+1) == bool(b)}
			if b == Light && y+1 == c.side() { // below the border nothing is drawn
				draw[1] = false
			}
			_, _ = out.WriteString(halves[draw]) // Flush says it
		}
		_ = out.WriteByte('\n')
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("qr: write: %w", err)
	}
	return nil
}

// PNG writes a picture in black and white, 8 pixels a module, with the border.
func (c Code) PNG(w io.Writer) error {
	img := image.NewPaletted(image.Rect(0, 0, c.side()*pixels, c.side()*pixels), color.Palette{color.White, color.Black})
	defer clear(img.Pix)
	for y := range c.side() * pixels {
		for x := range c.side() * pixels {
			if c.black(x/pixels, y/pixels) {
				img.Pix[y*img.Stride+x] = 1
			}
		}
	}
	if err := png.Encode(w, img); err != nil {
		return fmt.Errorf("qr: write: %w", err)
	}
	return nil
}

// SVG writes a drawing of one unit a module, with the border: a white square and one path with a bar for each run of black
// modules.
func (c Code) SVG(w io.Writer) error {
	out := bufio.NewWriter(w)
	n := c.side()
	_, _ = fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" shape-rendering="crispEdges">`+"\n"+
		`<rect width="%d" height="%d" fill="#fff"/>`+"\n"+`<path fill="#000" d="`, n, n, n*pixels, n*pixels, n, n)
	for y := range n {
		for x := 0; x < n; x++ {
			run := 0
			for c.black(x+run, y) {
				run++
			}
			if run > 0 {
				_, _ = fmt.Fprintf(out, "M%d %dh%dv1h-%dz", x, y, run, run)
			}
			x += run
		}
	}
	_, _ = out.WriteString("\"/>\n</svg>\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("qr: write: %w", err)
	}
	return nil
}
