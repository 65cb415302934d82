// Package linotpcsv is LinOTP's own OATH CSV of six columns:
//
//	TOTP00900009, 124f79a81d17d4ff235c3e1839e21312501bb968, totp, 6, 30, sha256
//
// serial, key in hexadecimal, type, length of a code, time step, hash. Other than privacyIDEA's version 1 (package oathcsv), whose
// first five columns these are, it names the hash. It has no moving factor: LinOTP starts every HOTP token at 0.
// Source: reference key-files.md §5; linotp/lib/ImportOTP/oath.py.
package linotpcsv

import (
	"bytes"
	"encoding/hex"
	"io"
	"iter"
	"slices"
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
	colKey
	colType
	colLength
	colStep
	colHash
)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "linotp-csv" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: appendRow}
}

func appendRow(dst []byte, rec keyfile.Record) []byte {
	dst = append(dst, tokenname.Serial(rec)+", "...)
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	switch rec.Kind {
	case token.YubicoOTP:
		dst = append(dst, ", yubikey, "+strconv.Itoa(rec.OTPLength())+",,"...)
	case token.HOTP:
		dst = append(dst, ", hotp, "+strconv.Itoa(rec.Digits)+", , "+rec.Hash...)
	case token.TOTP:
		dst = append(dst, ", totp, "+strconv.Itoa(rec.Digits)+", "+strconv.Itoa(int(rec.Period/time.Second))+", "+rec.Hash...)
	}
	return append(dst, '\n')
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Counter = 0
	tokenname.SetSerial(&out, tokenname.Serial(rec))
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"private-id": "LinOTP's file has no column for it",
	"public-id":  "the file has its length only",
	"label":      "the file names the token by its serial, or by its public ID when the serial is unknown",
	"owner":      "the file has no column for it: assign the tokens after the import",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.YubicoOTP, token.HOTP, token.TOTP)
	if len(out) == 0 {
		out = tokenname.SerialLosses(rec)
	}
	if rec.Kind == token.HOTP && rec.Counter > 0 {
		out = append(out, keyfile.Fatal("counter", "the file has no column for it, and LinOTP starts at 0, behind the token: use pskc"))
	}
	if (rec.Kind == token.HOTP || rec.Kind == token.TOTP) && rec.Key.Len() < keyfile.MinSeedSize {
		out = append(out, keyfile.Fatal("key", "a seed this short is taken for a column out of place"))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// Decode implements keyfile.Codec. Lines that begin with # are passed over. Where the hash is missing it goes by the length of the
// key, as in LinOTP. A Yubico OTP row comes out without public and private ID.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if row.Text[0] == '#' {
		return rec, false
	}
	row.Split()
	if n := row.Len(); n < colKey {
		row.Bad(n, "row", "too few fields")
	} else if n > colHash {
		row.Bad(colHash+1, "row", "more than six fields")
	}
	rec.Kind = token.HOTP
	switch strings.ToLower(row.Public(colType)) {
	case "hotp", "hmac", "":
	case "totp":
		rec.Kind = token.TOTP
	case "yubikey":
		rec.Kind = token.YubicoOTP
	default:
		row.Bad(colType, "type", "not hotp, totp or yubikey")
	}
	if !tokenname.SetSerial(&rec, row.Public(colSerial)) {
		row.Bad(colSerial, "serial", tokenname.BadSerial)
	}
	if rec.Kind == token.YubicoOTP {
		row.OTPLength(colLength)
		rec.Key = row.Hex(colKey, "key", keyfile.KeySize)
		return rec, true
	}
	rec.Digits = row.Digits(colLength)
	if rec.Kind == token.TOTP {
		rec.Period = row.Period(colStep)
	}
	rec.Key = row.Seed(colKey, "key")
	readHash(row, &rec)
	return rec, true
}

// readHash reads sha1, sha256 or sha512 in either case. Other words LinOTP takes for a missing hash; here they are an error.
func readHash(row *keyfile.Row, rec *keyfile.Record) {
	rec.Hash = strings.ToLower(row.Public(colHash))
	switch {
	case rec.Hash == "" && rec.Key.Len() == 32:
		rec.Hash = "sha256"
	case rec.Hash == "" && rec.Key.Len() == 64:
		rec.Hash = "sha512"
	case rec.Hash == "":
		rec.Hash = "sha1"
	case !slices.Contains(keyfile.Hashes(), rec.Hash):
		row.Bad(colHash, "hash", "not one of the hashes that LinOTP knows")
	}
}

// Detect implements keyfile.Codec: six columns tell it from privacyIDEA's.
func (Codec) Detect(head []byte) int {
	f := bytes.Split(keyfile.FirstRow(head), []byte(","))
	if len(f) != colHash {
		return 0
	}
	switch strings.ToLower(string(bytes.TrimSpace(f[colType-1]))) {
	case "hotp", "hmac", "totp", "yubikey":
		return 90
	}
	return 0
}
