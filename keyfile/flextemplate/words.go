package flextemplate

import (
	"encoding/base64"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/tablecsv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// word is a placeholder.
type word struct {
	cell     tablecsv.Cell
	alphabet string // of its values
	field    bool   // holds a field of the record
}

// The names of events. Source: reference key-files.md §7.2.
const (
	eventOTP  = "Yubico OTP"
	eventHOTP = "OATH-HOTP"
)

const (
	decimal = "0123456789"
	hexa    = decimal + "abcdefABCDEF"
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// words lists the placeholders but {tab}, {endl} and {timestampLocal}, which Parse knows. What a Record does not say of a
// slot (how a static password is composed, how a challenge is answered, whether the token identifier is typed as ModHex)
// is 0, as the tool writes it for a Yubico OTP or an OATH-HOTP slot with defaults.
func words() map[string]word {
	flag := word{cell: tablecsv.Fill("0"), alphabet: decimal}
	none := word{cell: tablecsv.Fill(""), alphabet: hexa}
	zeros := word{cell: tablecsv.Fill("000000000000"), alphabet: hexa}
	return map[string]word{
		"eventType":                  {event(), letters + " -", true},
		"timestampFixed":             {created(), decimal + "-:T", true},
		"configSlot":                 {slot(), decimal, true},
		"pubIdTxt":                   {publicID(), letters, true},
		"oathIdTxt":                  {tokenID(), letters + decimal, true},
		"pvtIdTxt":                   {tablecsv.PrivateID().Refusing(noPrivateID), hexa, true},
		"secretKeyTxt":               {tablecsv.Hex(), hexa, true},
		"secretKeyB64":               {keyBase64(), letters + decimal + "+/=", true},
		"currentAccessCodeTxt":       none,
		"currentAccessCodeTxtPadded": zeros,
		"newAccessCodeTxt":           none,
		"newAccessCodeTxtPadded":     zeros,
		"hotpDigits":                 {digits(), decimal, true},
		"oathMovingFactorSeed":       {counter(), decimal, true},
		"strongPw1":                  flag,
		"strongPw2":                  flag,
		"sendRef":                    flag,
		"chalBtnTrig":                flag,
		"hmacLT64":                   flag,
		"oathFixedModhex1":           flag,
		"oathFixedModhex2":           flag,
		"oathFixedModhex":            flag,
		"tokenLength":                {tokenLength(), decimal, false},
		"serial":                     {serial(), decimal, true},
	}
}

func event() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte {
			if rec.Kind == token.HOTP {
				return append(dst, eventHOTP...)
			}
			return append(dst, eventOTP...)
		},
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			if s := row.Public(column); s != eventHOTP && s != eventOTP {
				row.Bad(column, "kind", "neither Yubico OTP nor OATH-HOTP")
			}
		},
		func(*keyfile.Record, keyfile.Record) {})
}

func created() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte { return append(dst, keyfile.FormatTime(rec.Created)...) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) { rec.Created = row.Time(column, "created") },
		func(out *keyfile.Record, rec keyfile.Record) { out.Created = keyfile.Seconds(rec.Created) })
}

func slot() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendInt(dst, int64(rec.Slot), 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			rec.Slot = token.Slot(row.Int(column, "slot", 0, 2, 0))
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Slot = rec.Slot })
}

func serial() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendUint(dst, uint64(rec.Serial), 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) { rec.Serial = row.Serial(column) },
		func(out *keyfile.Record, rec keyfile.Record) { out.Serial = rec.Serial })
}

func publicID() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte { return append(dst, rec.PublicID.String()...) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) { rec.PublicID = row.PublicID(column) },
		func(out *keyfile.Record, rec keyfile.Record) { out.PublicID = rec.PublicID })
}

// noPrivateID refuses a Yubico OTP credential without private ID; a row of another kind has none.
func noPrivateID(rec keyfile.Record) (field, cause string) {
	if rec.Kind == token.YubicoOTP && rec.PrivateID.Len() == 0 {
		return "private-id", "unknown, and the template asks for it"
	}
	if rec.Kind != token.YubicoOTP {
		return "kind", "a row of this template has a private ID, which an OATH-HOTP credential has not"
	}
	return "", ""
}

// tokenID is the OATH token identifier, for HOTP only.
func tokenID() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte { return append(dst, tokenIDOf(rec)...) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			if rec.Label = row.Public(column); rec.Label != tokenIDOf(*rec) {
				row.Bad(column, "label", "not an OATH token identifier")
			}
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Label = tokenIDOf(rec) })
}

// maxTokenID is the longest OATH token identifier, in characters: 16 bytes of the slot as ModHex or hexadecimal.
const maxTokenID = 32

func tokenIDOf(rec keyfile.Record) string {
	if rec.Kind != token.HOTP || len(rec.Label) > maxTokenID {
		return ""
	}
	for i := range len(rec.Label) {
		if c := rec.Label[i] | 0x20; (c < 'a' || c > 'z') && (rec.Label[i] < '0' || rec.Label[i] > '9') {
			return ""
		}
	}
	return rec.Label
}

func keyBase64() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte {
			return base64.StdEncoding.AppendEncode(dst, rec.Key.Reveal())
		},
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			b := make([]byte, base64.StdEncoding.DecodedLen(len(row.Bytes(column))))
			n, err := base64.StdEncoding.Strict().Decode(b, row.Bytes(column))
			low, high := keyfile.MinSeedSize, keyfile.MaxSeedSize
			if rec.Kind == token.YubicoOTP {
				low, high = keyfile.KeySize, keyfile.KeySize
			}
			if err != nil || n < low || n > high {
				clear(b)
				row.Bad(column, "key", "not base64 of a key")
			}
			if row.Ok() {
				rec.Key = secret.New(b[:n:n])
			}
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Key = rec.Key }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if rec.Key.Len() < keyfile.MinSeedSize {
				return "key", "shorter than readers take"
			}
			return "", ""
		})
}

// digits is 0 for a Yubico OTP, as in the tool's traditional log.
func digits() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendInt(dst, int64(rec.Digits), 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			if rec.Kind == token.HOTP {
				rec.Digits = int(row.Int(column, "digits", 6, 8, 6))
			}
		},
		func(out *keyfile.Record, rec keyfile.Record) {
			if rec.Kind == token.HOTP {
				out.Digits = rec.Digits
			}
		})
}

func counter() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte { return strconv.AppendInt(dst, rec.Counter, 10) },
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			if rec.Kind == token.HOTP {
				rec.Counter = row.Counter(column)
			}
		},
		func(out *keyfile.Record, rec keyfile.Record) {
			if rec.Kind == token.HOTP {
				out.Counter = rec.Counter
			}
		}).Refusing(func(rec keyfile.Record) (string, string) {
		if rec.Counter > keyfile.MaxCounter {
			return "counter", "larger than any reader takes"
		}
		return "", ""
	})
}

// tokenLength is how many characters the key types: the public ID and the OTP, or the token identifier and the code.
func tokenLength() tablecsv.Cell {
	return tablecsv.Field(
		func(dst []byte, rec keyfile.Record) []byte {
			n := rec.OTPLength()
			if rec.Kind == token.HOTP {
				n = len(tokenIDOf(rec)) + rec.Digits
			}
			return strconv.AppendInt(dst, int64(n), 10)
		},
		func(row *keyfile.Row, column int, _ *keyfile.Record) { row.Int(column, "length", 6, 64, 6) },
		func(*keyfile.Record, keyfile.Record) {})
}
