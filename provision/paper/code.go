package paper

import (
	"fmt"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/oned"
	"rsc.io/qr"
)

// modules are the dark squares of a QR code, or the bars of a barcode in its one row, without the quiet zone.
type modules struct {
	width, height int
	dark          func(x, y int) bool
}

// Quiet zones in modules. Source: ISO/IEC 18004 (4) and 15417 (10).
const (
	quietQR  = 4
	quietBar = 10
)

// qrCode is a QR code with the level M, which withstands a scratch.
func qrCode(text string) (modules, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return modules{}, fmt.Errorf("qr: %w", err)
	}
	return modules{c.Size, c.Size, c.Black}, nil
}

// barcode is a Code 128 of printable ASCII characters, 80 at most.
func barcode(text string) (modules, error) {
	for _, r := range text {
		if r < ' ' || r > '~' {
			return modules{}, fmt.Errorf("a Code 128 takes letters, digits and signs of ASCII alone: use [qr] in the label's template")
		}
	}
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_MARGIN: 0}
	m, err := oned.NewCode128Writer().Encode(text, gozxing.BarcodeFormat_CODE_128, 1, 1, hints)
	if err != nil {
		return modules{}, fmt.Errorf("code 128: %w", err)
	}
	return modules{m.GetWidth(), 1, func(x, _ int) bool { return m.Get(x, 0) }}, nil
}

// rect is a dark piece of a code, in modules.
type rect struct{ x, y, w, h int }

// rects are the dark pieces, neighbours of a row in one.
func (m modules) rects() []rect {
	var out []rect
	for y := range m.height {
		for x := 0; x < m.width; x++ {
			from := x
			for x < m.width && m.dark(x, y) {
				x++
			}
			if x > from {
				out = append(out, rect{from, y, x - from, 1})
			}
		}
	}
	return out
}
