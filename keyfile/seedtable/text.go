package seedtable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile"
)

// Charset is how the characters of a file are written.
type Charset string

// The character sets.
const (
	UTF8   Charset = "UTF-8"
	UTF16  Charset = "UTF-16"
	Latin1 Charset = "Latin-1"
)

// What a file is that is no table.
var (
	ErrZIP     = errors.New("a ZIP: unpack it first, with the password that came apart from it; an Excel workbook is one too: save it as CSV")
	ErrArchive = errors.New("an archive: unpack it first")
	ErrExcel   = errors.New("an Excel workbook: save it as CSV")
	ErrPDF     = errors.New("a PDF, which holds no table that can be read: ask the vendor for CSV or PSKC")
	ErrBinary  = errors.New("no text: it holds NUL bytes")
	ErrMarkup  = errors.New("XML or JSON, which no other format here recognises")
)

// magics are the first bytes of files that vendors send and that are no tables. Suffixes mean nothing: Feitian's ZIP is called
// .pdf. Source: reference key-files.md §9.
func magics() []magic {
	return []magic{
		{"PK\x03\x04", ErrZIP}, {"PK\x05\x06", ErrZIP}, {"7z\xBC\xAF\x27\x1C", ErrArchive}, {"Rar!\x1A\x07", ErrArchive}, {"\x1F\x8B", ErrArchive},
		{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", ErrExcel}, {"%PDF-", ErrPDF},
	}
}

type magic struct {
	prefix string
	err    error
}

// foreign says why a file that begins with head is no table; nil when it may be one.
func foreign(head []byte) error {
	for _, m := range magics() {
		if bytes.HasPrefix(head, []byte(m.prefix)) {
			return m.err
		}
	}
	return nil
}

// text is a file as UTF-8: UTF-16 by its byte-order mark, and every byte that is not part of UTF-8 as Latin-1.
type text struct {
	r       io.Reader
	charset Charset // Latin1 from the first such byte on
	order   binary.ByteOrder
	block   []byte // memory of in
	decoded []byte // memory of out
	in      []byte // read and not yet decoded
	out     []byte // decoded and not yet read
	begun   bool
	err     error
}

// textBlock is how much is decoded at once, in bytes.
const textBlock = 4096

// Read implements io.Reader.
func (t *text) Read(p []byte) (int, error) {
	for empty := 0; len(t.out) == 0; empty++ {
		if t.err != nil {
			return 0, t.err
		}
		if empty > 100 { // as bufio: a reader that returns nothing for so long is broken
			return 0, io.ErrNoProgress
		}
		if err := t.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

// clear overwrites what is left of the file in memory.
func (t *text) clear() {
	clear(t.block)
	clear(t.decoded[:cap(t.decoded)])
}

func (t *text) fill() error {
	if t.block == nil {
		t.block, t.decoded = make([]byte, textBlock), make([]byte, 0, 2*textBlock)
	}
	left := copy(t.block, t.in)
	n, err := t.r.Read(t.block[left:])
	n += left
	t.in, t.err = t.block[:n], err
	if !t.begun && n < 8 && err == nil {
		return nil // not enough to see the magic
	}
	if !t.begun {
		t.begun = true
		if err := t.begin(); err != nil {
			return err
		}
	}
	if t.order != nil {
		t.fromUTF16()
	} else {
		t.fromBytes()
	}
	return nil
}

// begin looks at the first bytes.
func (t *text) begin() error {
	t.charset = UTF8
	if err := foreign(t.in); err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(t.in, []byte{0xFE, 0xFF}):
		t.order = binary.BigEndian
	case bytes.HasPrefix(t.in, []byte{0xFF, 0xFE}):
		t.order = binary.LittleEndian
	default:
		return keyfile.Unreadable(t.in)
	}
	t.charset = UTF16
	t.in = t.in[2:]
	return nil
}

func (t *text) fromUTF16() {
	in, out := t.in, t.decoded[:0]
	for len(in) >= 2 {
		c := rune(t.order.Uint16(in))
		if utf16.IsSurrogate(c) {
			if len(in) < 4 && t.err == nil {
				break
			}
			pair := utf8.RuneError
			if len(in) >= 4 {
				pair = utf16.DecodeRune(c, rune(t.order.Uint16(in[2:])))
			}
			if c = pair; c != utf8.RuneError {
				in = in[2:]
			}
		}
		out = utf8.AppendRune(out, c)
		in = in[2:]
	}
	if t.err != nil && len(in) > 0 {
		out = utf8.AppendRune(out, utf8.RuneError) // half a character at the end
		in = nil
	}
	t.in, t.out = in, out
}

func (t *text) fromBytes() {
	in, out := t.in, t.decoded[:0]
	for len(in) > 0 && (t.err != nil || utf8.FullRune(in)) {
		c, n := utf8.DecodeRune(in)
		if c == utf8.RuneError && n == 1 {
			c, t.charset = rune(in[0]), Latin1
		}
		out = utf8.AppendRune(out, c)
		in = in[n:]
	}
	t.in, t.out = in, out
}
