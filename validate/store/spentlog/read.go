package spentlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// maxLine is the longest line, in bytes.
const maxLine = 4096

// part is what one file says.
type part struct {
	Header Header
	crc    uint32   // of the last good line
	damage string   // "": it is whole, but perhaps for a last group that was never answered
	serves []string // chains
	sees   []string
}

// readPart reads a file; each may be nil, and gets nothing of an earlier epoch. A damaged file is read as far as it is good; the error is that of the file system, or that it
// is none of ours.
func readPart(path string, epoch int64, each func(Entry) error) (part, error) {
	f, err := os.Open(path)
	if err != nil {
		return part{}, err
	}
	defer func() { _ = f.Close() }() // read only
	p, err := parse(f, epoch, each)
	if err != nil {
		return part{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func parse(r io.Reader, epoch int64, each func(Entry) error) (part, error) {
	var p part
	in := bufio.NewReaderSize(r, maxLine)
	first := true
	for {
		l, whole, err := readLine(in)
		if err != nil {
			return p, err
		}
		if l == "" && !whole { // the end of the file
			if first {
				return p, errLine
			}
			return p, nil
		}
		text, crc, ok := parseLine(p.crc, l)
		switch {
		case first && (!ok || !whole):
			return p, errLine
		case !ok || !whole:
			p.damage, err = torn(l, whole, in)
			return p, err
		}
		if first {
			if p.Header, err = parseHeader(text); err != nil {
				return p, err
			}
			first = false
			if p.Header.Epoch < epoch {
				each = nil
			}
		} else if err := p.take(text, each); err != nil {
			return p, err
		}
		p.crc = crc
	}
}

// take reads the text of a good line.
func (p *part) take(text string, each func(Entry) error) error {
	kind, rest, _ := strings.Cut(text, " ")
	switch kind {
	case "+":
	case "s":
		p.serves = append(p.serves, rest)
	case "p":
		p.sees = append(p.sees, rest)
	default:
		e, err := parseEntry(text)
		if err != nil {
			return err
		}
		if each != nil {
			return each(e)
		}
	}
	return nil
}

// readLine reads a line without its end; not whole: it has none, or is too long.
func readLine(in *bufio.Reader) (l string, whole bool, err error) {
	b, err := in.ReadSlice('\n')
	switch {
	case err == nil:
		return string(b[:len(b)-1]), true, nil
	case errors.Is(err, io.EOF), errors.Is(err, bufio.ErrBufferFull):
		return string(b), false, nil
	}
	return "", false, err
}

// groupBegins is how a group begins, whatever its CRC is; it may be glued to a line that lost its end.
var groupBegins = regexp.MustCompile(`[0-9a-f]{8} \+ [0-9]+$`)

// torn looks at what is behind the first line that is not good. Where another group begins, the bad one had been durable.
func torn(l string, whole bool, in *bufio.Reader) (damage string, err error) {
	for first := true; l != "" || whole; first = false {
		if at := groupBegins.FindStringIndex(l); whole && at != nil && (!first || at[0] > 0) {
			return "a line in the middle was changed or is missing", nil
		}
		if l, whole, err = readLine(in); err != nil {
			return "", err
		}
	}
	return "", nil
}

// Log is what the files of one server say.
type Log struct {
	Path   string
	First  Header // of the first part that is there
	Last   Header
	Damage string // "": from First on nothing is missing
	Serves []string
	Sees   []string
}

// Read reads the log at path with the parts that were set aside, oldest first; each gets all that was spent in that epoch and later ones:
// numbers of before may mean other credentials now. What is good is given, also of a damaged log.
func Read(path string, epoch int64, each func(Entry) error) (Log, error) {
	out := Log{Path: path}
	names, err := parts(path)
	if err != nil {
		return out, err
	}
	var before part
	for i, name := range names {
		p, err := readPart(name, epoch, each)
		if err != nil {
			return out, err
		}
		h := p.Header
		switch {
		case i == 0:
			out.First = h
		case h.Log != out.First.Log || h.Store != out.First.Store:
			out.damage("%s is of another log", filepath.Base(name))
		case h.Part != out.Last.Part+1 || h.Before != before.crc:
			out.damage("between part %d and part %d something is missing", out.Last.Part, h.Part)
		}
		if p.damage != "" {
			out.damage("%s: %s", filepath.Base(name), p.damage)
		}
		out.Last, before = h, p
		out.Serves, out.Sees = append(out.Serves, p.serves...), append(out.Sees, p.sees...)
	}
	return out, nil
}

func (l *Log) damage(format string, a ...any) {
	if l.Damage == "" {
		l.Damage = fmt.Sprintf(format, a...)
	}
}

// parts are the files of a log, oldest first.
func parts(path string) ([]string, error) {
	all, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	aside := regexp.MustCompile(`^` + regexp.QuoteMeta(filepath.Base(path)) + `\.[0-9]{6,}$`)
	var out []string
	for _, e := range all {
		if aside.MatchString(e.Name()) {
			out = append(out, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	slices.SortFunc(out, func(a, b string) int { // by number
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	switch unborn, err := isUnborn(path); {
	case err != nil:
		return nil, err
	case unborn:
	default:
		if _, err := os.Stat(path); err == nil {
			out = append(out, path)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return out, nil
}

// isUnborn reports whether a file is there that has no whole line.
func isUnborn(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // read only
	_, whole, err := readLine(bufio.NewReaderSize(f, maxLine))
	if st, e := f.Stat(); e != nil || st.Size() >= maxLine {
		return false, errors.Join(err, e)
	}
	return !whole, err
}
