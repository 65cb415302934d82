package tablecsv

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Cell is one piece of a row: a fixed text, a text of which the reader takes no notice, or a field of the record.
type Cell struct {
	text string // fixed; "": not

	put    func(dst []byte, rec keyfile.Record) []byte
	take   func(row *keyfile.Row, column int, rec *keyfile.Record) // nil: the reader takes no notice
	carry  func(out *keyfile.Record, rec keyfile.Record)           // nil: it says nothing about the record
	refuse func(rec keyfile.Record) (field, cause string)          // nil: it takes every value
}

// Field is a cell for a field of the record. carry puts into out what take will read of what put writes.
func Field(put func([]byte, keyfile.Record) []byte, take func(*keyfile.Row, int, *keyfile.Record),
	carry func(out *keyfile.Record, rec keyfile.Record)) Cell {
	return Cell{put: put, take: take, carry: carry}
}

// Refusing is the cell with a test of the record, which says a field and why it cannot be written; "" when it can.
func (c Cell) Refusing(refuse func(keyfile.Record) (field, cause string)) Cell {
	c.refuse = refuse
	return c
}

// Text is a cell that is the same in every row.
func Text(s string) Cell {
	return Cell{text: s, put: func(dst []byte, _ keyfile.Record) []byte { return append(dst, s...) }}
}

// Fill is a cell of which the reader takes no notice.
func Fill(s string) Cell {
	return Cell{put: func(dst []byte, _ keyfile.Record) []byte { return append(dst, s...) }}
}

// NameOf is what a file with one column for it calls a token: <serial>_<slot> for a YubiKey, so that two slots of one key
// differ, its serial where the slot is unknown, else the label.
func NameOf(rec keyfile.Record) string {
	switch {
	case rec.Serial == 0:
		return rec.Label
	case rec.Slot == 0:
		return rec.Serial.String()
	}
	return fmt.Sprintf("%d_%d", rec.Serial, rec.Slot)
}

// slotName is what NameOf makes of a YubiKey's slot.
var slotName = regexp.MustCompile(`^([1-9][0-9]{0,9})_([12])$`)

// SetName puts what NameOf made into Serial and Slot, any other name into Label.
func SetName(rec *keyfile.Record, name string) {
	if m := slotName.FindStringSubmatch(name); m != nil {
		if serial, err := strconv.ParseUint(m[1], 10, 32); err == nil {
			rec.Serial, rec.Slot = token.Serial(serial), token.Slot(m[2][0]-'0')
			return
		}
	}
	rec.Label = name
}

// rounded is what a spreadsheet makes of a long number.
var rounded = regexp.MustCompile(`^[0-9]([.,][0-9]+)?[eE]\+[0-9]+$`)

// TakeName reads a token's name, which must not be empty.
func TakeName(row *keyfile.Row, column int, rec *keyfile.Record) {
	name := row.Public(column)
	switch cause := keyfile.BadName(name); {
	case name == "":
		row.Bad(column, "serial", "empty")
	case cause != "":
		row.Bad(column, "serial", "not a serial: "+cause)
	case rounded.MatchString(name):
		row.Bad(column, "serial", "a spreadsheet has rounded it: take the file as its maker sent it")
	}
	if row.Ok() {
		SetName(rec, name)
	}
}

// BadTokenName says why rec cannot be named in a table whose rows are cut at any byte of seps.
func BadTokenName(rec keyfile.Record, seps string) (field, cause string) {
	name := NameOf(rec)
	if name == "" {
		return "serial", "unknown, and the token has no label either: the file has nothing to name it by"
	}
	if cause := badText(name, seps); cause != "" {
		return "label", cause
	}
	if rounded.MatchString(name) {
		return "label", "a spreadsheet would take it for a rounded number"
	}
	return "", ""
}

func badText(s, seps string) string {
	cause := keyfile.BadName(s)
	if cause == "" && strings.ContainsAny(s, seps) {
		cause = "one of its characters separates the columns"
	}
	if cause != "" {
		cause = "cannot stand in the file: " + cause
	}
	return cause
}

// Name is the cell of the token's name in a table that is cut at any byte of seps.
func Name(seps string) Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return append(dst, NameOf(rec)...) }, TakeName,
		func(out *keyfile.Record, rec keyfile.Record) { SetName(out, NameOf(rec)) }).
		Refusing(func(rec keyfile.Record) (string, string) { return BadTokenName(rec, seps) })
}

// Owner is the cell of the person's account, which must be known, in a table that is cut at any byte of seps.
func Owner(seps string) Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return append(dst, rec.Owner...) }, TakeOwner,
		func(out *keyfile.Record, rec keyfile.Record) { out.Owner = rec.Owner }).
		Refusing(func(rec keyfile.Record) (string, string) { return BadOwner(rec, seps) })
}

// TakeOwner reads a person's account, which must not be empty.
func TakeOwner(row *keyfile.Row, column int, rec *keyfile.Record) {
	if rec.Owner = row.Public(column); rec.Owner == "" {
		row.Bad(column, "owner", "empty")
	} else if cause := keyfile.BadName(rec.Owner); cause != "" {
		row.Bad(column, "owner", "not a name: "+cause)
	}
}

// BadOwner says why a row cannot be for rec's owner.
func BadOwner(rec keyfile.Record, seps string) (field, cause string) {
	if rec.Owner == "" {
		return "owner", "nobody has the token, and each row is a person's: issue it first"
	}
	return "owner", badText(rec.Owner, seps)
}

// Serial is the cell of a YubiKey's serial number, which must be known.
func Serial() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendUint(dst, uint64(rec.Serial), 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Serial = token.Serial(row.Int(column, "serial", 1, 1<<32-1, 0))
			if rec.Serial == 0 {
				row.Bad(column, "serial", "empty")
			}
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Serial = rec.Serial }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if rec.Serial == 0 {
				return "serial", "unknown, and the server goes by it"
			}
			return "", ""
		})
}

// PrivateID is the cell of the private ID in hexadecimal, which must be known.
func PrivateID() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return hex.AppendEncode(dst, rec.PrivateID.Reveal()) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.PrivateID = row.Hex(column, "private-id", keyfile.PrivateIDSize)
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.PrivateID = rec.PrivateID }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if rec.PrivateID.Len() == 0 {
				return "private-id", "unknown, and the server compares it"
			}
			return "", ""
		})
}

// shortSeed is for the cells of a seed: what is shorter than readers take is not written.
func shortSeed(rec keyfile.Record) (field, cause string) {
	if rec.Kind != token.YubicoOTP && rec.Key.Len() < keyfile.MinSeedSize {
		return "key", fmt.Sprintf("shorter than %d bytes, which readers of such tables take for a damaged row", keyfile.MinSeedSize)
	}
	return "", ""
}

func carryKey(out *keyfile.Record, rec keyfile.Record) { out.Key = rec.Key }

// Hex is the cell of an AES-128 key or a seed in hexadecimal.
func Hex() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return hex.AppendEncode(dst, rec.Key.Reveal()) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			if rec.Kind == token.YubicoOTP {
				rec.Key = row.Hex(column, "key", keyfile.KeySize)
			} else {
				rec.Key = row.Seed(column, "key")
			}
		}, carryKey).Refusing(shortSeed)
}

// Base32 is the cell of a seed in base32: written in upper case without padding.
func Base32() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return AppendBase32(dst, rec.Key.Reveal()) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) { rec.Key = TakeBase32(row, column) }, carryKey).Refusing(shortSeed)
}

// AppendBase32 appends upper-case base32 without padding.
func AppendBase32(dst, seed []byte) []byte {
	return base32.StdEncoding.WithPadding(base32.NoPadding).AppendEncode(dst, seed)
}

// TakeBase32 reads a seed of MinSeedSize to MaxSeedSize bytes in base32 of either case, with or without padding, blanks and
// hyphens. Source: reference key-files.md §2.
func TakeBase32(row *keyfile.Row, column int) secret.Bytes {
	if !row.Ok() {
		return secret.Bytes{}
	}
	seed, cause := ParseBase32(row.Bytes(column))
	if cause != "" {
		row.Bad(column, "key", cause)
	}
	return seed
}

// ParseBase32 is TakeBase32 for other places; cause says what is wrong, "" for nothing.
func ParseBase32(src []byte) (seed secret.Bytes, cause string) {
	text := make([]byte, 0, len(src))
	for _, c := range src {
		if c != ' ' && c != '-' {
			text = append(text, c)
		}
	}
	defer clear(text)
	text = bytes.TrimRight(text, "=")
	for i, c := range text {
		if 'a' <= c && c <= 'z' {
			text[i] = c - 'a' + 'A'
		}
	}
	dst := make([]byte, len(text)*5/8+1)
	n, err := base32.StdEncoding.WithPadding(base32.NoPadding).Decode(dst, text)
	switch {
	case err != nil, !bytes.Equal(AppendBase32(nil, dst[:n]), text):
		clear(dst)
		return secret.Bytes{}, "not base32 (letters and the digits 2 to 7)"
	case n < keyfile.MinSeedSize, n > keyfile.MaxSeedSize:
		clear(dst)
		return secret.Bytes{}, fmt.Sprintf("want base32 of %d to %d bytes, got %d", keyfile.MinSeedSize, keyfile.MaxSeedSize, n)
	}
	return secret.New(dst[:n:n]), ""
}

// maxCounter is the largest moving factor that is read.
const maxCounter = 1 << 62

// Counter is the cell of the moving factor; empty is 0.
func Counter() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendInt(dst, rec.Counter, 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Counter = row.Int(column, "counter", 0, maxCounter, 0)
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Counter = rec.Counter }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if rec.Counter > maxCounter {
				return "counter", "larger than any reader takes"
			}
			return "", ""
		})
}

// maxPeriod is the longest time step that is read, in seconds: a day.
const maxPeriod = 86400

// Period is the cell of the time step in seconds; empty is 30.
func Period() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte {
		return strconv.AppendInt(dst, int64(rec.Period/time.Second), 10)
	},
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Period = time.Duration(row.Int(column, "period", 1, maxPeriod, 30)) * time.Second
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Period = rec.Period }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if rec.Period > maxPeriod*time.Second {
				return "period", "longer than a day"
			}
			return "", ""
		})
}

// Digits is the cell of the number of digits; empty is 6.
func Digits() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendInt(dst, int64(rec.Digits), 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Digits = int(row.Int(column, "digits", 6, 8, 6))
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Digits = rec.Digits })
}

// Hash is the cell of the hash, written as style makes it of "sha1"; either case is read, empty is sha1.
func Hash(style func(string) string) Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return append(dst, style(rec.Hash)...) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			text := row.Public(column)
			for _, h := range keyfile.Hashes() {
				if strings.EqualFold(text, style(h)) {
					rec.Hash = h
					return
				}
			}
			if text != "" {
				row.Bad(column, "hash", "not sha1, sha256 or sha512")
			}
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Hash = rec.Hash })
}
