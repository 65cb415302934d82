// Package jsonline writes and reads one JSON value, a line of a file that has one object a line. Nothing that it says about a
// faulty text repeats the text.
package jsonline

import (
	"bytes"
	"encoding/json"
	"io"
)

// Append appends v and a line's end. < > & stand as they are: no page shows these files.
func Append(dst []byte, v any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // texts and numbers always encode, and a Buffer takes everything
	return b.Bytes()
}

// Parse reads one object without unknown members and without anything behind it; cause says what is wrong, without
// repeating the text, "" for nothing.
func Parse(text []byte, v any) (cause string) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return "not a JSON object with the members of this format"
	}
	if _, err := d.Token(); err != io.EOF {
		return "something stands behind the JSON object"
	}
	return ""
}
