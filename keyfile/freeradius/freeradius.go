// Package freeradius is the users file of FreeRADIUS 3 (module files) with what rlm_yubikey and rlm_totp need, a line an account:
//
//	alice Yubikey-Key := 0x688a3c8423bd5e0811602fe6977ff4f2, Yubikey-Counter := 0
//	carol TOTP-Secret := "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI"
//
// FreeRADIUS takes the first line of an account only, and never writes the file back: Yubikey-Counter stays where it is, so an
// OTP is taken again unless a policy of the server stores the counter. TOTP is SHA-1, 6 digits and 30 seconds there.
// Source: reference key-files.md §8.8; rlm_totp.c, rlm_yubikey/decrypt.c.
package freeradius

import (
	"bytes"
	"encoding/hex"
	"io"
	"iter"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

// The attributes that are written.
const (
	attrKey     = "Yubikey-Key"
	attrCounter = "Yubikey-Counter"
	attrSecret  = "TOTP-Secret"
)

// hexMark is the field that split makes of the 0x in front of a value.
const hexMark = "x"

const (
	// publicIDSize is rlm_yubikey's id_length of 12 characters, in bytes.
	publicIDSize = 6
	// maxSeed is the longest seed whose base32 fits rlm_totp.c's buffer of 80, which must not become full.
	maxSeed    = 49
	totpDigits = 6
	totpPeriod = 30 * time.Second
)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "freeradius" }

// NewEncoder implements keyfile.Codec. A second line of one account, which would never be reached, is refused.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return keyfile.OncePerOwner(&keyfile.RowEncoder{Codec: c, W: w, Append: appendRow}, c.Name(),
		"the account has a line already, and FreeRADIUS uses the first only")
}

func appendRow(dst []byte, rec keyfile.Record) []byte {
	dst = append(dst, rec.Owner...)
	if rec.Kind == token.TOTP {
		dst = append(dst, " "+attrSecret+" := \""...)
		dst = keyfile.AppendBase32(dst, rec.Key.Reveal())
		return append(dst, "\"\n"...)
	}
	dst = append(dst, " "+attrKey+" := 0x"...)
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	return append(dst, ", "+attrCounter+" := 0\n"...)
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := keyfile.Record{Kind: rec.Kind, Key: rec.Key, Owner: rec.Owner}
	if rec.Kind == token.TOTP {
		out.Digits, out.Hash, out.Period = totpDigits, "sha1", totpPeriod
	}
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"private-id": "rlm_yubikey does not compare it, unless a policy of the server does",
	"public-id":  "the account finds the key: rlm_yubikey must cut it off the OTP (split = yes, id_length = 12)",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.YubicoOTP, token.TOTP)
	switch rec.Kind {
	case token.YubicoOTP:
		if n := rec.PublicID.Len(); n != 0 && n != publicIDSize {
			out = append(out, keyfile.Fatal("public-id", "rlm_yubikey cuts off 12 characters, and this public ID has another length"))
		}
		out = append(out, keyfile.Loss{Field: "counter", Note: "FreeRADIUS does not write Yubikey-Counter back: " +
			"it takes an OTP again unless a policy stores the counter"})
	case token.TOTP:
		out = append(out, lossTOTP(rec)...)
	}
	if cause := badOwner(rec.Owner); cause != "" {
		out = append(out, keyfile.Fatal("owner", cause))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

func lossTOTP(rec keyfile.Record) (out []keyfile.Loss) {
	if rec.Hash != "sha1" {
		out = append(out, keyfile.Fatal("hash", "rlm_totp computes SHA-1 only"))
	}
	if rec.Digits != totpDigits {
		out = append(out, keyfile.Fatal("digits", "rlm_totp takes 6 digits only"))
	}
	if rec.Period != totpPeriod {
		out = append(out, keyfile.Fatal("period", "rlm_totp knows 30 seconds only"))
	}
	if rec.Key.Len() > maxSeed {
		out = append(out, keyfile.Fatal("key", "rlm_totp takes seeds up to 49 bytes"))
	}
	return out
}

// badOwner says why an account cannot stand in the file; "" when it can.
func badOwner(s string) string {
	switch {
	case s == "":
		return "unknown, and each line is for an account"
	case s == "DEFAULT" || s[0] == '$':
		return "it means something else in this file"
	case strings.ContainsFunc(s, unicode.IsSpace) || strings.ContainsAny(s, "\\'`"):
		return "blanks, quotes and backslashes end an account in this file"
	}
	if cause := keyfile.BadName(s); cause != "" {
		return "cannot stand in the file: " + cause
	}
	return ""
}

// Decode implements keyfile.Codec. Lines that begin with # are passed over. A line must have one of the two secrets and no other
// attribute than Yubikey-Counter, which is not kept.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if row.Text[0] == '#' {
		return rec, false
	}
	split(row)
	rec.Owner = row.Public(1)
	if cause := badOwner(rec.Owner); cause != "" {
		row.Bad(1, "owner", cause)
	}
	for i := 2; i <= row.Len() && row.Ok(); i += 3 { // attribute, operator, value
		if row.Public(i+1) != ":=" || len(row.Bytes(i+2)) == 0 {
			row.Bad(i+1, "operator", "want := and a value behind an attribute")
		}
		switch attr := row.Public(i); {
		case strings.EqualFold(attr, attrCounter):
			row.Int(i+2, "counter", 0, math.MaxUint32, 0)
		case rec.Kind != "":
			row.Bad(i, "attribute", "want one of Yubikey-Key and TOTP-Secret, once, and Yubikey-Counter")
		case strings.EqualFold(attr, attrKey):
			rec.Kind = token.YubicoOTP
			if row.Public(i+2) != hexMark {
				row.Bad(i+2, "key", "want 0x and 32 hexadecimal digits")
			}
			rec.Key = row.Hex(i+3, "key", keyfile.KeySize)
			i++
		case strings.EqualFold(attr, attrSecret):
			rec.Kind, rec.Hash, rec.Digits, rec.Period = token.TOTP, "sha1", totpDigits, totpPeriod
			rec.Key = readBase32(row, i+2)
		default:
			row.Bad(i, "attribute", "want one of Yubikey-Key and TOTP-Secret, once, and Yubikey-Counter")
		}
	}
	if rec.Kind == "" {
		row.Bad(2, "key", "neither Yubikey-Key nor TOTP-Secret")
	}
	return rec, true
}

// split makes of a row's words fields of a table, in place: the account, then attribute, operator and value in turn. The 0x of a value
// becomes the field hexMark; quotes around a value and commas behind it go away.
func split(row *keyfile.Row) {
	if row.Text[0] == ' ' || row.Text[0] == '\t' {
		row.Bad(0, "line", "begins with a blank: a list of reply attributes, which is not read")
	}
	text := row.Text
	if i := bytes.IndexAny(text, ",\""); i >= 0 && !bytes.ContainsAny(text[:i], " \t") {
		row.Bad(1, "owner", "blanks, quotes and commas end an account in this file")
	}
	out := row.Text[:0]
	for i, word := range bytes.FieldsFunc(text, func(c rune) bool { return unicode.IsSpace(c) || c == ',' || c == '"' }) {
		if i > 0 {
			out = append(out, ',')
		}
		if len(word) > 2 && word[0] == '0' && word[1] == 'x' && i > 0 {
			out = append(out, hexMark+","...) // as long as the 0x: nothing that is still to be read is overwritten
			word = word[2:]
		}
		out = append(out, word...)
	}
	row.Text = out
	row.Split()
}

// readBase32 reads a seed as rlm_totp does: upper case, nothing between, padding ends it.
func readBase32(row *keyfile.Row, column int) secret.Bytes {
	text := row.Bytes(column)
	if len(bytes.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567=")) > 0 {
		row.Bad(column, "key", "not base32 in upper case")
	}
	if !row.Ok() {
		return secret.Bytes{}
	}
	seed, ok := keyfile.ParseBase32(text)
	if !ok || seed.Len() > maxSeed {
		row.Bad(column, "key", "not base32 of 1 to 49 bytes")
	}
	return seed
}

// Detect implements keyfile.Codec: the first row has one of the two secrets behind an account.
func (Codec) Detect(head []byte) int {
	f := bytes.Fields(keyfile.FirstRow(head))
	if len(f) > 1 && (strings.EqualFold(string(f[1]), attrKey) || strings.EqualFold(string(f[1]), attrSecret)) {
		return 95
	}
	return 0
}
