package validate

import (
	"slices"
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
	Dvorak   bool            // the host had a US Dvorak layout
	Layouts  []modhex.Layout // LayoutReadings only: the host had one of these; nil: as typed
	Changes  []string        // LayoutReadings only: what modhex.Clean had to undo
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

// LayoutReadings are Readings, then those of every other keyboard layout, and all of them again for the text as modhex.Clean leaves
// it; each public ID and block once, at most modhex.MaxVariants. A wrong reading is accepted once in 2^64 tries, as any
// random block is: CRC and private ID must be right.
func LayoutReadings(typed string) []Reading {
	all := Readings(typed)
	add := func(r Reading) {
		i := slices.IndexFunc(all, func(there Reading) bool { return there.PublicID == r.PublicID && there.Block == r.Block })
		switch {
		case i >= 0 && all[i].Dvorak && all[i].Layouts == nil:
			all[i].Layouts = r.Layouts
		case i < 0 && len(all) < modhex.MaxVariants:
			all = append(all, r)
		}
	}
	text := strings.Trim(typed, Space)
	clean, changes := modhex.Clean(text)
	for _, way := range []struct {
		text    string
		changes []string
	}{{text, nil}, {clean, changes}} {
		for _, v := range modhex.Variants(way.text) {
			if r, ok := read(v.Text); ok {
				if r.Changes = way.changes; !strings.EqualFold(v.Text, way.text) {
					r.Layouts = v.Layouts
				}
				add(r)
			}
		}
		if len(changes) == 0 {
			break
		}
	}
	return all
}

// readings are Readings, or LayoutReadings where other layouts are accepted.
func (v *Verifier) readings(typed string) []Reading {
	if v.Layouts {
		return LayoutReadings(typed)
	}
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
