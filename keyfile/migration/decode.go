package migration

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Decode implements keyfile.Codec. The column of an error is the account's number within its code. Codes that are missing from
// their export are a *keyfile.RowError after the last one that was there, so give all codes of an export to one Decode.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		d := &decoder{format: c.Name()}
		defer d.destroy()
		for rec, err := range keyfile.DecodeLines(c.Name(), r, d.parse) {
			if !yield(rec, err) || !d.yieldRest(yield) {
				return
			}
		}
		if err := d.end(); err != nil {
			yield(keyfile.Record{}, err)
		}
	}
}

// result is an account or what is wrong with it.
type result struct {
	rec keyfile.Record
	err error
}

// decoder holds what a line has beyond its first account, and which codes of the export were seen.
type decoder struct {
	format string
	rest   []result

	batch, size int64
	seen        map[int64]bool // indexes
	line        int            // of the last code
}

func (d *decoder) yieldRest(yield func(keyfile.Record, error) bool) bool {
	for len(d.rest) > 0 {
		next := d.rest[0]
		d.rest = d.rest[1:]
		if !yield(next.rec, next.err) {
			return false
		}
	}
	return true
}

func (d *decoder) destroy() {
	for _, r := range d.rest {
		r.rec.Destroy()
	}
}

// parse reads a line. Its first account goes to the caller, the others into d.rest.
func (d *decoder) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	text := bytes.TrimSpace(row.Text)
	if text[0] == '#' {
		return rec, false
	}
	payload, err := unwrap(text)
	if err != nil {
		row.Bad(0, "data", err.Error())
		return rec, false
	}
	defer clear(payload)
	var code code
	if err := code.read(payload); err != nil {
		row.Bad(0, "data", err.Error())
		return rec, false
	}
	if err := d.enter(code, row.Line); err != nil {
		d.rest = append(d.rest, result{err: err})
	}
	for i, raw := range code.accounts {
		rec, bad := account(raw)
		if bad != nil {
			rec.Destroy()
			d.rest = append(d.rest, result{err: &keyfile.RowError{Format: d.format, Line: row.Line, Column: i + 1, Field: bad.Field, Cause: bad.Note}})
			continue
		}
		rec.Line = row.Line
		d.rest = append(d.rest, result{rec: rec})
	}
	return d.first(row)
}

// first hands the first of d.rest to DecodeLines in its own manner.
func (d *decoder) first(row *keyfile.Row) (keyfile.Record, bool) {
	if len(d.rest) == 0 {
		row.Bad(0, "data", "no account in it")
		return keyfile.Record{}, false
	}
	next := d.rest[0]
	d.rest = d.rest[1:]
	var bad *keyfile.RowError
	if errors.As(next.err, &bad) {
		row.Bad(bad.Column, bad.Field, bad.Cause)
	}
	return next.rec, next.err == nil
}

// enter notes that a code was read. The error is about the export before, when that is over and incomplete.
func (d *decoder) enter(c code, line int) error {
	var err error
	if d.batch != c.batch || d.size != c.size {
		err = d.end()
		d.batch, d.size, d.seen = c.batch, c.size, map[int64]bool{}
	}
	if c.index < c.size {
		d.seen[c.index] = true
	}
	d.line = line
	return err
}

// end says which codes of the export are missing.
func (d *decoder) end() error {
	if int64(len(d.seen)) >= d.size {
		return nil
	}
	var missing []string
	for i := range d.size {
		if !d.seen[i] && len(missing) < 10 {
			missing = append(missing, fmt.Sprint(i+1))
		}
	}
	return &keyfile.RowError{Format: d.format, Line: d.line, Field: "batch",
		Cause: fmt.Sprintf("the export has %d codes, and %d are missing: %s", d.size, d.size-int64(len(d.seen)), strings.Join(missing, ", "))}
}

// What is wrong with a whole code. None of them repeats anything of it.
var (
	errURI    = errors.New("not an otpauth-migration URI")
	errBase64 = errors.New("not base64")
	errProto  = errors.New("not the protobuf of an export")
	errSize   = errors.New("a batch of an impossible size")
)

// unwrap is the payload of a URI.
func unwrap(uri []byte) ([]byte, error) {
	if otpauth.DetectScheme(uri, scheme) == 0 {
		return nil, errURI
	}
	_, query, _ := bytes.Cut(uri, []byte("?"))
	for part := range bytes.SplitSeq(query, []byte("&")) {
		value, ok := bytes.CutPrefix(part, []byte("data="))
		if !ok {
			continue
		}
		// The characters of base64 that are escaped; a blank was a + that nobody escaped.
		for _, e := range []struct{ from, to string }{{"%2B", "+"}, {"%2b", "+"}, {"%2F", "/"}, {"%2f", "/"}, {"%3D", "="}, {"%3d", "="}, {" ", "+"}} {
			value = bytes.ReplaceAll(value, []byte(e.from), []byte(e.to))
		}
		value = bytes.TrimRight(value, "=")
		out := make([]byte, base64.RawStdEncoding.DecodedLen(len(value)))
		n, err := base64.RawStdEncoding.Decode(out, value)
		if err != nil {
			clear(out)
			return nil, errBase64
		}
		return out[:n], nil
	}
	return nil, errURI
}

// code is one payload; accounts are parts of it.
type code struct {
	accounts           [][]byte
	size, index, batch int64
}

func (c *code) read(payload []byte) error {
	err := fields(payload, func(f protowire.Number, number uint64, text []byte) {
		switch {
		case f == fieldAccount && text != nil:
			c.accounts = append(c.accounts, text)
		case f == fieldSize:
			c.size = int64(number)
		case f == fieldIndex:
			c.index = int64(number)
		case f == fieldBatch:
			c.batch = int64(int32(number))
		}
	})
	if err == nil && (c.size < 0 || c.size > maxBatch || c.index < 0) {
		err = errSize
	}
	return err
}

// fields walks over a message: number for a varint, text (never nil) for a byte string. Other wire types are passed over.
func fields(b []byte, visit func(f protowire.Number, number uint64, text []byte)) error {
	for len(b) > 0 {
		f, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errProto
		}
		b = b[n:]
		switch wire {
		case protowire.VarintType:
			var v uint64
			if v, n = protowire.ConsumeVarint(b); n >= 0 {
				visit(f, v, nil)
			}
		case protowire.BytesType:
			var v []byte
			if v, n = protowire.ConsumeBytes(b); n >= 0 {
				visit(f, 0, v[:len(v):len(v)])
			}
		default:
			n = protowire.ConsumeFieldValue(f, wire, b)
		}
		if n < 0 {
			return errProto
		}
		b = b[n:]
	}
	return nil
}

// account reads one account; bad says what is wrong with it.
func account(raw []byte) (rec keyfile.Record, bad *keyfile.Loss) {
	rec = keyfile.Record{Kind: token.TOTP, Hash: "sha1", Digits: 6}
	refuse := func(field, cause string) {
		if bad == nil {
			l := keyfile.Fatal(field, cause)
			bad = &l
		}
	}
	var name, issuer string
	err := fields(raw, func(f protowire.Number, number uint64, text []byte) {
		switch f {
		case accountSecret:
			rec.Key.Destroy()
			rec.Key = secret.Copy(text)
		case accountName:
			name = string(text)
		case accountIssuer:
			issuer = string(text)
		case accountAlgorithm:
			var ok bool
			if rec.Hash, ok = algorithms[number]; !ok {
				refuse("hash", "not sha1, sha256 or sha512")
			}
		case accountDigits:
			switch number {
			case 0, digitsSix:
			case digits8:
				rec.Digits = 8
			default:
				refuse("digits", "neither 6 nor 8")
			}
		case accountType:
			switch number {
			case 0, typeTOTP:
			case typeHOTP:
				rec.Kind = token.HOTP
			default:
				refuse("type", "neither totp nor hotp")
			}
		case accountCounter:
			if number > keyfile.MaxCounter {
				refuse("counter", "out of range")
			}
			rec.Counter = int64(number)
		}
	})
	if err != nil {
		refuse("data", err.Error())
	}
	if rec.Kind == token.TOTP {
		rec.Counter, rec.Period = 0, period*time.Second
	}
	finish(&rec, name, issuer, refuse)
	return rec, bad
}

// finish sets the names and judges the whole.
func finish(rec *keyfile.Record, name, issuer string, refuse func(field, cause string)) {
	if !utf8.ValidString(name) || !utf8.ValidString(issuer) {
		refuse("owner", "not UTF-8")
		return
	}
	rec.Issuer, rec.Owner = otpauth.SplitLabel(name, issuer)
	if field, cause := otpauth.BadName(*rec); cause != "" {
		refuse(field, cause)
	}
	for _, l := range keyfile.Unsound(*rec, token.HOTP, token.TOTP) {
		refuse(l.Field, l.Note)
	}
}
