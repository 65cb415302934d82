// Package safenet reads the XML of Aladdin's and SafeNet's eToken PASS and SafeWord Alpine:
//
//	<Tokens><Token serial="UBOM00900002"><ProductName>eTPass 6.10</ProductName><Applications><Application>
//	<Seed>0e69d3441e304c01726e2a31445457dc57d0b18e</Seed><MovingFactor>42</MovingFactor>
//	</Application></Applications></Token></Tokens>
//
// Every token is HOTP with 6 digits; a seed of 64 hexadecimal characters means sha256, any other sha1. The format cannot say
// TOTP. Source: reference key-files.md §4.7.
package safenet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/xmlwalk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Reader is the format; its zero value is ready.
type Reader struct{}

var _ keyfile.Reader = Reader{}

// Source: reference key-files.md §4.7.
const (
	sha256Hex = 64 // characters of a seed
	digits    = 6
)

// ErrRoot is another document.
var ErrRoot = errors.New("the root element is not Tokens")

// Name implements keyfile.Reader.
func (Reader) Name() string { return "safenet-xml" }

// Detect implements keyfile.Reader.
func (Reader) Detect(head []byte) int {
	if root, err := xmlwalk.New(bytes.NewReader(head)).Child(); err == nil && root != nil && root.Name.Local == "Tokens" {
		return 95
	}
	return 0
}

// element is a Token.
type element struct {
	Serial       string `xml:"serial,attr"`
	Applications []struct {
		Seed         [][]byte
		MovingFactor []string
	} `xml:"Applications>Application"`
}

// Decode implements keyfile.Reader. Tokens are read one at a time; positions of errors are lines.
func (r Reader) Decode(file io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		if err := decode(xmlwalk.New(file), yield); err != nil {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", r.Name(), err))
		}
	}
}

// decode is nil also when nobody wants more.
func decode(w *xmlwalk.Walk, yield func(keyfile.Record, error) bool) error {
	root, err := w.Child()
	if err != nil {
		return err
	}
	if root == nil || root.Name.Local != "Tokens" {
		return ErrRoot
	}
	for {
		child, err := w.Child()
		if err != nil || child == nil {
			return err
		}
		if child.Name.Local != "Token" {
			if err := w.Skip(); err != nil {
				return err
			}
			continue
		}
		line := w.Line()
		var e element
		if err := w.Into(&e, child); err != nil {
			return err
		}
		if !yield(e.record(line)) {
			return nil
		}
	}
}

// record is the token as a record, or a *keyfile.RowError.
func (e element) record(line int) (rec keyfile.Record, err error) {
	rec = keyfile.Record{Line: line, Kind: token.HOTP, Label: strings.TrimSpace(e.Serial), Digits: digits, Hash: "sha1"}
	bad := func(field, cause string) {
		if err == nil {
			err = &keyfile.RowError{Format: Reader{}.Name(), Line: line, Field: field, Cause: cause}
		}
	}
	if cause := keyfile.BadText(rec.Label); cause != "" || rec.Label == "" {
		bad("serial", strings.TrimSuffix("missing or no name: "+cause, ": "))
	}
	var seeds, factors int
	for _, a := range e.Applications {
		for _, seed := range a.Seed {
			seeds++
			e.seed(&rec, seed, bad)
		}
		for _, s := range a.MovingFactor {
			factors++
			n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 62)
			if err != nil {
				bad("counter", "not a number from 0")
			}
			rec.Counter = int64(n)
		}
	}
	if seeds != 1 || factors > 1 {
		bad("key", "not one seed and one moving factor")
	}
	for _, l := range keyfile.Unsound(rec, token.HOTP) {
		bad(l.Field, l.Note)
	}
	if err != nil {
		rec.Destroy()
		return keyfile.Record{}, err
	}
	return rec, nil
}

// seed reads the hexadecimal text and clears it.
func (e element) seed(rec *keyfile.Record, text []byte, bad func(field, cause string)) {
	defer clear(text)
	text = bytes.TrimSpace(text)
	raw := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(raw, text); err != nil { // the error would hold a character
		clear(raw)
		bad("key", "not hexadecimal")
		return
	}
	rec.Key.Destroy()
	rec.Key = secret.New(raw)
	if len(text) == sha256Hex {
		rec.Hash = "sha256"
	}
}
