package pskc

import (
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// names is what a KeyPackage says about which token it is for.
type names struct {
	kind     token.Kind
	serialNo string // DeviceInfo/SerialNo
	keyID    string // Key/@Id
	module   string // CryptoModuleInfo/Id
	slots    bool   // written as a slot of a YubiKey
}

// namesOf is how rec is written.
func namesOf(rec keyfile.Record) names {
	n := names{kind: rec.Kind}
	switch {
	case rec.Serial != 0 && (rec.Kind == token.YubicoOTP || rec.Kind == token.HOTP):
		n.slots = true
		n.serialNo = rec.Serial.String()
		n.keyID = n.serialNo + ":" + strconv.Itoa(int(rec.Slot))
		if rec.Slot != 0 {
			n.module = strconv.Itoa(int(rec.Slot))
		}
		return n
	case rec.Label != "":
		n.serialNo = rec.Label
	case rec.Kind == token.YubicoOTP:
		n.serialNo = rec.PublicID.String()
	default:
		n.serialNo = rec.Serial.String()
	}
	n.keyID = n.serialNo
	if rec.Kind == token.YubicoOTP && (rec.Slot == 1 || rec.Slot == 2) {
		n.module = strconv.Itoa(int(rec.Slot))
	}
	return n
}

// put sets Serial and Slot of rec when the names are those of a YubiKey's slot, and Label otherwise. ykksm-gen-keys writes
// the serial into SerialNo and a Key Id of another form.
func (n names) put(rec *keyfile.Record) {
	if n.kind == token.YubicoOTP || n.kind == token.HOTP {
		id, slot, two := strings.Cut(n.keyID, ":")
		s, ok := parseSerial(id)
		if ok && two && (slot == "0" || slot == "1" || slot == "2") && (n.serialNo == "" || n.serialNo == id) {
			rec.Serial, rec.Slot = s, token.Slot(slot[0]-'0')
			return
		}
	}
	if n.kind == token.YubicoOTP {
		if n.module == "1" || n.module == "2" {
			rec.Slot = token.Slot(n.module[0] - '0')
		}
		if s, ok := parseSerial(n.serialNo); ok {
			rec.Serial = s
			return
		}
	}
	if rec.Label = n.serialNo; rec.Label == "" {
		rec.Label = n.keyID
	}
}

// parseSerial reads a decimal serial without leading zeros; 0 is none.
func parseSerial(s string) (token.Serial, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	serial := token.Serial(n)
	return serial, err == nil && n != 0 && serial.String() == s
}

// dnSpecials are escaped with a backslash in a distinguished name. Source: RFC 4514 §2.4.
const dnSpecials = `,+"\<>;=`

func escapeDN(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(dnSpecials, s[i]) >= 0 || (s[i] == '#' && i == 0) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// account is the person in a UserId: the value of its first CN or UID, or the whole text when it is no distinguished name.
func account(s string) string {
	rest := s
	for rest != "" {
		var part string
		part, rest = cutDN(rest)
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if ok && (strings.EqualFold(key, "CN") || strings.EqualFold(key, "UID")) {
			return strings.TrimSpace(unescapeDN(value))
		}
	}
	return s
}

// cutDN cuts s at the first comma that is not escaped.
func cutDN(s string) (part, rest string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',':
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func unescapeDN(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
