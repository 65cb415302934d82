// Package ykplog reads the traditional log of Yubico's Personalization Tool, a line a write:
//
//	LOGGING START,12/11/2013 11:10
//	Yubico OTP,12/11/2013 11:10,1,vvccccknlfut,5c45bd4baca5,688a3c8423bd5e0811602fe6977ff4f2,,,0,0,0,0,0,0,0,0,0,0
//
// event, local date, slot, public ID, private ID, key, access code before and after, three ModHex flags, HOTP digits, moving
// factor, five flags. The date is in the system's own form and may hold commas, so that columns are counted from the end.
//
// The event is a translated text in some builds. An HOTP row is told by its digits; a Yubico OTP row by the product's name,
// because a static password and a challenge-response key have the same columns. The file does not say the serial, and its time
// cannot be read. Rows are in the order of writing: of two with one public ID the later is on the key, unless a
// "Configuration Swap" stands between, which is a *keyfile.RowError because it moves what was written before to the other slot.
//
// The tool's flexible log has a form of the user's making and is not read. Source: reference key-files.md §7.2, §0 fact 12;
// yubikey-personalization-gui src/yubikeylogger.cpp.
package ykplog

import (
	"bytes"
	"encoding/hex"
	"io"
	"iter"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// Reader is the format; its zero value is ready.
type Reader struct{}

var _ keyfile.Reader = Reader{}

// afterDate is the number of columns after the date; the event and the date stand before them.
const (
	afterDate = 16
	minFields = afterDate + 2
)

// The columns after the date, 1 the first.
const (
	colSlot = 1 + iota
	colPublicID
	colPrivateID // empty for HOTP
	colKey
	colOldCode   // access code before the write
	colNewCode   // access code after it; empty: as before
	colModhex1   // the first byte of an HOTP identifier is typed as ModHex
	colModhex2   // the first two
	colModhexAll // all
	colDigits    // 0 for what is no HOTP
	colFactor
)

// hotpKeySize is the length of an HOTP seed in a slot, in bytes.
const hotpKeySize = 20

// The events that are told by their names.
const (
	start       = "LOGGING START"
	eventYubico = "Yubico OTP"
	eventHOTP   = "OATH-HOTP"
	eventSwap   = "Configuration Swap"
	eventUpdate = "Configuration Update"
)

// Name implements keyfile.Reader.
func (Reader) Name() string { return "yubikey-log" }

// Detect implements keyfile.Reader.
func (Reader) Detect(head []byte) int {
	for line := range bytes.Lines(keyfile.TrimBOM(head)) {
		line = bytes.TrimSpace(line)
		switch f := bytes.Split(line, []byte(",")); {
		case len(line) == 0 || line[0] == '#':
		case bytes.HasPrefix(line, []byte(start+",")), len(f) >= minFields && (string(f[0]) == eventYubico || string(f[0]) == eventHOTP):
			return 100
		case len(f) >= minFields && isFlags(f[len(f)-5:]):
			return 70
		default:
			return 0
		}
	}
	return 0
}

// isFlags reports whether every field is 0 or 1.
func isFlags(fields [][]byte) bool {
	for _, f := range fields {
		if s := string(bytes.TrimSpace(f)); s != "0" && s != "1" {
			return false
		}
	}
	return true
}

// Decode implements keyfile.Reader. Lines that begin with # or with LOGGING START are passed over.
func (r Reader) Decode(file io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(r.Name(), file, parse)
}

func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	if text := bytes.TrimSpace(row.Text); text[0] == '#' || bytes.HasPrefix(text, []byte(start)) {
		return rec, false
	}
	row.Split()
	if row.Len() < minFields {
		row.Bad(row.Len(), "row", "fewer than 18 fields")
		return rec, false
	}
	from := row.Len() - afterDate
	event := row.Public(1)
	switch { // these lines have other things to say about a slot
	case strings.EqualFold(event, eventSwap):
		row.Bad(1, "event", "the slots of one key were exchanged here: what was written to it before is now in the other slot")
	case strings.EqualFold(event, eventUpdate):
		row.Bad(1, "event", "no key on this line: an update of a slot's settings")
	}
	rec.Slot = token.Slot(row.Int(from+colSlot, "slot", 1, 2, 0))
	switch digits := int(row.Int(from+colDigits, "digits", 0, 8, 0)); {
	case digits != 0:
		parseHOTP(row, from, digits, &rec)
	case strings.EqualFold(event, eventYubico):
		rec.Kind = token.YubicoOTP
		rec.PublicID = row.PublicID(from + colPublicID)
		rec.PrivateID = row.Hex(from+colPrivateID, "private-id", keyfile.PrivateIDSize)
		rec.Key = row.Hex(from+colKey, "key", keyfile.KeySize)
	default:
		row.Bad(1, "event", "not \"Yubico OTP\": a static password or a challenge-response key, or the event in another language")
	}
	rec.AccessCode = row.AccessCode(from + colNewCode)
	if before := row.AccessCode(from + colOldCode); rec.AccessCode.Len() > 0 || len(row.Bytes(from+colNewCode)) > 0 {
		before.Destroy() // the write set another, or took it away
	} else {
		rec.AccessCode = before
	}
	return rec, true
}

func parseHOTP(row *keyfile.Row, from, digits int, rec *keyfile.Record) {
	rec.Kind, rec.Digits, rec.Hash = token.HOTP, digits, "sha1"
	rec.Key = row.Hex(from+colKey, "key", hotpKeySize)
	rec.Counter = row.Int(from+colFactor, "counter", 0, 1<<32-1, 0)
	rec.Label = identifier(row, from)
	if digits == 7 || digits < 6 {
		row.Bad(from+colDigits, "digits", "a slot shows 6 or 8 digits")
	}
}

// identifier is the OATH token identifier as the key types it: the log has all of it in ModHex, and the flags say how many
// bytes the key types so; the others it types in hexadecimal.
func identifier(row *keyfile.Row, from int) string {
	id := row.PublicID(from + colPublicID)
	flag := func(col int) bool { return row.Int(from+col, "flag", 0, 1, 0) == 1 }
	typed := 0
	switch one, two, all := flag(colModhex1), flag(colModhex2), flag(colModhexAll); {
	case all:
		typed = id.Len()
	case two:
		typed = 2
	case one:
		typed = 1
	}
	raw := id.Bytes()
	typed = min(typed, len(raw))
	return modhex.EncodeToString(raw[:typed]) + hex.EncodeToString(raw[typed:])
}
