package provision

import (
	"slices"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Toggle is one flag of a slot as a person switches it on or off.
type Toggle struct {
	Name   string // as ykpersonalize calls it
	Ykman  string // how ykman 5.9 says it; "" if it cannot
	Text   string
	Flag   ykslot.Flags // its bit
	Kinds  []token.Kind // that have it
	Update bool         // an update can change it
}

// Toggles are all flags that do not choose the mode, in the order in which they are shown. What firmware has them, ykslot knows.
// Source: reference yubikey-otp.md §3.2; the names, ykpersonalize(1) 1.20 and ykman 5.9.
func Toggles() []Toggle {
	all := SlotKinds()
	typing := []token.Kind{token.YubicoOTP, token.HOTP, token.Static}
	otp := []token.Kind{token.YubicoOTP, token.Static}
	static := []token.Kind{token.Static}
	ticket := func(f ykslot.TicketFlag) ykslot.Flags { return ykslot.Flags{Ticket: f} }
	config := func(f ykslot.ConfigFlag) ykslot.Flags { return ykslot.Flags{Config: f} }
	ext := func(f ykslot.ExtFlag) ykslot.Flags { return ykslot.Flags{Ext: f} }
	return []Toggle{
		{"append-cr", "--[no-]enter", "Enter at the end", ticket(ykslot.AppendCR), typing, true},
		{"tab-first", "", "Tab before everything", ticket(ykslot.TabFirst), typing, true},
		{"append-tab1", "", "Tab between the public ID and the rest", ticket(ykslot.AppendTab1), typing, true},
		{"append-tab2", "", "Tab at the end", ticket(ykslot.AppendTab2), typing, true},
		{"append-delay1", "", "half a second after the public ID", ticket(ykslot.AppendDelay1), typing, true},
		{"append-delay2", "", "half a second at the end", ticket(ykslot.AppendDelay2), typing, true},
		{"pacing-10ms", "--pacing 20", "20 ms between characters; both: 60", config(ykslot.Pacing10ms), typing, true},
		{"pacing-20ms", "--pacing 40", "40 ms between characters", config(ykslot.Pacing20ms), typing, true},
		{"use-numeric-keypad", "--use-numeric-keypad", "digits by the keys of the keypad", ext(ykslot.UseNumericKeypad), typing, true},
		{"fast-trig", "", "a short touch is enough while only slot 1 is in use", ext(ykslot.FastTrig), typing, true},
		{"serial-api-visible", "", "programs can read the serial number", ext(ykslot.SerialAPIVisible), all, true},
		{"serial-usb-visible", "--serial-usb-visible", "the serial number is in the USB descriptor, after the next plugging in", ext(ykslot.SerialUSBVisible), all, true},
		{"serial-btn-visible", "", "a touch at power-up types the serial number", ext(ykslot.SerialBtnVisible), all, true},
		{"allow-update", "", "these flags can be changed, and slots swapped", ext(ykslot.AllowUpdate), all, true},
		{"dormant", "", "the slot sleeps until an update wakes it", ext(ykslot.Dormant), all, true},
		{"led-inv", "", "the LED is off when idle", ext(ykslot.LEDInv), all, true},
		{"protect-cfg2", "", "in slot 1: nobody may write slot 2", ticket(ykslot.ProtectCfg2), all, false},
		{"send-ref", "", "the ModHex alphabet first", config(ykslot.SendRef), otp, false},
		{"short-ticket", "", "tickets of 16 characters", config(ykslot.ShortTicket), static, false},
		{"strong-pw1", "", "tickets with two upper-case letters", config(ykslot.StrongPW1), static, false},
		{"strong-pw2", "", "tickets with digits for some letters", config(ykslot.StrongPW2), static, false},
		{"man-update", "", "tickets that a long touch draws anew", config(ykslot.ManUpdate), static, false},
	}
}

// Goes reports whether a kind has the flag.
func (t Toggle) Goes(k token.Kind) bool { return slices.Contains(t.Kinds, k) }

// On reports whether it is set.
func (t Toggle) On(f ykslot.Flags) bool {
	return f.Ext&t.Flag.Ext|ykslot.ExtFlag(f.Ticket&t.Flag.Ticket)|ykslot.ExtFlag(f.Config&t.Flag.Config) != 0
}

// merge sets and clears bits.
func merge(f, set, clear ykslot.Flags) ykslot.Flags {
	return ykslot.Flags{
		Ext: f.Ext&^clear.Ext | set.Ext, Ticket: f.Ticket&^clear.Ticket | set.Ticket, Config: f.Config&^clear.Config | set.Config,
	}
}

// With is f with the toggle on or off.
func (t Toggle) With(f ykslot.Flags, on bool) ykslot.Flags {
	if on {
		return merge(f, t.Flag, ykslot.Flags{})
	}
	return merge(f, ykslot.Flags{}, t.Flag)
}
