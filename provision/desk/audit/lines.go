package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// maxLine is the longest line that Read takes, in bytes.
const maxLine = 1 << 20

// line is one line of an exported audit: an event or a head.
type line struct {
	Event *Event `json:"event,omitempty"`
	Head  *Head  `json:"head,omitempty"`
}

// Write writes heads and events as JSON lines, the heads first, so that Read needs no memory for the events.
func Write(w io.Writer, events iter.Seq2[Event, error], heads []Head) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, h := range heads {
		if err := enc.Encode(line{Head: &h}); err != nil {
			return fmt.Errorf("write audit: %w", err)
		}
	}
	for e, err := range events {
		if err != nil {
			return fmt.Errorf("write audit: %w", err)
		}
		if err := enc.Encode(line{Event: &e}); err != nil {
			return fmt.Errorf("write audit: %w", err)
		}
	}
	return out.Flush()
}

// errLine is a line that is neither an event nor a head.
var errLine = errors.New("neither an event nor a head")

// VerifyLines is Verify for what Write wrote. A line that is no event and no head, or a head behind the first event, is an
// error that names the line.
func VerifyLines(public ed25519.PublicKey, r io.Reader) (Report, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	n := 0
	next := func() (line, error) {
		for in.Scan() {
			n++
			if l, err := parseLine(in.Bytes()); err != nil {
				return line{}, fmt.Errorf("audit, line %d: %w", n, err)
			} else {
				return l, nil
			}
		}
		if err := in.Err(); err != nil {
			return line{}, fmt.Errorf("audit, line %d: %w", n+1, err)
		}
		return line{}, io.EOF
	}
	var heads []Head
	l, err := next()
	for ; err == nil && l.Head != nil; l, err = next() {
		heads = append(heads, *l.Head)
	}
	return Verify(public, func(yield func(Event, error) bool) {
		for ; err == nil; l, err = next() {
			if l.Event == nil {
				err = fmt.Errorf("audit, line %d: a head behind the first event", n)
				break
			}
			if !yield(*l.Event, nil) {
				return
			}
		}
		if err != io.EOF {
			yield(Event{}, err)
		}
	}, heads)
}

// parseLine is strict: unknown fields, and times finer than a microsecond, would not be covered by the hash.
func parseLine(text []byte) (line, error) {
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return line{}, errLine // not %w: the decoder's text quotes the line
	}
	if _, err := dec.Token(); err != io.EOF || (l.Event == nil) == (l.Head == nil) {
		return line{}, errLine
	}
	if l.Event != nil && !whole(l.Event.At) || l.Head != nil && !whole(l.Head.At) {
		return line{}, errLine
	}
	return l, nil
}

// whole reports whether t has no fraction of a microsecond.
func whole(t time.Time) bool { return t.Nanosecond()%int(time.Microsecond) == 0 }
