package pskc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
)

// Limits of what is read, so that no file can fill the memory. A package with a 64-byte seed and every element is under 4 KiB.
const (
	maxPackage = 64 << 10 // bytes of one KeyPackage, and of what stands before the first
	maxDepth   = 24       // of elements
)

// What ends the reading of a file.
var (
	ErrEncrypted = errors.New("the container is encrypted, which this version does not read: decrypt it with its supplier's tool")
	ErrDTD       = errors.New("the file holds a document type or an entity declaration, which is refused")
	ErrTooLarge  = fmt.Errorf("more than %d KiB in one key package", maxPackage>>10)
	ErrTooDeep   = fmt.Errorf("elements nested more than %d deep", maxDepth)
	ErrRoot      = errors.New("the root element is no KeyContainer")
	ErrCut       = errors.New("the file ends in the middle of a key package")
)

// Decode implements keyfile.Codec. Elements are matched by name in any namespace and any order. A file that ends without
// </KeyContainer> is read, as the Personalization Tool leaves it while it runs; one that ends inside a package is not.
// Signatures are not verified. Positions of errors are lines.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		d := newDecoder(r)
		for {
			rec, err := d.next()
			if err == io.EOF {
				return
			}
			last := err != nil && !keyfile.IsRow(err)
			if last {
				err = fmt.Errorf("pskc: line %d: %w", d.line(), err)
			}
			if !yield(rec, err) || last {
				return
			}
		}
	}
}

// decoder walks through the tokens of a file.
type decoder struct {
	xml    *xml.Decoder
	budget *budget
	depth  int
	root   bool  // the KeyContainer was opened
	end    int64 // bytes up to the end of the last token
}

func newDecoder(r io.Reader) *decoder {
	b := &budget{r: r, left: maxPackage}
	return &decoder{xml: xml.NewDecoder(b), budget: b}
}

func (d *decoder) line() int {
	line, _ := d.xml.InputPos()
	return line
}

// token is the next token, with the limits kept. It is valid until the following call.
func (d *decoder) token() (xml.Token, error) {
	t, err := d.xml.Token()
	if err != nil {
		if e := (*xml.SyntaxError)(nil); errors.As(err, &e) {
			if strings.Contains(e.Msg, "unexpected EOF") {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, errors.New("not well-formed XML") // e may hold a name from the file
		}
		if err != io.EOF && err != d.budget.err {
			err = errors.New("not UTF-8 XML") // err may hold a name from the file
		}
		return nil, err
	}
	d.end = d.xml.InputOffset()
	switch t.(type) {
	case xml.Directive:
		return nil, ErrDTD
	case xml.StartElement:
		if d.depth++; d.depth > maxDepth {
			return nil, ErrTooDeep
		}
	case xml.EndElement:
		d.depth--
	}
	return t, nil
}

// next is the next record, io.EOF at the end of the file, or a *keyfile.RowError for a package that is skipped.
func (d *decoder) next() (keyfile.Record, error) {
	for {
		t, err := d.token()
		switch {
		case err == io.ErrUnexpectedEOF && d.root && d.depth == 1 && d.end == d.budget.total:
			return keyfile.Record{}, io.EOF // unclosed between packages, and not inside a tag
		case err == io.ErrUnexpectedEOF:
			return keyfile.Record{}, ErrCut
		case err == io.EOF && !d.root:
			return keyfile.Record{}, ErrRoot
		case err != nil:
			return keyfile.Record{}, err
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch name := start.Name.Local; {
		case d.depth == 1:
			if name != "KeyContainer" || d.root {
				return keyfile.Record{}, ErrRoot
			}
			d.root = true
		case d.depth == 2 && name == "EncryptionKey":
			return keyfile.Record{}, ErrEncrypted
		case d.depth == 2 && name == "KeyPackage":
			d.budget.left = maxPackage
			return d.pkg()
		}
	}
}

// pkg reads one KeyPackage to its end.
func (d *decoder) pkg() (keyfile.Record, error) {
	p := &pkg{line: d.line()}
	defer p.destroy()
	var path []string
	var text bytes.Buffer
	leaf := false // the last token that was no text opened the element that is open
	for {
		t, err := d.token()
		if err == io.ErrUnexpectedEOF || err == io.EOF {
			err = ErrCut
		}
		if err != nil {
			clear(text.Bytes())
			return keyfile.Record{}, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			leaf = true
			clear(text.Bytes())
			text.Reset()
			p.open(strings.Join(path, "/"), t.Attr, d.line())
		case xml.CharData:
			text.Write(t)
			clear(t)
		case xml.EndElement:
			if len(path) == 0 {
				return p.record()
			}
			if leaf { // text beside elements is none
				p.close(strings.Join(path, "/"), text.Bytes(), d.line())
			}
			leaf = false
			clear(text.Bytes())
			text.Reset()
			path = path[:len(path)-1]
		}
	}
}

// budget is a reader that fails with ErrTooLarge when more than left bytes were read; the decoder fills it up at every package.
type budget struct {
	r     io.Reader
	left  int
	total int64 // bytes read so far
	err   error // what Read said last, nil or not
}

// Read implements io.Reader.
func (b *budget) Read(p []byte) (n int, err error) {
	defer func() { b.err = err }()
	if b.left <= 0 {
		return 0, ErrTooLarge
	}
	n, err = b.r.Read(p[:min(len(p), b.left)])
	if b.total == 0 && n > 0 {
		if e := keyfile.Unreadable(p[:n]); e != nil {
			return 0, e
		}
	}
	b.left -= n
	b.total += int64(n)
	return n, err
}
