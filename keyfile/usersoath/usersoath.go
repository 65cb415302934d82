// Package usersoath is the usersfile of pam_oath (liboath 2.6.7), a line a token:
//
//	HOTP/T30/6	carol	-	124f79a81d17d4ff235c3e1839e21312501bb968
//	HOTP/E/6	alice	-	c8c48c1e49cbbb35517e4f414f26579f8085d955	0
//
// type, account, password (- for none), key in hexadecimal, counter; blanks or tabs between them. After a login the module
// writes the counter of the code that was used and that code behind the key: the next moving factor is one more. It knows
// SHA-1, 6 to 8 digits, 30 and 60 seconds and keys up to 32 bytes; a line of another type is invisible, not an error.
// Source: reference key-files.md §8.1, §0 fact 7; the counter after a login: the module's own file.
package usersoath

import (
	"bytes"
	"encoding/hex"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

// The columns, 1 the first. A time of the last login may follow.
const (
	colType = 1 + iota
	colOwner
	colPassword
	colKey
	colCounter
	colLast // the last code that was accepted
)

// maxKey is the longest key that liboath reads, in bytes.
const maxKey = 32

// Name implements keyfile.Codec.
func (Codec) Name() string { return "pam-oath" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: appendRow}
}

func appendRow(dst []byte, rec keyfile.Record) []byte {
	mode := "E"
	if rec.Kind == token.TOTP {
		mode = "T" + strconv.Itoa(int(rec.Period/time.Second))
	}
	dst = append(dst, "HOTP/"+mode+"/"+strconv.Itoa(rec.Digits)+"\t"+rec.Owner+"\t-\t"...)
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	if rec.Kind == token.HOTP {
		dst = append(dst, '\t')
		dst = strconv.AppendInt(dst, rec.Counter, 10)
	}
	return append(dst, '\n')
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Hash, out.Owner = "sha1", rec.Owner
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"serial": "the file names the account, not the token",
	"label":  "the file names the account, not the token",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.HOTP, token.TOTP)
	if rec.Kind != token.HOTP && rec.Kind != token.TOTP {
		return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
	}
	if rec.Hash != "sha1" {
		out = append(out, keyfile.Fatal("hash", "pam_oath computes SHA-1 only: check this token on a server (pskc, keycloak), or give out one with SHA-1"))
	}
	if n := rec.Key.Len(); n < keyfile.MinSeedSize || n > maxKey {
		out = append(out, keyfile.Fatal("key", "pam_oath takes keys up to 32 bytes, and shorter ones than 10 are no seeds"))
	}
	if rec.Kind == token.TOTP && rec.Period != 30*time.Second && rec.Period != 60*time.Second {
		out = append(out, keyfile.Fatal("period", "pam_oath knows 30 and 60 seconds: to another line it is blind"))
	}
	if cause := badOwner(rec.Owner); cause != "" {
		out = append(out, keyfile.Fatal("owner", cause))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// badOwner says why an account cannot stand in the file; "" when it can.
func badOwner(s string) string {
	if s == "" {
		return "unknown, and each line is for an account"
	}
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return "a blank would shift the columns"
	}
	if cause := keyfile.BadName(s); cause != "" {
		return "cannot stand in the file: " + cause
	}
	return ""
}

// Decode implements keyfile.Codec. Lines that begin with # are passed over; passwords are not read.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if row.Text[0] == '#' {
		return rec, false
	}
	if i := bytes.IndexByte(row.Text, ','); i >= 0 && len(bytes.Fields(row.Text[:i])) != colPassword { // that may hold anything
		row.Bad(0, "line", "a comma outside the password")
	}
	row.Words()
	if row.Len() < colKey {
		row.Bad(row.Len(), "row", "fewer than four fields")
	}
	readType(row, &rec)
	rec.Owner = row.Public(colOwner)
	if cause := badOwner(rec.Owner); cause != "" {
		row.Bad(colOwner, "owner", cause)
	}
	if len(row.Bytes(colKey)) > 2*maxKey {
		row.Bad(colKey, "key", "longer than 32 bytes: pam_oath refuses this account's logins")
	}
	rec.Key = row.Seed(colKey, "key")
	counter := row.Int(colCounter, "counter", 0, keyfile.MaxCounter-1, 0)
	if rec.Kind == token.HOTP {
		rec.Counter = counter
		if row.Len() >= colLast {
			rec.Counter++
		}
	}
	return rec, true
}

// readType reads HOTP, HOTP/E, HOTP/T30 or HOTP/T60, the last three with /6, /7 or /8 behind. Nothing else is known.
func readType(row *keyfile.Row, rec *keyfile.Record) {
	mode, digits, given := strings.Cut(strings.TrimPrefix(row.Public(colType), "HOTP/"), "/")
	rec.Kind, rec.Hash, rec.Digits = token.TOTP, "sha1", 6
	switch mode {
	case "HOTP", "E":
		rec.Kind = token.HOTP
	case "T30":
		rec.Period = 30 * time.Second
	case "T60":
		rec.Period = 60 * time.Second
	default:
		row.Bad(colType, "type", "not one that pam_oath knows: it does not see this line")
	}
	switch {
	case !given:
	case mode != "HOTP" && (digits == "6" || digits == "7" || digits == "8"):
		rec.Digits = int(digits[0] - '0')
	default:
		row.Bad(colType, "type", "not one that pam_oath knows: it does not see this line")
	}
}

// Detect implements keyfile.Codec: the first row has a type and a key in its places.
func (Codec) Detect(head []byte) int {
	f := bytes.Fields(keyfile.FirstRow(head))
	if len(f) >= colKey && (string(f[0]) == "HOTP" || bytes.HasPrefix(f[0], []byte("HOTP/"))) {
		return 90
	}
	return 0
}
