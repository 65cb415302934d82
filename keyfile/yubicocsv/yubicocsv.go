// Package yubicocsv is the Yubico format, which `ykman otp yubiotp -O` writes: a line a slot,
//
//	serial,public ID,private ID,key,access code,time,
//
// six fields and a trailing comma, ModHex for the public ID, hexadecimal for the secrets, time without zone. It does not say
// which slot a row is for. A row with a 20-byte key is an HOTP credential and has its moving factor for a private ID.
// Source: reference key-files.md §7.1, §4.3.
package yubicocsv

import (
	"bytes"
	"encoding/hex"
	"io"
	"iter"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

// The columns, 1 the first.
const (
	colSerial = 1 + iota
	colPublicID
	colPrivateID // HOTP: the moving factor
	colKey
	colAccessCode
	colTime
	colEnd // empty: what follows the trailing comma
)

// hotpKeySize is the length of an HOTP seed in a slot, in bytes, by which a row is told from a Yubico OTP row.
const hotpKeySize = 20

// Name implements keyfile.Codec.
func (Codec) Name() string { return "yubico-csv" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: appendRow}
}

func appendRow(dst []byte, rec keyfile.Record) []byte {
	dst = strconv.AppendUint(dst, uint64(rec.Serial), 10)
	dst = append(dst, ',')
	if rec.Kind == token.HOTP {
		if isTokenID(rec.Label) {
			dst = append(dst, rec.Label...)
		}
		dst = append(dst, ',', '0')
	} else {
		dst = append(dst, rec.PublicID.String()...)
		dst = append(dst, ',')
		dst = hex.AppendEncode(dst, rec.PrivateID.Reveal())
	}
	dst = append(dst, ',')
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	dst = append(dst, ",,"...) // no access code: who has it can reprogram the key
	dst = append(dst, keyfile.FormatTime(rec.Created)...)
	return append(dst, ",\n"...)
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := keyfile.Record{Kind: rec.Kind, Serial: rec.Serial, Key: rec.Key, Created: keyfile.Seconds(rec.Created)}
	if rec.Kind == token.HOTP {
		out.Digits, out.Hash = 6, "sha1"
		if isTokenID(rec.Label) {
			out.Label = rec.Label
		}
		return out
	}
	out.PublicID, out.PrivateID = rec.PublicID, rec.PrivateID
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"slot":  "the file has no column for it: privacyIDEA and LinOTP keep one credential a key and the second slot overwrites the first",
	"owner": "the file has no column for it: assign the tokens after the import",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.YubicoOTP, token.HOTP)
	switch {
	case rec.Kind == token.YubicoOTP && rec.PrivateID.Len() == 0:
		out = append(out, keyfile.Fatal("private-id", "unknown: the row would be read as a static password"))
	case rec.Kind == token.HOTP && rec.Key.Len() != hotpKeySize:
		out = append(out, keyfile.Fatal("key", "an HOTP row is told by its 20-byte seed"))
	case rec.Kind == token.HOTP && rec.Counter != 0:
		out = append(out, keyfile.Fatal("counter", "importers take a row with a moving factor other than 0 for an AES key"))
	case rec.Kind == token.HOTP && rec.Digits != 6:
		out = append(out, keyfile.Fatal("digits", "importers take 6 digits"))
	case rec.Kind == token.HOTP && rec.Hash != "sha1":
		out = append(out, keyfile.Fatal("hash", "importers take sha1"))
	}
	switch {
	case rec.Serial == 0:
		out = append(out, keyfile.Loss{Field: "serial", Note: "unknown and written as 0: servers that go by the serial keep one such token"})
	case rec.Slot == 0:
		out = append(out, keyfile.Loss{Field: "slot", Note: "unknown: servers that go by the serial keep one credential of each key"})
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// Decode implements keyfile.Codec. Lines that begin with # are passed over.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if row.Text[0] == '#' {
		return rec, false
	}
	row.Split()
	rec.Serial = serial(row)
	if n := row.Len(); n < colTime {
		row.Bad(n, "row", "fewer than six fields")
	} else if n > colEnd || len(row.Bytes(colEnd)) > 0 {
		row.Bad(colEnd, "row", "more than six fields")
	}
	switch {
	case len(row.Bytes(colPrivateID)) == 0:
		row.Bad(colPrivateID, "private-id", "empty: a static password or a challenge-response key, which is not imported")
	case len(row.Bytes(colKey)) == 2*hotpKeySize:
		rec.Kind, rec.Digits, rec.Hash = token.HOTP, 6, "sha1"
		rec.Counter = row.Counter(colPrivateID)
		if rec.Label = row.Public(colPublicID); rec.Label != "" && !isTokenID(rec.Label) {
			row.Bad(colPublicID, "label", "not an OATH token identifier")
		}
		rec.Key = row.Hex(colKey, "key", hotpKeySize)
	default:
		rec.Kind = token.YubicoOTP
		rec.PublicID = row.PublicID(colPublicID)
		rec.PrivateID = row.Hex(colPrivateID, "private-id", keyfile.PrivateIDSize)
		rec.Key = row.Hex(colKey, "key", keyfile.KeySize)
	}
	rec.AccessCode = row.AccessCode(colAccessCode)
	rec.Created = row.Time(colTime, "created")
	return rec, true
}

func serial(row *keyfile.Row) token.Serial {
	if s := row.Bytes(colSerial); len(s) > 0 && !isNumber(s) {
		row.Bad(colSerial, "serial", "not a number: a header, or the Personalization Tool's traditional log, which is not read")
	}
	return row.Serial(colSerial)
}

// isTokenID reports whether s can be an OATH token identifier: 1 to 32 letters and digits.
func isTokenID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 32
}

func isNumber(b []byte) bool {
	return len(b) > 0 && len(bytes.Trim(b, "0123456789")) == 0
}

// Detect implements keyfile.Codec: it looks at the shape of the first row.
func (Codec) Detect(head []byte) int {
	f := bytes.Split(keyfile.FirstRow(head), []byte(","))
	if len(f) < colTime || len(f) > colEnd || (len(f[0]) > 0 && !isNumber(f[0])) {
		return 0
	}
	if n := len(f[colKey-1]); n != 2*keyfile.KeySize && n != 2*hotpKeySize {
		return 0
	}
	return 80
}
