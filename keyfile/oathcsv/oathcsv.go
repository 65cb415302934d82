// Package oathcsv is privacyIDEA's OATH CSV, versions 1 and 2:
//
//	UBOM00900002, 0e69d3441e304c01726e2a31445457dc57d0b18e, hotp, 8, 42
//	TOTP00900003, 124f79a81d17d4ff235c3e1839e21312501bb968, totp, 6, 30
//	YUBIAES10200301_1, 688a3c8423bd5e0811602fe6977ff4f2, yubikey, 44
//
// serial, key in hexadecimal, type, length of a code, then the moving factor or the time step. Version 2 begins with the
// line "# version: 2" and has user, resolver and realm in front. There is no hash column: the reader goes by the length of
// the key, so a record with another hash is refused. The private ID and the public ID of a Yubico OTP are not in the file,
// only the public ID's length: 32 and 2 characters a byte. No byte-order mark, header line or quotes.
// Source: reference key-files.md §4.1, §4.2, §0.
//
// The serial of a YubiKey's slot is of our own making (package tokenname), so that two slots of one key stay two tokens: of two
// rows with one serial the importer keeps the last. Where a Yubico OTP's slot is unknown, its public ID stands in the slot's
// place.
package oathcsv

import (
	"encoding/hex"
	"io"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format. With a Realm it writes version 2 with the owners, which must exist in that realm: an unknown user
// aborts the import at that row. Its zero value writes version 1. Both read both.
type Codec struct {
	Realm    string
	Resolver string // may stay empty
}

var _ keyfile.Codec = Codec{}

const version2 = "# version: 2"

// Name implements keyfile.Codec.
func (Codec) Name() string { return "oath-csv" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	e := &keyfile.RowEncoder{Codec: c, W: w, Append: c.appendRow}
	if c.Realm != "" {
		e.Head = version2 + "\n"
	}
	return e
}

func (c Codec) appendRow(dst []byte, rec keyfile.Record) []byte {
	if c.Realm != "" && rec.Owner != "" {
		dst = append(dst, rec.Owner+", "+c.Resolver+", "+c.Realm+", "...)
	} else if c.Realm != "" {
		dst = append(dst, ", , , "...)
	}
	dst = append(dst, tokenname.Serial(rec)+", "...)
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	switch rec.Kind {
	case token.YubicoOTP:
		dst = append(dst, ", yubikey, "...)
		dst = strconv.AppendInt(dst, int64(rec.OTPLength()), 10)
	case token.HOTP:
		dst = append(dst, ", hotp, "...)
		dst = strconv.AppendInt(dst, int64(rec.Digits), 10)
		dst = append(dst, ", "...)
		dst = strconv.AppendInt(dst, rec.Counter, 10)
	case token.TOTP:
		dst = append(dst, ", totp, "...)
		dst = strconv.AppendInt(dst, int64(rec.Digits), 10)
		dst = append(dst, ", "...)
		dst = strconv.AppendInt(dst, int64(rec.Period/time.Second), 10)
	}
	return append(dst, '\n')
}

// Carried implements keyfile.Codec.
func (c Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	tokenname.SetSerial(&out, tokenname.Serial(rec))
	if c.Realm != "" {
		out.Owner = rec.Owner
	}
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"private-id": "privacyIDEA does not store it and does not compare it",
	"public-id":  "the file has its length only: privacyIDEA learns it with the first accepted OTP",
	"label":      "the file names the token by its serial, or by its public ID when the serial is unknown",
	"owner":      "version 1 has no column for it: name the realm to write version 2, or assign the tokens after the import",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := append(keyfile.Unsound(rec, token.YubicoOTP, token.HOTP, token.TOTP), tokenname.SerialLosses(rec)...)
	if rec.Kind == token.HOTP || rec.Kind == token.TOTP {
		if rec.Key.Len() < keyfile.MinSeedSize {
			out = append(out, keyfile.Fatal("key", "a seed this short is taken for a column out of place"))
		}
		if want := hashByKey(rec.Key.Len()); rec.Hash != want {
			out = append(out, keyfile.Fatal("hash", "the file cannot name it, and servers take "+want+" for a key of this length: use pskc"))
		}
	}
	if c.Realm != "" {
		for _, f := range []struct{ field, text string }{{"owner", rec.Owner}, {"realm", c.Realm}, {"resolver", c.Resolver}} {
			if cause := keyfile.BadName(f.text); cause != "" {
				out = append(out, keyfile.Fatal(f.field, "cannot stand in the file: "+cause))
			}
		}
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// hashByKey is the hash that privacyIDEA takes for a key of n bytes. Source: reference key-files.md §0 fact 1.
func hashByKey(n int) string {
	switch n {
	case 28:
		return "sha224"
	case 32:
		return "sha256"
	case 48:
		return "sha384"
	case 64:
		return "sha512"
	}
	return "sha1"
}
