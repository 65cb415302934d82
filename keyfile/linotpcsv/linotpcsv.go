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
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/secret"
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

const (
	defaultDigits = 6
	defaultStep   = 30 // seconds
)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "linotp-csv" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: appendRow}
}

func appendRow(dst []byte, rec keyfile.Record) []byte {
	dst = append(dst, Serial(rec)+", "...)
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	switch rec.Kind {
	case token.YubicoOTP:
		dst = append(dst, ", yubikey, "+strconv.Itoa(otpLength(rec.PublicID))+",,"...)
	case token.HOTP:
		dst = append(dst, ", hotp, "+strconv.Itoa(rec.Digits)+", , "+rec.Hash...)
	case token.TOTP:
		dst = append(dst, ", totp, "+strconv.Itoa(rec.Digits)+", "+strconv.Itoa(int(rec.Period/time.Second))+", "+rec.Hash...)
	}
	return append(dst, '\n')
}

// otpLength is the number of characters that a key types: 32 for the encrypted block and two a byte of the public ID.
func otpLength(p token.PublicID) int { return 32 + len(p.String()) }

// likeOATH is rec with a key, a hash and a counter that package oathcsv takes of every record: what it then says is about the
// token's name only.
func likeOATH(rec keyfile.Record) keyfile.Record {
	out := keyfile.Record{Kind: rec.Kind, Serial: rec.Serial, Label: rec.Label, Slot: rec.Slot, PublicID: rec.PublicID,
		Key: secret.New(make([]byte, keyfile.KeySize)), Digits: defaultDigits, Hash: "sha1"}
	if rec.Kind == token.TOTP {
		out.Period = defaultStep * time.Second
	}
	return out
}

// Serial is the first column of rec, which is that of oathcsv: a token has one serial in LinOTP whichever file it came in. It is
// empty for a record that nothing names.
func Serial(rec keyfile.Record) string {
	s, _ := serial(rec)
	return s
}

// serial is Serial, and why the file cannot name rec.
func serial(rec keyfile.Record) (string, error) {
	var b strings.Builder
	if err := (oathcsv.Codec{}).NewEncoder(&b).Encode(likeOATH(rec)); err != nil {
		return "", err
	}
	s, _, _ := strings.Cut(b.String(), ",")
	return s, nil
}

// Named is a record of that kind with the names that a first column gives it: serial and slot, or public ID, if it is of our
// making, otherwise a label.
func Named(kind token.Kind, s string) keyfile.Record {
	out := oathcsv.Codec{}.Carried(likeOATH(keyfile.Record{Kind: kind, Label: s}))
	return keyfile.Record{Kind: kind, Serial: out.Serial, Label: out.Label, Slot: out.Slot, PublicID: out.PublicID}
}

// NameLosses are the losses of rec in its names: none, a note about an unknown slot, or why nothing can be written.
func NameLosses(rec keyfile.Record) (out []keyfile.Loss) {
	for _, l := range (oathcsv.Codec{}).Loss(likeOATH(rec)) {
		if l.Fatal || (l.Field == "slot" && rec.Slot == 0) {
			out = append(out, l)
		}
	}
	return out
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := Named(rec.Kind, Serial(rec))
	out.Key = rec.Key
	switch rec.Kind {
	case token.HOTP:
		out.Digits, out.Hash = rec.Digits, rec.Hash
	case token.TOTP:
		out.Digits, out.Hash, out.Period = rec.Digits, rec.Hash, rec.Period
	}
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"private-id":  "LinOTP's file has no column for it",
	"public-id":   "the file has its length only",
	"label":       "the file names the token by its serial, or by its public ID when the serial is unknown",
	"access-code": "left out on purpose: who has it can reprogram the key",
	"owner":       "the file has no column for it: assign the tokens after the import",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.YubicoOTP, token.HOTP, token.TOTP)
	if len(out) == 0 {
		out = NameLosses(rec)
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
	kind := token.HOTP
	switch strings.ToLower(row.Public(colType)) {
	case "hotp", "hmac", "":
	case "totp":
		kind = token.TOTP
	case "yubikey":
		kind = token.YubicoOTP
	default:
		row.Bad(colType, "type", "not hotp, totp or yubikey")
	}
	serial := row.Public(colSerial)
	if rec = Named(kind, serial); serial == "" || Serial(rec) != serial {
		row.Bad(colSerial, "serial", "a serial is letters, digits, - and _, 40 at most")
	}
	if kind == token.YubicoOTP {
		low, high := otpLength(token.PublicID{}), otpLength(token.PublicID{})+2*token.MaxPublicID
		if n := row.Int(colLength, "length", int64(low), int64(high), 0); n%2 != 0 {
			row.Bad(colLength, "length", "an OTP has an even number of characters")
		}
		rec.Key = row.Hex(colKey, "key", keyfile.KeySize)
		return rec, true
	}
	rec.Digits = int(row.Int(colLength, "digits", 6, 8, defaultDigits))
	if kind == token.TOTP {
		rec.Period = time.Duration(row.Int(colStep, "period", 1, 86400, defaultStep)) * time.Second
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
	for line := range bytes.Lines(keyfile.TrimBOM(head)) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		f := bytes.Split(line, []byte(","))
		if len(f) != colHash {
			return 0
		}
		switch strings.ToLower(string(bytes.TrimSpace(f[colType-1]))) {
		case "hotp", "hmac", "totp", "yubikey":
			return 90
		}
		return 0
	}
	return 0
}
