// Package appbackup reads what authenticator apps and password managers write as backups: Aegis, andOTP, 2FAS, FreeOTP+,
// Bitwarden. Aegis is also written, in clear.
//
// A backup is one document that has to be held whole: MaxDocument bytes at most. An entry that is bad, or of a kind that no
// server here checks (Steam Guard, mOTP), is a *keyfile.RowError with its line in the document, after decryption, and its
// number as the column. The account is the record's owner. What an encrypted backup asks for is a passphrase.
// Source: reference key-files.md §8.7.
package appbackup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile"
)

// MaxDocument is the longest backup that is read, in bytes; pictures of the entries make them long.
const MaxDocument = 32 << 20

// What is wrong with a whole document.
var (
	ErrTooLarge   = errors.New("longer than 32 MiB")
	ErrUTF8       = errors.New("not UTF-8")
	ErrJSON       = errors.New("not sound JSON")
	ErrOther      = errors.New("not a backup of this app")
	ErrPassphrase = errors.New("the passphrase is wrong, or the file is damaged")
	ErrCostly     = errors.New("opening it would take more work than any app asks for")
)

// read reads a whole document, without a byte-order mark. The caller clears it.
func read(r io.Reader) ([]byte, error) {
	doc, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	switch {
	case err != nil:
		err = fmt.Errorf("read: %w", err)
	case len(doc) > MaxDocument:
		err = ErrTooLarge
	default:
		err = keyfile.Unreadable(doc)
	}
	if err != nil {
		clear(doc)
		return nil, err
	}
	return keyfile.TrimBOM(doc), nil
}

// opened is a document in clear and where its entries are: names of objects, one in the other, down to an array.
type opened struct {
	doc  []byte
	path []string
}

// decode reads a document, opens it and gives each entry to parse.
func decode(format string, r io.Reader, open func(doc []byte) (opened, error), parse func(raw []byte) account) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		doc, err := read(r)
		defer clear(doc)
		var o opened
		if err == nil {
			o, err = open(doc)
			defer clear(o.doc)
		}
		if err == nil && !utf8.Valid(o.doc) {
			err = ErrUTF8
		}
		if err == nil {
			w := walker{dec: json.NewDecoder(bytes.NewReader(o.doc)), doc: o.doc, line: 1}
			err = w.walk(o.path, func(line, number int, raw []byte) bool {
				a := parse(raw)
				if a.skip {
					return true
				}
				return yield(a.record(format, line, number))
			})
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", format, err))
		}
	}
}

// errStopped is that nobody wants more entries.
var errStopped = errors.New("stopped")

// walker goes through a JSON document and knows where it is.
type walker struct {
	dec          *json.Decoder
	doc          []byte
	offset, line int // line is the one of offset
}

// walk visits each element of the array at path and reads the rest of the document too.
func (w *walker) walk(path []string, visit func(line, number int, raw []byte) bool) error {
	found, err := w.value(path, visit)
	if err != nil {
		return err
	}
	if _, err := w.dec.Token(); err != io.EOF {
		return w.broken()
	}
	if !found {
		return ErrOther
	}
	return nil
}

// value reads one value; its array is visited if path is empty.
func (w *walker) value(path []string, visit func(line, number int, raw []byte) bool) (found bool, err error) {
	begin, err := w.dec.Token()
	if err != nil {
		return false, w.broken()
	}
	switch begin {
	case json.Delim('['):
		if len(path) > 0 {
			return false, ErrOther
		}
		return true, w.elements(visit)
	case json.Delim('{'):
		if len(path) == 0 {
			return false, ErrOther
		}
		return w.members(path, visit)
	}
	return false, ErrOther
}

func (w *walker) members(path []string, visit func(line, number int, raw []byte) bool) (found bool, err error) {
	for w.dec.More() {
		key, err := w.dec.Token()
		if err != nil {
			return found, w.broken()
		}
		if key == path[0] && !found {
			if found, err = w.value(path[1:], visit); err != nil {
				return found, err
			}
			continue
		}
		if err := w.skip(); err != nil {
			return found, err
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return found, w.broken()
	}
	return found, nil
}

func (w *walker) skip() error {
	var raw json.RawMessage
	defer func() { clear(raw) }()
	if w.dec.Decode(&raw) != nil {
		return w.broken()
	}
	return nil
}

func (w *walker) elements(visit func(line, number int, raw []byte) bool) error {
	for n := 1; w.dec.More(); n++ {
		line := w.lineAt(int(w.dec.InputOffset()))
		var raw json.RawMessage
		if w.dec.Decode(&raw) != nil {
			clear(raw)
			return w.broken()
		}
		more := visit(line, n, raw)
		clear(raw)
		if !more {
			return errStopped
		}
	}
	if _, err := w.dec.Token(); err != nil {
		return w.broken()
	}
	return nil
}

// lineAt is the line of the first value after offset, which never goes back.
func (w *walker) lineAt(offset int) int {
	for offset < len(w.doc) && bytes.IndexByte([]byte(" \t\r\n,"), w.doc[offset]) >= 0 {
		offset++
	}
	if offset > w.offset {
		w.line += bytes.Count(w.doc[w.offset:offset], []byte("\n"))
		w.offset = offset
	}
	return w.line
}

// broken says in which line the JSON ends to be some; json's own errors repeat characters of it.
func (w *walker) broken() error {
	return fmt.Errorf("line %d: %w", w.lineAt(int(w.dec.InputOffset())), ErrJSON)
}

// header reads the members of a document that v names.
func header(doc []byte, v any) error {
	if json.Unmarshal(doc, v) != nil {
		return ErrJSON
	}
	return nil
}

// detect is sure if a document begins like JSON and has all of the words in its head.
func detect(head []byte, begin string, sure int, words ...string) int {
	head = bytes.TrimSpace(keyfile.TrimBOM(head))
	if !bytes.HasPrefix(head, []byte(begin)) {
		return 0
	}
	for _, word := range words {
		if !bytes.Contains(head, []byte(`"`+word+`"`)) {
			return 0
		}
	}
	return sure
}
