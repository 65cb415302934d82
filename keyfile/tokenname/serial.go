package tokenname

import (
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// prefixes begin the serials that we make for the slots of a YubiKey.
var prefixes = map[token.Kind]string{token.YubicoOTP: "YUBIAES", token.HOTP: "YUBIHOTP"}

// Serial is how rec is called in privacyIDEA, LinOTP and multiOTP, whichever file it came in: YUBIAES<serial>_<slot> and
// YUBIHOTP<serial>_<slot> for a YubiKey, so that two slots of one key stay two tokens, else the label. It is empty for a
// record that has no name that they take.
func Serial(rec keyfile.Record) string {
	if s := serial(rec); goodSerial(s) {
		return s
	}
	return ""
}

// serial is Serial, also where they do not take it.
func serial(rec keyfile.Record) string {
	p := prefixes[rec.Kind]
	switch {
	case rec.Serial == 0 || p == "":
		if rec.Label == "" && p != "" {
			return rec.PublicID.String() // the device hides its serial
		}
		return rec.Label
	case rec.Slot != 0:
		return p + rec.Serial.String() + "_" + strconv.Itoa(int(rec.Slot))
	case rec.Kind == token.YubicoOTP && rec.PublicID.Len() > 0:
		return p + rec.Serial.String() + "_" + rec.PublicID.String()
	}
	return p + rec.Serial.String()
}

// SetSerial puts a serial into Serial and Slot, or PublicID, if it is of our making for rec's kind, into Label otherwise. It
// reports whether the servers take it.
func SetSerial(rec *keyfile.Record, s string) bool {
	rec.Serial, rec.Slot, rec.PublicID, rec.Label = 0, 0, token.PublicID{}, s
	p := prefixes[rec.Kind]
	digits, ours := strings.CutPrefix(s, p)
	if p == "" || !ours {
		return goodSerial(s)
	}
	digits, part, _ := strings.Cut(digits, "_")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return goodSerial(s)
	}
	made := keyfile.Record{Kind: rec.Kind, Serial: token.Serial(n)}
	switch part {
	case "1":
		made.Slot = 1
	case "2":
		made.Slot = 2
	default:
		made.PublicID, _ = token.ParsePublicID(part) // what is none does not come back below
	}
	if serial(made) == s { // no leading zeros, no other slot
		rec.Serial, rec.Slot, rec.PublicID, rec.Label = made.Serial, made.Slot, made.PublicID, ""
	}
	return goodSerial(s)
}

// SerialLosses are the losses of rec in its Serial: none, a note about an unknown slot, or why nothing can be written.
func SerialLosses(rec keyfile.Record) []keyfile.Loss {
	switch s := serial(rec); {
	case s == "":
		return []keyfile.Loss{keyfile.Fatal("serial", "unknown, and the token has no label either: the file has nothing to name it by")}
	case !goodSerial(s):
		return []keyfile.Loss{keyfile.Fatal("label", "privacyIDEA takes letters, digits, - and _ only, 40 at most")}
	case rec.Serial != 0 && rec.Slot == 0 && rec.PublicID.Len() == 0 && prefixes[rec.Kind] != "":
		return []keyfile.Loss{{Field: "slot", Note: "unknown: another credential of the same key would get the same serial and overwrite it"}}
	}
	return nil
}

// BadSerial says what is wrong with a serial that SetSerial says no to.
const BadSerial = "a serial is letters, digits, - and _, 40 at most"

// maxSerial is the length of a serial in privacyIDEA's and LinOTP's tables; a longer one aborts the import at its row.
// Source: privacyidea/models.py, Token.serial.
const maxSerial = 40

// goodSerial is privacyIDEA's rule ^[0-9a-zA-Z\-_]+$, 40 at most. Source: reference key-files.md §0 fact 10.
func goodSerial(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxSerial
}
