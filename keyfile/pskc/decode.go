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

// What ends the reading of a file, besides what the vault says.
var (
	ErrDTD      = errors.New("the file holds a document type or an entity declaration, which is refused")
	ErrTooLarge = fmt.Errorf("more than %d KiB in one key package", maxPackage>>10)
	ErrTooDeep  = fmt.Errorf("elements nested more than %d deep", maxDepth)
	ErrRoot     = errors.New("the root element is no KeyContainer")
	ErrCut      = errors.New("the file is cut off: it ends inside an element")
)

// Decode implements keyfile.Codec. Elements are matched by name in any namespace, any case and any order, by the drafts' names
// too. A file that ends without </KeyContainer> is read, as the Personalization Tool leaves it while it runs; one that ends
// inside a package is not. Signatures are not verified, which Note is told. Positions of errors are lines.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		d := newDecoder(r, c)
		defer d.vault.destroy()
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
	vault  *vault
	note   func(line int, text string)
	noted  map[string]bool
}

func newDecoder(r io.Reader, c Codec) *decoder {
	b := &budget{r: r, left: maxPackage}
	return &decoder{xml: xml.NewDecoder(b), budget: b, vault: &vault{ask: c.opener()}, note: c.Note, noted: map[string]bool{}}
}

// say tells the caller's Note something, once in a file.
func (d *decoder) say(line int, text string) {
	if d.note != nil && !d.noted[text] {
		d.noted[text] = true
		d.note(line, text)
	}
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
		name := elementName(start)
		switch {
		case d.depth == 1:
			if name != "keycontainer" || d.root {
				return keyfile.Record{}, ErrRoot
			}
			d.root = true
		case d.depth == 2 && name == "keypackage":
			d.budget.left = maxPackage
			return d.pkg()
		case d.depth == 2 && name == "signature":
			d.say(d.line(), "the file is signed, and the signature is not verified")
		case d.depth == 2:
			d.vault.open(name, start.Attr, d.line())
			if err := d.visit(name, d.vault); err != nil {
				return keyfile.Record{}, err
			}
		}
	}
}

// pkg reads one KeyPackage to its end.
func (d *decoder) pkg() (keyfile.Record, error) {
	p := &pkg{line: d.line(), say: d.say}
	defer p.destroy()
	if err := d.visit("", p); err != nil {
		return keyfile.Record{}, err
	}
	return p.record(d.vault)
}

// visitor is told what stands in an element. Paths are element names joined by slashes; text is valid during the call.
type visitor interface {
	open(path string, attrs []xml.Attr, line int)
	close(path string, text []byte, line int) // of an element that holds text only
}

// visit reads the element that is open, whose path is root, to its end.
func (d *decoder) visit(root string, v visitor) error {
	var path []string
	if root != "" {
		path = append(path, root)
	}
	var text bytes.Buffer
	defer func() { clear(text.Bytes()) }()
	leaf := root != "" // the last token that was no text opened the element that is open
	for depth := 0; ; {
		t, err := d.token()
		if err == io.ErrUnexpectedEOF || err == io.EOF {
			err = ErrCut
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			path = append(path, elementName(t))
			leaf = true
			clear(text.Bytes())
			text.Reset()
			v.open(strings.Join(path, "/"), t.Attr, d.line())
		case xml.CharData:
			text.Write(t)
			clear(t)
		case xml.EndElement:
			if leaf { // text beside elements is none
				v.close(strings.Join(path, "/"), bytes.TrimSpace(text.Bytes()), d.line())
			}
			if depth--; depth < 0 {
				return nil
			}
			leaf = false
			clear(text.Bytes())
			text.Reset()
			path = path[:len(path)-1]
		}
	}
}

// drafts are the names that drafts of RFC 6030 had for elements. Source: reference key-files.md §5, §9.
var drafts = map[string]string{"device": "keypackage", "deviceid": "deviceinfo", "usage": "algorithmparameters", "valuedigest": "valuemac"}

// elementName is the local name in lower case, the RFC's where a draft's has changed. privacyIDEA's exporter writes all names
// in lower case. The oldest drafts' <Data Name="SECRET"> is <Data><Secret> here.
func elementName(t xml.StartElement) string {
	name := strings.ToLower(t.Name.Local)
	if now, ok := drafts[name]; ok {
		return now
	}
	if of := attr(t.Attr, "name"); name == "data" && of != "" {
		return name + "/" + strings.ToLower(of)
	}
	return name
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
