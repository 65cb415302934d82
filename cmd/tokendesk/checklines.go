package main

import (
	"bytes"
	"io"

	"github.com/tokendesk/tokendesk/keyfile"
)

// lineRule is what a server misreads in a line that the format's own reader takes.
type lineRule func(line int, text []byte) []fault

// lineRules are the servers whose readers are stricter than ours. Source: reference key-files.md §0 facts 4 and 11, §7.5, §7.7.
func lineRules() map[string]lineRule {
	return map[string]lineRule{
		"privacyidea": csvRule, "linotp": csvRule, "yubikey-ksm": ksmRule, "yubikey-val": ksmRule, "pam-yubico": mappingRule,
	}
}

// utf8BOM is the byte-order mark.
var utf8BOM = []byte{0xEF, 0xBB, 0xBF}

func csvRule(line int, text []byte) []fault {
	if line == 1 && bytes.HasPrefix(text, utf8BOM) {
		return []fault{{line, 1, "line", "begins with a byte-order mark, which becomes part of the first value: save it as UTF-8 without one"}}
	}
	return nil
}

// The fields of a line of ykksm-import, counted from 0.
const (
	ksmIdentity = 1
	ksmLock     = 4
	ksmCreated  = 5
	ksmFields   = 7
)

func ksmRule(line int, text []byte) (out []fault) {
	text = bytes.TrimSuffix(text, []byte("\r"))
	if bytes.HasPrefix(text, []byte("#")) {
		return nil
	}
	bad := func(column int, field, cause string) { out = append(out, fault{line, column, field, cause}) }
	if len(bytes.TrimSpace(text)) == 0 {
		bad(0, "line", "a blank line ends the import")
		return out
	}
	fields := bytes.Split(text, []byte(","))
	if len(fields) < ksmFields {
		bad(0, "line", "the commas around both times must be there")
		return out
	}
	for i, name := range []string{"public-id", "private-id", "key", "access-code"} {
		if f := fields[ksmIdentity+i]; bytes.ContainsFunc(f, func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
			bad(ksmIdentity+i+1, name, "must be in lower case")
		}
	}
	if len(fields[ksmLock]) == 0 {
		bad(ksmLock+1, "access-code", "must not be empty: 000000000000 stands for none")
	}
	for i, name := range []string{"created", "accessed"} {
		if f := fields[ksmCreated+i]; bytes.ContainsFunc(f, func(r rune) bool { return r != 'T' && r != ':' && r != '-' && r != ' ' && (r < '0' || r > '9') }) {
			bad(ksmCreated+i+1, name, "no time zone is possible, and no fraction of a second")
		}
	}
	return out
}

func mappingRule(line int, text []byte) []fault {
	switch {
	case line == 1 && bytes.HasPrefix(text, utf8BOM):
		return []fault{{line, 1, "owner", "begins with a byte-order mark, which becomes part of the account"}}
	case bytes.HasSuffix(text, []byte("\r")):
		return []fault{{line, 0, "public-id", "the line ends with CR LF, and the CR becomes part of the last ID: save it with LF"}}
	}
	return nil
}

// lineReader passes a text on and judges its lines. In memory it holds the faults of what its reader has read ahead.
type lineReader struct {
	r       io.Reader
	rule    lineRule // nil: none
	line    int      // whole lines so far
	text    []byte   // of the line that is not whole yet, up to keyfile.MaxLine
	pending []fault
}

var _ io.Reader = (*lineReader)(nil)

// Read implements io.Reader.
func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.rule == nil {
		return n, err
	}
	if l.text == nil {
		l.text = make([]byte, 0, keyfile.MaxLine)
	}
	for rest := p[:n]; len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte("\n"))
		rest = after
		l.text = append(l.text, part[:min(len(part), keyfile.MaxLine-len(l.text))]...)
		if whole {
			l.end()
		}
	}
	if err == io.EOF && len(l.text) > 0 {
		l.end()
	}
	return n, err
}

func (l *lineReader) end() {
	l.line++
	l.pending = append(l.pending, l.rule(l.line, l.text)...)
	clear(l.text) // it may hold secrets
	l.text = l.text[:0]
}

// take gives the faults up to a line, once.
func (l *lineReader) take(line int) []fault {
	n := 0
	for n < len(l.pending) && l.pending[n].Line <= line {
		n++
	}
	out := l.pending[:n:n]
	l.pending = l.pending[n:]
	return out
}
