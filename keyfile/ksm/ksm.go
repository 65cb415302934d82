// Package ksm is the key file of yubikey-ksm, which ykksm-gen-keys writes and ykksm-import reads:
//
//	# ykksm 1
//	# serialnr,identity,internaluid,aeskey,lockpw,created,accessed[,progflags]
//	10200302,cbcdcecfcgch,e175d72cd304,deba785e2f83f2cb8c428744e2e36087,000000000000,2026-03-01T10:00:00,
//	# the end
//
// Everything is lower case, times have no zone, blank lines abort the importer, and an access code of zeros means that there
// is none. The importer wants the file inside a signed OpenPGP message.
// Source: reference key-files.md §7.5, validation-protocol.md §13.
package ksm

import (
	"bytes"
	"encoding/hex"
	"errors"
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
	colPrivateID
	colKey
	colAccessCode
	colCreated
	colAccessed
	colFlags
)

const (
	version  = "# ykksm 1"
	head     = version + "\n# serialnr,identity,internaluid,aeskey,lockpw,created,accessed[,progflags]\n"
	foot     = "# the end\n"
	noAccess = "000000000000" // the importer wants the field filled
)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "ksm" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Head: head, Foot: foot, Append: appendRow}
}

func appendRow(dst []byte, rec keyfile.Record) []byte {
	dst = strconv.AppendUint(dst, uint64(rec.Serial), 10)
	dst = append(dst, ',')
	dst = append(dst, rec.PublicID.String()...)
	dst = append(dst, ',')
	dst = hex.AppendEncode(dst, rec.PrivateID.Reveal())
	dst = append(dst, ',')
	dst = hex.AppendEncode(dst, rec.Key.Reveal())
	dst = append(dst, ","+noAccess+","...)
	dst = append(dst, keyfile.FormatTime(rec.Created)...)
	return append(dst, ",\n"...)
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	return keyfile.Record{Kind: rec.Kind, Serial: rec.Serial, PublicID: rec.PublicID, PrivateID: rec.PrivateID, Key: rec.Key,
		Created: keyfile.Seconds(rec.Created)}
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"slot":        "the file has no column for it, and the key storage module needs none",
	"access-code": "written as zeros on purpose: who has it can reprogram the key",
	"owner":       "a key storage module knows no persons",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.YubicoOTP)
	if rec.Kind == token.YubicoOTP && rec.PrivateID.Len() == 0 {
		out = append(out, keyfile.Fatal("private-id", "unknown, and the key storage module's clients compare it"))
	}
	switch n := rec.PublicID.Len(); {
	case n == 0:
		out = append(out, keyfile.Fatal("public-id", "empty: ykksm-import refuses the line"))
	case n > token.ServerPublicID:
		out = append(out, keyfile.Fatal("public-id", "longer than 8 bytes: the table's column holds 16 characters"))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// errVersion is a first line that names another version of the format.
var errVersion = errors.New("the key file is of another version than ykksm 1")

// Decode implements keyfile.Codec. A # begins a comment anywhere; either case is read; blank lines are passed over.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if row.Line == 1 && bytes.HasPrefix(row.Text, []byte("# ykksm ")) && !isVersion(row.Text) {
		row.Stop(errVersion)
		return rec, false
	}
	if row.Text, _, _ = bytes.Cut(row.Text, []byte("#")); len(bytes.TrimSpace(row.Text)) == 0 {
		return rec, false
	}
	row.Split()
	if n := row.Len(); n < colAccessed {
		row.Bad(n, "row", "fewer than seven fields: the commas after both times must be there")
	} else if n > colFlags {
		row.Bad(colFlags+1, "row", "more than eight fields")
	}
	rec.Kind = token.YubicoOTP
	rec.Serial = row.Serial(colSerial)
	rec.PublicID = row.PublicID(colPublicID)
	rec.PrivateID = row.Hex(colPrivateID, "private-id", keyfile.PrivateIDSize)
	if n := len(row.Bytes(colKey)); n == 48 || n == 64 {
		row.Bad(colKey, "key", "an AES-192 or AES-256 key, which no YubiKey has")
	}
	rec.Key = row.Hex(colKey, "key", keyfile.KeySize)
	rec.AccessCode = row.AccessCode(colAccessCode)
	rec.Created = row.Time(colCreated, "created")
	row.Time(colAccessed, "accessed")
	row.Int(colFlags, "progflags", 0, 1<<32-1, 0)
	return rec, true
}

func isVersion(line []byte) bool { return string(bytes.TrimSpace(line)) == version }

// Detect implements keyfile.Codec.
func (Codec) Detect(head []byte) int {
	first, _, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n"))
	if isVersion(first) {
		return 100
	}
	if bytes.HasPrefix(first, []byte("# ykksm ")) {
		return 90 // another version: Decode says so
	}
	return 0
}
