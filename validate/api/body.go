package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

// maxBody is the longest body in bytes.
const maxBody = 16 << 10

// read decodes the body, one JSON object, into a T whose tags are lower case. The errors are problems.
func read[T any](c *call) (T, error) {
	var v T
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return v, errContentType
	}
	body, err := text(c.w, c.r)
	if err != nil {
		return v, err
	}
	return v, decode(body, &v)
}

// text is the whole body.
func text(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, errTooLarge
	case err != nil:
		return nil, errBody
	}
	return body, nil
}

// decode refuses what encoding/json forgives: fields that v does not have, a name in another case, a name that comes twice,
// bytes that are not UTF-8, and anything behind the object. The error does not hold what was read.
func decode(body []byte, v any) error {
	if !utf8.Valid(body) || !plainObject(body) {
		return errBody
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errBody
	}
	return nil
}

// plainObject reports whether the text is one JSON object with names of small letters and underscores, each once, whose values are
// neither objects nor null; and nothing else.
func plainObject(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	seen := make(map[string]bool)
	for d.More() {
		name, err := d.Token()
		key, ok := name.(string)
		if err != nil || !ok || seen[key] || !plainName(key) {
			return false
		}
		seen[key] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil || len(value) == 0 || value[0] == '{' || value[0] == 'n' {
			return false
		}
	}
	if _, err := d.Token(); err != nil {
		return false
	}
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

func plainName(s string) bool {
	for i := range len(s) {
		if s[i] != '_' && (s[i] < 'a' || s[i] > 'z') {
			return false
		}
	}
	return s != ""
}
