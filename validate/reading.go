package validate

import (
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Space is the white space that may stand around an OTP: nothing but ASCII, as nothing else is typed by a key.
const Space = " \t\r\n\v\f"

// Reading is one way to understand typed text.
type Reading struct {
	PublicID token.PublicID
	Block    [yubiotp.BlockLen]byte
	Dvorak   bool // the host had a US Dvorak layout
}

// Readings are the ways to understand typed text as an OTP: as typed first, then as typed on a Dvorak layout. White space
// around it and the case of ASCII letters do not count. There are none if the text has not 32 to 64 characters, an even
// number, or one outside both alphabets. Some texts have both readings, which the credential must tell apart: reference
// validation-protocol.md §2.
func Readings(typed string) []Reading {
	text := strings.Trim(typed, Space)
	var all []Reading
	if r, ok := read(text); ok {
		all = append(all, r)
	}
	if qwerty, ok := modhex.FromDvorak(text); ok {
		if r, ok := read(qwerty); ok {
			r.Dvorak = true
			all = append(all, r)
		}
	}
	return all
}

// readings are Readings, or LayoutReadings where other layouts are accepted.
func (v *Verifier) readings(typed string) []Reading {
	return Readings(typed)
}

func read(text string) (Reading, bool) {
	raw, block, err := yubiotp.Split(text)
	if err != nil {
		return Reading{}, false
	}
	id, err := token.NewPublicID(raw)
	return Reading{PublicID: id, Block: block}, err == nil
}
