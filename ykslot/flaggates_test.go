package ykslot_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/ykslot"
)

// flagRows are the bits of reference yubikey-otp.md §3.2: the modes in which each means that, by their letters in modeFlags, and the edges
// of the firmware that obeys it, one digit a part.
var flagRows = []struct {
	name  string
	flag  ykslot.Flags
	modes string
	has   string
	lacks string
}{
	{"SERIAL_BTN_VISIBLE", ykslot.Flags{Ext: 0x01}, "oschym", "220 299", "219 300 571"},
	{"SERIAL_USB_VISIBLE", ykslot.Flags{Ext: 0x02}, "oschym", "220 299 320 571", "219 300 319"},
	{"SERIAL_API_VISIBLE", ykslot.Flags{Ext: 0x04}, "oschym", "220 571", "219"},
	{"USE_NUMERIC_KEYPAD", ykslot.Flags{Ext: 0x08}, "oschym", "230 299", "229 300 571"},
	{"FAST_TRIG", ykslot.Flags{Ext: 0x10}, "oschym", "230 300 571", "229"},
	{"ALLOW_UPDATE", ykslot.Flags{Ext: 0x20}, "oschym", "230 571", "229"},
	{"DORMANT", ykslot.Flags{Ext: 0x40}, "oschym", "230 571", "229"},
	{"LED_INV", ykslot.Flags{Ext: 0x80}, "oschym", "240 299 310 571", "239 300 309"},
	{"TAB_FIRST", ykslot.Flags{Ticket: 0x01}, "osch", "100 571", ""},
	{"APPEND_TAB1", ykslot.Flags{Ticket: 0x02}, "osch", "100 571", ""},
	{"APPEND_TAB2", ykslot.Flags{Ticket: 0x04}, "osch", "100 571", ""},
	{"APPEND_DELAY1", ykslot.Flags{Ticket: 0x08}, "osch", "100 299", "300 571"},
	{"APPEND_DELAY2", ykslot.Flags{Ticket: 0x10}, "osch", "100 299", "300 571"},
	{"APPEND_CR", ykslot.Flags{Ticket: 0x20}, "osch", "100 571", ""},
	{"OATH_HOTP", ykslot.Flags{Ticket: 0x40}, "h", "210 571", "209"},
	{"CHAL_RESP", ykslot.Flags{Ticket: 0x40}, "ym", "220 571", "219"},
	{"PROTECT_CFG2", ykslot.Flags{Ticket: 0x80}, "oschym", "200 571", "199"},
	{"SEND_REF", ykslot.Flags{Config: 0x01}, "osc", "100 571", ""},
	{"SHORT_TICKET", ykslot.Flags{Config: 0x02}, "sc", "200 571", "199"},
	{"OATH_HOTP8", ykslot.Flags{Config: 0x02}, "h", "210 571", "209"},
	{"CHAL_HMAC", ykslot.Flags{Config: 0x02}, "m", "220 571", "219"},
	{"PACING_10MS", ykslot.Flags{Config: 0x04}, "osch", "100 200 210 571", ""},
	{"HMAC_LT64", ykslot.Flags{Config: 0x04}, "m", "220 571", "219"},
	{"PACING_20MS", ykslot.Flags{Config: 0x08}, "osch", "100 200 210 571", ""},
	{"CHAL_BTN_TRIG", ykslot.Flags{Config: 0x08}, "ym", "220 571", "219"},
	{"STRONG_PW1", ykslot.Flags{Config: 0x10}, "s", "200 571", "199"},
	{"OATH_FIXED_MODHEX1", ykslot.Flags{Config: 0x10}, "h", "210 571", "209"},
	{"STATIC_TICKET", ykslot.Flags{Config: 0x20}, "s", "100 571", ""},
	{"CHAL_YUBICO", ykslot.Flags{Config: 0x20}, "ym", "220 571", "219"},
	{"STRONG_PW2", ykslot.Flags{Config: 0x40}, "s", "200 571", "199"},
	{"OATH_FIXED_MODHEX2", ykslot.Flags{Config: 0x40}, "h", "210 571", "209"},
	{"MAN_UPDATE", ykslot.Flags{Config: 0x80}, "s", "200 299", "199 300 571"},
}

// modeFlags are the bits that choose a mode. Source: reference yubikey-otp.md §3.3.
var modeFlags = map[rune]ykslot.Flags{
	'o': {}, 's': {Config: 0x20}, 'c': {Config: 0x02}, 'h': {Ticket: 0x40}, 'y': {Ticket: 0x40, Config: 0x20}, 'm': {Ticket: 0x40, Config: 0x22},
}

// inMode is a configuration of a mode with a flag; it is of another mode if the flag is one that chooses it.
func inMode(mode rune, f ykslot.Flags) (c ykslot.Config, same bool) {
	m := modeFlags[mode]
	c = ykslot.Config{Fixed: make([]byte, ykslot.FixedLen), UID: bytesOf(6, 0), Key: bytesOf(16, 1)}
	c.Flags = ykslot.Flags{Ext: m.Ext | f.Ext, Ticket: m.Ticket | f.Ticket, Config: m.Config | f.Config}
	return c, c.Mode() == m.Mode()
}

// TestFlagGates: each bit is taken in the modes and on the firmware that have it, and refused in others; what is shown is its name there.
func TestFlagGates(t *testing.T) {
	t.Parallel()
	for _, row := range flagRows {
		for mode := range modeFlags {
			c, same := inMode(mode, row.flag)
			if !same {
				continue
			}
			goes := strings.ContainsRune(row.modes, mode)
			other := false // the bit has another name in this mode
			for _, o := range flagRows {
				other = other || o.flag == row.flag && o.name != row.name && strings.ContainsRune(o.modes, mode)
			}
			woken := c
			woken.Ext |= ykslot.AllowUpdate // DORMANT alone is refused for another reason
			if err := woken.Validate(); (err == nil) != (goes || other) {
				t.Errorf("%s in mode %c: %v", row.name, mode, err)
			}
			if strings.Contains(names(c.Flags), "|"+row.name+"|") != goes {
				t.Errorf("%s in mode %c: %v", row.name, mode, c.Flags)
			}
			if goes {
				gates(t, row.name, mode, c, row.has, row.lacks)
			}
		}
	}
}

// names are those of the flags, each between bars.
func names(f ykslot.Flags) string {
	_, list, _ := strings.Cut(strings.TrimSuffix(f.String(), ")"), ": ")
	return "|" + strings.ReplaceAll(list, ", ", "|") + "|"
}

// gates holds a flag against firmware; what the mode itself needs is another row's.
func gates(t *testing.T, name string, mode rune, c ykslot.Config, has, lacks string) {
	t.Helper()
	plain, _ := inMode(mode, ykslot.Flags{})
	for versions, want := range map[string]bool{has: true, lacks: false} {
		for _, v := range strings.Fields(versions) {
			on := ykslot.Version{Major: v[0] - '0', Minor: v[1] - '0', Patch: v[2] - '0'}
			if c.Flags != plain.Flags && plain.Supported(on) != nil {
				continue
			}
			err := c.Supported(on)
			var unsupported *ykslot.UnsupportedError
			if (err == nil) != want || err != nil && (!errors.As(err, &unsupported) || unsupported.Have != on) {
				t.Errorf("%s in mode %c on %v: %v", name, mode, on, err)
			}
		}
	}
}
