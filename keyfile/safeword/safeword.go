// Package safeword reads the .dat files of SafeWord and eToken PASS tokens: records apart by blank lines, a "name: value" line a
// field, the secrets in one line:
//
//	# ===== SafeWord Authenticator Records $Version: 100$ =====
//	dn: sccAuthenticatorId=UBOM00900002
//	sccAuthenticatorId: UBOM00900002
//	sccTokenType: eToken-PASS-ES
//	sccTokenData: sccKey=0e69d3441e304c01726e2a31445457dc57d0b18e;sccMode=E;sccPwLen=6;sccVer=6.20;
//	sccSignature:MC0CFG…
//
// sccMode is E for HOTP and T for TOTP, sccPwLen the digits, sccTick the period, crypto the hash. A token with sccPrTime counts
// its time steps from 2000-01-01 and not from 1970; this server has no such clock, so that the record is a *keyfile.RowError.
// Signatures are not verified. An event token's counter is not in the file: it starts at 0.
// Source: reference key-files.md §5.
package safeword

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Reader is the format; its zero value is ready.
type Reader struct{}

var _ keyfile.Reader = Reader{}

// The words of the format.
const (
	title     = "# ===== SafeWord"
	fieldName = "sccAuthenticatorId"
	fieldData = "sccTokenData"
)

// last stands behind the file, so that the last record ends like the others.
const last = "\ndn:\n"

// What LinOTP takes for a missing sccPwLen and sccTick, and the longest period that is read.
const (
	defaultDigits = 6
	defaultPeriod = 30 * time.Second
	maxPeriod     = 3600 // seconds
)

const otherClock = "the token counts its time from 2000-01-01 (sccPrTime), which this server cannot: ask the vendor for a file of tokens that count from 1970"

// Name implements keyfile.Reader.
func (Reader) Name() string { return "safeword-dat" }

// Detect implements keyfile.Reader.
func (Reader) Detect(head []byte) int {
	head = keyfile.TrimBOM(head)
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte(title)):
		return 100
	case bytes.Contains(head, []byte(fieldName)) && bytes.Contains(head, []byte(fieldData)):
		return 90
	}
	return 0
}

// Decode implements keyfile.Reader. The line of a record, and of an error about it, is its first one.
func (r Reader) Decode(file io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		p := &parser{}
		defer func() { p.block.rec.Destroy() }()
		for rec, err := range keyfile.DecodeLines(r.Name(), io.MultiReader(file, strings.NewReader(last)), p.parse) {
			if err == nil {
				rec.Line = p.done
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

// parser collects the lines of a block and gives the block's record when the next one begins.
type parser struct {
	block block
	line  int // the last line seen: a gap is a blank one
	done  int // the first line of the record given last
}

// block is what one record's lines say.
type block struct {
	line       int // the first; 0: nothing yet
	rec        keyfile.Record
	mode       string
	otherClock bool
	bad        *keyfile.RowError // the first problem
}

func (p *parser) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	text, _, _ := bytes.Cut(row.Text, []byte("#"))
	name, value, _ := bytes.Cut(text, []byte(":"))
	name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
	if p.block.line > 0 && (row.Line != p.line+1 || string(name) == "dn") {
		rec, ok = p.finish(row)
	}
	at := row.Line
	if p.line = at; len(name) == 0 || string(name) == "dn" && len(value) == 0 {
		return rec, ok
	}
	if p.block.line == 0 {
		p.block.line = at
	}
	switch string(name) {
	case fieldName:
		p.block.rec.Label = string(value)
	case fieldData:
		p.block.data(value)
	}
	return rec, ok
}

// finish gives the record of the block and begins the next one.
func (p *parser) finish(row *keyfile.Row) (keyfile.Record, bool) {
	b := p.block
	p.block, p.done = block{}, b.line
	b.judge()
	if b.bad == nil {
		return b.rec, true
	}
	b.rec.Destroy()
	at := row.Line
	row.Line = b.line
	row.Bad(0, b.bad.Field, b.bad.Cause)
	row.Line = at
	return keyfile.Record{}, false
}

func (b *block) fail(field, cause string) {
	if b.bad == nil {
		b.bad = &keyfile.RowError{Field: field, Cause: cause}
	}
}

// data reads the list of name=value.
func (b *block) data(list []byte) {
	r := &b.rec
	if b.mode != "" || r.Key.Len() > 0 {
		b.fail("key", "two sccTokenData lines in one record")
		return
	}
	for part := range bytes.SplitSeq(list, []byte(";")) {
		name, value, _ := bytes.Cut(part, []byte("="))
		value = bytes.TrimSpace(value)
		switch string(bytes.TrimSpace(name)) {
		case "sccKey":
			b.key(value)
		case "sccMode":
			b.mode = strings.ToUpper(string(value))
		case "sccPwLen":
			r.Digits = b.number(value, "digits", 6, 8)
		case "sccTick":
			r.Period = time.Duration(b.number(value, "period", 1, maxPeriod)) * time.Second
		case "sccPrTime":
			b.otherClock = true
		case "crypto":
			if r.Hash = strings.TrimPrefix(strings.ToLower(string(value)), "hmac"); r.Hash == "" {
				b.fail("hash", "empty")
			}
		}
	}
}

func (b *block) key(text []byte) {
	raw := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(raw, text); err != nil || b.rec.Key.Len() > 0 {
		clear(raw)
		b.fail("key", "not one key in hexadecimal")
		return
	}
	b.rec.Key = secret.New(raw)
}

func (b *block) number(text []byte, field string, low, high int) int {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil || int(n) < low || int(n) > high {
		b.fail(field, fmt.Sprintf("not a number from %d to %d", low, high))
	}
	return int(n)
}

// judge fills in what the file leaves out and looks at the whole.
func (b *block) judge() {
	r := &b.rec
	switch b.mode {
	case "E":
		r.Kind, r.Period = token.HOTP, 0
	case "T":
		r.Kind = token.TOTP
		if r.Period == 0 {
			r.Period = defaultPeriod
		}
		if b.otherClock {
			b.fail("clock", otherClock)
		}
	default:
		b.fail("type", "sccMode is neither E nor T")
	}
	if r.Digits == 0 {
		r.Digits = defaultDigits
	}
	if r.Hash == "" {
		r.Hash = "sha1"
	}
	if cause := keyfile.BadText(r.Label); cause != "" || r.Label == "" {
		b.fail("serial", strings.TrimSuffix("sccAuthenticatorId is missing or no name: "+cause, ": "))
	}
	for _, l := range keyfile.Unsound(*r, token.HOTP, token.TOTP) {
		b.fail(l.Field, l.Note)
	}
}
