package envelope

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"

	"github.com/tokendesk/tokendesk/keyfile"
)

// Limits of an armoured message. Lines have 64 characters as gpg and age write them, 76 at most by RFC 9580 §6.
const (
	maxLine    = 256 // bytes, of header lines too
	maxHeaders = 32  // lines, with blank ones
)

// blanks may stand around a line, and in front of the first one.
const blanks = " \t\r\n"

// Armoured reports whether a file that begins with head is text of the form
//
//	-----BEGIN kind-----
//	Name: value           any number of header lines and a blank one, in OpenPGP
//	base64
//	=CRC                  in OpenPGP
//	-----END kind-----
func Armoured(head []byte, kind string) bool {
	return bytes.HasPrefix(bytes.TrimLeft(keyfile.TrimBOM(bytes.TrimLeft(head, blanks)), blanks), []byte("-----BEGIN "+kind+"-----"))
}

// Unarmour reads the bytes of such a text. It ends with io.EOF only after the END line with nothing but blanks behind it; all
// else is ErrBroken. The CRC is not compared: RFC 9580 §6.1 forbids to rely on it, and what is inside has better.
func Unarmour(r io.Reader, kind string) io.Reader {
	t := &armourText{r: bufio.NewReaderSize(r, maxLine), kind: kind}
	return &unarmour{text: t, bytes: base64.NewDecoder(base64.StdEncoding.Strict(), t)}
}

type unarmour struct {
	text  *armourText
	bytes io.Reader
}

// Read implements io.Reader.
func (u *unarmour) Read(p []byte) (int, error) {
	n, err := u.bytes.Read(p)
	if err == nil || n > 0 && err == io.EOF {
		return n, nil
	}
	if u.text.foreign != nil {
		return n, u.text.foreign
	}
	if err != io.EOF {
		return n, ErrBroken
	}
	// The decoder stops at the padding; the text must end there too.
	if rest, err := io.Copy(io.Discard, u.text); rest > 0 || err != nil {
		return n, ErrBroken
	}
	return n, io.EOF
}

// armourText is the base64 between the lines.
type armourText struct {
	r       *bufio.Reader
	kind    string
	begun   bool
	body    bool // the headers are over
	padded  bool // a line with padding was the last of the body
	crc     bool
	lines   int
	unread  []byte // part of r's buffer
	err     error
	foreign error // an error of the reader below
}

// Read implements io.Reader.
func (t *armourText) Read(p []byte) (int, error) {
	for len(t.unread) == 0 {
		if t.err == nil {
			t.err = t.next()
		}
		if t.err != nil {
			return 0, t.err
		}
	}
	n := copy(p, t.unread)
	t.unread = t.unread[n:]
	return n, nil
}

// line is the next line without its end and blanks around it, valid until the following call.
func (t *armourText) line() ([]byte, error) {
	line, err := t.r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return nil, ErrBroken
	case err == io.EOF && len(line) == 0:
		return nil, io.EOF
	case err != nil && err != io.EOF:
		t.foreign = err
		return nil, err
	}
	return bytes.Trim(line, blanks), nil
}

// next takes one line.
func (t *armourText) next() error {
	line, err := t.line()
	if err == io.EOF {
		return ErrBroken // without the END line
	}
	if err != nil {
		return err
	}
	if !t.body {
		if t.lines++; t.lines > maxHeaders {
			return ErrBroken
		}
	}
	switch {
	case !t.begun:
		if t.lines == 1 {
			line = keyfile.TrimBOM(line)
		}
		t.begun = string(line) == "-----BEGIN "+t.kind+"-----"
		if !t.begun && len(line) > 0 {
			return ErrBroken
		}
	case !t.body && (len(line) == 0 || bytes.IndexByte(line, ':') > 0):
	case string(line) == "-----END "+t.kind+"-----":
		return t.end()
	case t.crc:
		return ErrBroken
	case len(line) == 5 && line[0] == '=':
		t.crc = true
	case t.padded:
		return ErrBroken // base64.NewDecoder would go on
	default:
		t.body, t.padded = true, bytes.IndexByte(line, '=') >= 0
		t.unread = line
	}
	return nil
}

// end sees to it that only blanks follow.
func (t *armourText) end() error {
	for range maxHeaders {
		line, err := t.line()
		if err != nil {
			return err
		}
		if len(line) > 0 {
			break
		}
	}
	return ErrBroken
}
