package tablecsv

import (
	"bytes"
	"encoding/json"
	"io"
)

// AppendJSON appends v and a line's end. < > & stand as they are: no page shows these files.
func AppendJSON(dst []byte, v any) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // texts and numbers always encode, and a Buffer takes everything
	return b.Bytes()
}

// ParseJSON reads one object without unknown members and without anything behind it; cause says what is wrong, without
// repeating the text, "" for nothing.
func ParseJSON(text []byte, v any) (cause string) {
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
