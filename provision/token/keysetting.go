package token

import "time"

// Setting is what a key takes beside what is in its slots, and tells nobody again.
type Setting string

// The settings.
const (
	NDEF    Setting = "ndef"    // what it shows over NFC before the OTP of a slot
	ScanMap Setting = "scanmap" // by which keys it types; of the whole key
)

// KeySetting is what a key was told last. It is kept in the audit chain alone: no credential goes by it.
type KeySetting struct {
	Serial Serial
	What   Setting
	Slot   Slot   // 0 for ScanMap
	Value  string // the bytes that are sent, in hexadecimal
	Text   string // the same for people
	Former string // the Value before, "" if none is known
	Open   bool   // interrupted: the key has Value, or what it had before
	At     time.Time
}
