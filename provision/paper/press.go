package paper

import (
	"errors"
	"io"
	"io/fs"
)

// Press prints for one site. It may be used from any number of goroutines.
type Press struct{}

// Open reads a site's folder: site.txt, receipt.de.txt, label.txt, …; what is not there is built in, and nil is all built in. Every
// template is checked against all facts that can occur: the error says file, line and field, and later calls do not fail for a template.
func Open(folder fs.FS) (*Press, error) { return &Press{}, nil }

// Text writes a receipt as plain text, UTF-8, wrapped for the size, the two parts apart by a line.
func (p *Press) Text(w io.Writer, r Receipt, s Size) error { return errors.ErrUnsupported }

// PDF writes a receipt.
func (p *Press) PDF(w io.Writer, r Receipt, s Size) error { return errors.ErrUnsupported }

// LabelPDF writes labels onto the sheets of a layout, the first skip places left out because they are used up.
func (p *Press) LabelPDF(w io.Writer, layout string, list []Label, skip int) error {
	return errors.ErrUnsupported
}

// LabelSVG writes one label.
func (p *Press) LabelSVG(w io.Writer, layout string, l Label) error { return errors.ErrUnsupported }

// LabelCSV writes labels for a label printer's own program.
func (p *Press) LabelCSV(w io.Writer, list []Label) error { return errors.ErrUnsupported }
