package tablecsv

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
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
		tokenname.Set(rec, name)
	}
}

// BadTokenName says why rec cannot be named in a table whose rows are cut at any byte of seps.
func BadTokenName(rec keyfile.Record, seps string) (field, cause string) {
	name := tokenname.Of(rec)
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
	return Field(func(dst []byte, rec keyfile.Record) []byte { return append(dst, tokenname.Of(rec)...) }, TakeName,
		func(out *keyfile.Record, rec keyfile.Record) { tokenname.Set(out, tokenname.Of(rec)) }).
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
	return Field(func(dst []byte, rec keyfile.Record) []byte { return keyfile.AppendBase32(dst, rec.Key.Reveal()) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) { rec.Key = row.Base32(column, "key") }, carryKey).Refusing(shortSeed)
}

// Counter is the cell of the moving factor; empty is 0.
func Counter() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendInt(dst, rec.Counter, 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Counter = row.Counter(column)
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Counter = rec.Counter }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if rec.Counter > keyfile.MaxCounter {
				return "counter", "larger than any reader takes"
			}
			return "", ""
		})
}

// Period is the cell of the time step in seconds; empty is 30.
func Period() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte {
		return strconv.AppendInt(dst, int64(rec.Period/time.Second), 10)
	},
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Period = row.Period(column)
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Period = rec.Period }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if rec.Period > keyfile.MaxPeriod {
				return "period", "longer than a day"
			}
			return "", ""
		})
}

// Digits is the cell of the number of digits; empty is 6.
func Digits() Cell {
	return Field(func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendInt(dst, int64(rec.Digits), 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Digits = row.Digits(column)
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
