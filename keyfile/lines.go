package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the longest line that is read, in bytes without its end. The longest sound row, an OATH CSV row with a 64-byte
// seed and names, stays below 1 KiB.
const MaxLine = 4096

// What a whole file can be that no codec reads.
var (
	ErrUTF16   = errors.New("the file is UTF-16; save it as UTF-8")
	ErrOpenPGP = errors.New("the file is an OpenPGP message; decrypt it first (gpg --decrypt)")
)

// utf8BOM is the byte-order mark that some editors put in front of UTF-8. It is skipped.
var utf8BOM = []byte{0xEF, 0xBB, 0xBF}

// DecodeLines reads a format of one record a line; LF and CRLF both end a line, a byte-order mark is skipped. parse gets every
// line that is neither empty nor too long nor damaged, and says whether a record stands on it; a problem goes into the Row.
func DecodeLines(format string, r io.Reader, parse func(*Row) (rec Record, ok bool)) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		l := &lines{format: format, r: r, buf: make([]byte, 16*MaxLine)}
		defer func() { clear(l.buf) }()
		for {
			text, err := l.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				if !yield(Record{}, err) || !IsRow(err) {
					return
				}
				continue
			}
			if len(bytes.TrimSpace(text)) == 0 {
				continue
			}
			row := &Row{Format: format, Line: l.line, Text: text}
			rec, ok := parse(row)
			if row.err != nil {
				rec.Destroy()
				if !yield(Record{}, row.err) || !IsRow(row.err) {
					return
				}
				continue
			}
			if !ok {
				continue
			}
			rec.Line = l.line
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// lines cuts a reader into lines in one buffer of its own.
type lines struct {
	format     string
	r          io.Reader
	buf        []byte
	start, end int // the unread part of buf
	line       int // number of the line last returned
	eof        bool
}

// next is the next line without its end, valid until the following call; io.EOF after the last one. A *RowError is about
// one line.
func (l *lines) next() ([]byte, error) {
	text, long, err := l.cut()
	if err != nil {
		return nil, err
	}
	l.line++
	if l.line == 1 {
		if err := Unreadable(text); err != nil {
			return nil, fmt.Errorf("%s: %w", l.format, err)
		}
		text = bytes.TrimPrefix(text, utf8BOM)
	}
	text = bytes.TrimSuffix(text, []byte("\r"))
	if long || len(text) > MaxLine {
		return nil, &RowError{Format: l.format, Line: l.line, Field: "line", Cause: fmt.Sprintf("longer than %d bytes", MaxLine)}
	}
	if !utf8.Valid(text) {
		return nil, &RowError{Format: l.format, Line: l.line, Field: "line", Cause: "not UTF-8"}
	}
	if bytes.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }) {
		return nil, &RowError{Format: l.format, Line: l.line, Field: "line", Cause: "contains control characters"}
	}
	return text, nil
}

// cut returns the bytes up to the next LF, which it consumes; long when they are only the end of a line longer than the buffer.
func (l *lines) cut() (text []byte, long bool, err error) {
	for {
		if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
			text = l.buf[l.start : l.start+i]
			l.start += i + 1
			return text, long, nil
		}
		if l.eof {
			text = l.buf[l.start:l.end]
			l.start = l.end
			if len(text) == 0 && !long {
				return nil, false, io.EOF
			}
			return text, long, nil
		}
		if l.end-l.start > MaxLine+len("\r") {
			if l.line == 0 { // what kind of file it is shows at its beginning
				if err := Unreadable(l.buf[l.start:l.end]); err != nil {
					return nil, false, fmt.Errorf("%s: %w", l.format, err)
				}
			}
			long = true
			l.start = l.end
		}
		if err := l.fill(); err != nil {
			return nil, false, err
		}
	}
}

// fill reads more into the buffer, which has room because a line is at most MaxLine long.
func (l *lines) fill() error {
	l.end = copy(l.buf, l.buf[l.start:l.end])
	l.start = 0
	for range 100 { // as bufio: a reader that returns nothing for so long is broken
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if err == io.EOF {
			l.eof = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: read: %w", l.format, err)
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("%s: read: %w", l.format, io.ErrNoProgress)
}

// Unreadable says, by its first bytes, why no codec can read a file: ErrUTF16, ErrOpenPGP or nil.
func Unreadable(head []byte) error {
	switch {
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}), bytes.HasPrefix(head, []byte{0xFF, 0xFE}):
		return ErrUTF16
	case bytes.HasPrefix(bytes.TrimPrefix(head, utf8BOM), []byte("-----BEGIN PGP ")):
		return ErrOpenPGP
	}
	return nil
}

// FirstRow is the first line of head that is neither blank nor a comment (#), without blanks around it, for Detect; nil when
// there is none. It may be cut short at the end of head.
func FirstRow(head []byte) []byte {
	for line := range bytes.Lines(TrimBOM(head)) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return line
		}
	}
	return nil
}

// TrimBOM is head without a byte-order mark, for Detect.
func TrimBOM(head []byte) []byte { return bytes.TrimPrefix(head, utf8BOM) }
