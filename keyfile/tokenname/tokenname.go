// Package tokenname is what files call a token that has no single name of its own: in files with one column for it (Of, Set),
// and on privacyIDEA, LinOTP and multiOTP, where the serial is the key of the table (Serial, SetSerial).
package tokenname

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Of is what a file with one column for it calls a token: <serial>_<slot> for a YubiKey, so that two slots of one key
// differ, its serial where the slot is unknown, else the label.
func Of(rec keyfile.Record) string {
	switch {
	case rec.Serial == 0:
		return rec.Label
	case rec.Slot == 0:
		return rec.Serial.String()
	}
	return fmt.Sprintf("%d_%d", rec.Serial, rec.Slot)
}

// slotName is what Of makes of a YubiKey's slot.
var slotName = regexp.MustCompile(`^([1-9][0-9]{0,9})_([12])$`)

// Set puts what Of made into Serial and Slot, any other name into Label.
func Set(rec *keyfile.Record, name string) {
	if m := slotName.FindStringSubmatch(name); m != nil {
		if serial, err := strconv.ParseUint(m[1], 10, 32); err == nil {
			rec.Serial, rec.Slot = token.Serial(serial), token.Slot(m[2][0]-'0')
			return
		}
	}
	rec.Label = name
}
