// Package xmlwalk goes through the elements of a foreign XML file one at a time and in constant memory, for formats that are a
// list of tokens. Document types and entity declarations are refused; no error holds a piece of the file.
package xmlwalk

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/keyfile"
)

// MaxElement is the longest element that a Walk reads at once, in bytes, with what stands before it. A token's is below 1 KiB.
const MaxElement = 64 << 10

// What ends a Walk. None of them holds a piece of the file.
var (
	ErrDTD      = errors.New("the file holds a document type or an entity declaration, which is refused")
	ErrTooLarge = fmt.Errorf("more than %d KiB in one element", MaxElement>>10)
	ErrSyntax   = errors.New("not well-formed UTF-8 XML, or cut short")
)

// Walk goes through the children of a document's elements, one at a time and in constant memory. Namespaces are not looked at.
type Walk struct {
	xml    *xml.Decoder
	limit  *io.LimitedReader
	source *source
	err    error // what the file is that no Walk reads
}

// source remembers how reading failed, because the decoder's own errors look like it.
type source struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (n int, err error) {
	n, err = s.r.Read(p)
	s.err = err
	return n, err
}

// New begins before the root element.
func New(r io.Reader) *Walk {
	src := &source{r: r}
	in := bufio.NewReader(src)
	head, _ := in.Peek(32) // an error comes again below
	limit := &io.LimitedReader{R: in}
	return &Walk{xml: xml.NewDecoder(limit), limit: limit, source: src, err: keyfile.Unreadable(head)}
}

// Child opens the next child of the element that is open; nil: there is none, and the element is closed. What Child opened is
// closed by Into, by Skip, or by a Child that gave nil.
func (w *Walk) Child() (*xml.StartElement, error) {
	if w.err != nil {
		return nil, w.err
	}
	w.limit.N = MaxElement
	for {
		t, err := w.xml.Token()
		if err != nil {
			return nil, w.failure(err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, ErrDTD
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		}
	}
}

// Line is the line of the element that was opened last.
func (w *Walk) Line() int {
	line, _ := w.xml.InputPos()
	return line
}

// Into decodes the element that Child opened, to its end.
func (w *Walk) Into(v any, start *xml.StartElement) error {
	return w.failure(w.xml.DecodeElement(v, start))
}

// Skip passes over the element that Child opened, to its end.
func (w *Walk) Skip() error { return w.failure(w.xml.Skip()) }

// failure is err without what it says of the file.
func (w *Walk) failure(err error) error {
	var syntax *xml.SyntaxError
	switch {
	case err == nil:
		return nil
	case w.limit.N <= 0:
		return ErrTooLarge
	case err == io.EOF, errors.As(err, &syntax):
		return ErrSyntax
	}
	if w.source.err != nil && w.source.err != io.EOF {
		return w.source.err
	}
	return ErrSyntax // another encoding: err may hold a piece of the file
}
