package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// notByLine are the formats whose records are no lines of their own: documents, and lines with several records in one.
func notByLine() []string {
	return []string{"pskc", "pi-json", "keycloak", "nextcloud", "authelia", "vault", "freeradius", "google-authenticator", "otpauth-migration", "pam-yubico",
		"aegis", "andotp", "2fas", "freeotp-plus", "bitwarden-csv", "bitwarden-json", "safenet-xml", "deepnet-xml", "safeword-dat"}
}

// failedFile is the file of --failed-out: the lines of the records that were refused, behind the lines before the first record. A nil
// one takes nothing.
type failedFile struct {
	name   string
	f      *os.File
	lines  *lineKeeper // of the file that is being read
	format string
	rows   int
	failed error
}

// newFailedFile makes the file; nil for "".
func newFailedFile(name string) (*failedFile, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, problemf(exitRefused, "%s exists; nothing is overwritten", printable(name)).hint("name a file that does not exist: --failed-out FILE")
	}
	if err != nil {
		return nil, fileProblem(err, filepath.Dir(name))
	}
	return &failedFile{name: name, f: f}, nil
}

// follow is k's text, whose lines are kept until their records are settled.
func (o *failedFile) follow(k *keySource) (io.Reader, error) {
	if o == nil {
		return k.text, nil
	}
	format := k.reader.Name()
	switch {
	case slices.Contains(notByLine(), format):
		return nil, usagef("a file of the format %s cannot be written of single rows", format).hint("leave --failed-out out; the refused rows are told")
	case bytes.IndexByte(k.sample, 0) >= 0: // UTF-16
		return nil, usagef("--failed-out needs a file in UTF-8").hint("save %s as UTF-8, or leave --failed-out out", k.name)
	case o.format != "" && o.format != format:
		return nil, usagef("%s is %s, and the files before it %s: --failed-out makes one file of one format", k.name, format, o.format)
	}
	first := o.format == ""
	o.format = format
	o.lines = &lineKeeper{r: k.text, head: first}
	return o.lines, nil
}

// settled is told of every record in order.
func (o *failedFile) settled(i desk.Imported) {
	if o == nil || o.failed != nil {
		return
	}
	head, line := o.lines.take(i.Line)
	if o.rows == 0 && len(head) > 0 {
		o.write(head)
	}
	if i.Outcome == desk.Bad || i.Outcome == desk.Different {
		if line == nil {
			o.failed = fmt.Errorf("%s lacks line %d, which is longer than %d bytes", o.name, i.Line, keyfile.MaxLine)
			return
		}
		o.rows++
		o.write(line)
	}
	clear(head)
	clear(line)
}

func (o *failedFile) write(text []byte) {
	if _, err := o.f.Write(text); err != nil && o.failed == nil {
		o.failed = fmt.Errorf("write %s: %w", o.name, err)
	}
}

// err is what went wrong.
func (o *failedFile) err() error {
	if o == nil {
		return nil
	}
	return o.failed
}

// close ends the file. One without rows is removed, and one of an import that did not come to its end: that is repeated.
func (o *failedFile) close(unfinished bool) error {
	if o == nil {
		return nil
	}
	err := errors.Join(o.f.Sync(), o.f.Close())
	if o.rows == 0 || unfinished {
		err = errors.Join(err, os.Remove(o.name))
	}
	return err
}

// maxKept bounds the lines that are kept: what the readers are ahead of the last record, and a batch of the store, is below 1 MiB.
const maxKept = 4 << 20

// lineKeeper passes a text on and keeps its lines, with their ends, until take.
type lineKeeper struct {
	r    io.Reader
	head bool // the lines before the first record are wanted
	n    int  // lines begun
	text []byte
	kept []keptLine
	size int
}

type keptLine struct {
	n    int
	text []byte // nil: too long
}

// Read implements io.Reader.
func (l *lineKeeper) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for line := range bytes.Lines(p[:n]) {
		if len(l.text) <= keyfile.MaxLine+len("\r\n") {
			l.text = append(l.text, line...)
		}
		if line[len(line)-1] == '\n' {
			l.end()
		}
	}
	if err == io.EOF && len(l.text) > 0 {
		l.text = append(l.text, '\n')
		l.end()
	}
	return n, err
}

func (l *lineKeeper) end() {
	l.n++
	var text []byte
	if len(l.text) <= keyfile.MaxLine+len("\r\n") {
		text = bytes.Clone(l.text)
	}
	if len(bytes.TrimSpace(l.text)) > 0 {
		l.kept = append(l.kept, keptLine{l.n, text})
		l.size += len(text)
	}
	for l.size > maxKept {
		l.drop()
	}
	clear(l.text)
	l.text = l.text[:0]
}

func (l *lineKeeper) drop() {
	l.size -= len(l.kept[0].text)
	clear(l.kept[0].text)
	l.kept = l.kept[1:]
}

// take is line n, and before the first of all the lines in front of it. It forgets them.
func (l *lineKeeper) take(n int) (head, line []byte) {
	for len(l.kept) > 0 && l.kept[0].n < n {
		if l.head && len(head) < codecs.HeadSize {
			head = append(head, l.kept[0].text...)
		}
		l.drop()
	}
	l.head = false
	if len(l.kept) > 0 && l.kept[0].n == n {
		line = l.kept[0].text
		l.size -= len(line)
		l.kept = l.kept[1:]
	}
	return head, line
}
