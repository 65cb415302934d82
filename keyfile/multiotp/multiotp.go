// Package multiotp is multiOTP's own CSV of tokens, a line a token:
//
//	UBOM00900002;;HOTP;0e69d3441e304c01726e2a31445457dc57d0b18e;8;42
//
// serial, manufacturer (a record does not know it), HOTP or TOTP, key in hexadecimal, digits, next counter or time step; semicolons,
// commas or tabs between them. There is no hash column: every token is SHA-1. multiOTP lower-cases serials and strips blanks
// around the serial only.
// Source: reference key-files.md §8.8, §0 fact 10; multiotp.class.php, ImportTokensFromCsv.
package multiotp

import (
	"encoding/hex"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

// The columns, 1 the first.
const (
	colSerial = 1 + iota
	colManufacturer
	colType
	colKey
	colDigits
	colExtra // moving factor or time step
)

// separators are where multiOTP cuts.
const separators = ";,\t"

// Name implements keyfile.Codec.
func (Codec) Name() string { return "multiotp-csv" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: appendRow}
}

func appendRow(dst []byte, rec keyfile.Record) []byte {
	kind, extra := "HOTP", rec.Counter
	if rec.Kind == token.TOTP {
		kind, extra = "TOTP", int64(rec.Period/time.Second)
	}
	dst = append(dst, tokenname.Serial(rec)+";;"+kind+";"...)
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	dst = append(dst, ";"+strconv.Itoa(rec.Digits)+";"...)
	return append(strconv.AppendInt(dst, extra, 10), '\n')
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Hash = "sha1"
	tokenname.SetSerial(&out, tokenname.Serial(rec))
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"label": "the file names the token by its serial",
	"owner": "the file has no column for it: assign the tokens after the import",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.HOTP, token.TOTP)
	if len(out) == 0 {
		out = tokenname.SerialLosses(rec)
	}
	if rec.Kind == token.HOTP || rec.Kind == token.TOTP {
		if rec.Hash != "sha1" {
			out = append(out, keyfile.Fatal("hash", "the file cannot name it, and multiOTP takes sha1: use pskc, in clear"))
		}
		if rec.Key.Len() < keyfile.MinSeedSize {
			out = append(out, keyfile.Fatal("key", "a seed this short is taken for a column out of place"))
		}
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// Decode implements keyfile.Codec. Lines that begin with # are passed over; the manufacturer is not kept.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if row.Text[0] == '#' {
		return rec, false
	}
	row.SplitAt(separators)
	if n := row.Len(); n < colExtra {
		row.Bad(n, "row", "fewer than six fields")
	} else if n > colExtra {
		row.Bad(colExtra+1, "row", "more than six fields")
	}
	rec.Kind, rec.Hash = token.HOTP, "sha1"
	switch strings.ToUpper(row.Public(colType)) {
	case "HOTP":
	case "TOTP":
		rec.Kind = token.TOTP
	default:
		row.Bad(colType, "type", "not HOTP or TOTP")
	}
	if !tokenname.SetSerial(&rec, row.Public(colSerial)) {
		row.Bad(colSerial, "serial", tokenname.BadSerial)
	}
	rec.Digits = row.Digits(colDigits)
	if rec.Kind == token.TOTP {
		rec.Period = row.Period(colExtra)
	} else {
		rec.Counter = row.Counter(colExtra)
	}
	rec.Key = row.Seed(colKey, "key")
	return rec, true
}

// Detect implements keyfile.Codec: the first row has six fields, a type in the third and something as long as a key in the
// fourth, where other tables have the digits.
func (Codec) Detect(head []byte) int {
	f := strings.Split(strings.NewReplacer(";", ",", "\t", ",").Replace(string(keyfile.FirstRow(head))), ",")
	if len(f) != colExtra || len(f[colKey-1]) < 2*keyfile.MinSeedSize {
		return 0
	}
	switch strings.ToUpper(strings.TrimSpace(f[colType-1])) {
	case "HOTP", "TOTP":
		return 90
	}
	return 0
}
