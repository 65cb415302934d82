package ykslot

import (
	"fmt"
	"strings"
)

// TicketFlag is a bit of tktFlags, offset 46: what is typed around the OTP. Source: reference yubikey-otp.md §3.2.
type TicketFlag uint8

// The ticket flags.
const (
	TabFirst     TicketFlag = 0x01 // TAB before the first part
	AppendTab1   TicketFlag = 0x02 // TAB between fixed part and OTP
	AppendTab2   TicketFlag = 0x04 // TAB after the OTP
	AppendDelay1 TicketFlag = 0x08 // 0.5 s before the OTP; firmware 1 and 2
	AppendDelay2 TicketFlag = 0x10 // 0.5 s after the OTP; firmware 1 and 2
	AppendCR     TicketFlag = 0x20 // Enter at the end
	OathHOTP     TicketFlag = 0x40 // HOTP; with ChalYubico: challenge-response
	ProtectCfg2  TicketFlag = 0x80 // slot 1: nobody may write slot 2; slot 2: slot 1 may not have this flag
)

// ConfigFlag is a bit of cfgFlags, offset 47, whose meaning depends on the mode. Source: reference yubikey-otp.md §3.2.
type ConfigFlag uint8

// The configuration flags of OTP and static modes.
const (
	SendRef      ConfigFlag = 0x01 // 16 ModHex characters first
	ShortTicket  ConfigFlag = 0x02 // scan codes; with StaticTicket: 16 characters only
	Pacing10ms   ConfigFlag = 0x04 // 20 ms between characters on current firmware
	Pacing20ms   ConfigFlag = 0x08 // 40 ms; both 60 ms
	StrongPW1    ConfigFlag = 0x10 // first two letters upper case
	StaticTicket ConfigFlag = 0x20
	StrongPW2    ConfigFlag = 0x40 // some letters as digits
	ManUpdate    ConfigFlag = 0x80 // static key changed by touch; firmware 2
)

// The same bits in HOTP mode (OathHOTP set).
const (
	HOTP8        ConfigFlag = 0x02 // 8 digits
	FixedModHex1 ConfigFlag = 0x10
	FixedModHex2 ConfigFlag = 0x40
)

// The same bits in challenge-response mode (OathHOTP and ChalYubico set).
const (
	ChalHMAC     ConfigFlag = 0x02 // HMAC-SHA1 instead of Yubico OTP
	HMACLessThan ConfigFlag = 0x04 // variable length: HMAC_LT64
	ChalBtnTrig  ConfigFlag = 0x08 // needs touch
	ChalYubico   ConfigFlag = 0x20 // challenge-response
)

// ExtFlag is a bit of extFlags, offset 45. Source: reference yubikey-otp.md §3.2.
type ExtFlag uint8

// The extended flags. The serial and LED flags of either slot apply to the whole key.
const (
	SerialBtnVisible ExtFlag = 0x01 // types the serial if pressed at power-up; firmware 2
	SerialUSBVisible ExtFlag = 0x02 // serial as USB iSerial, after re-plug
	SerialAPIVisible ExtFlag = 0x04 // serial by command 10
	UseNumericKeypad ExtFlag = 0x08 // digits as keypad codes; firmware 2
	FastTrig         ExtFlag = 0x10 // quick trigger if only slot 1 is set; implied from 3.0
	AllowUpdate      ExtFlag = 0x20 // update and swap allowed
	Dormant          ExtFlag = 0x40 // hidden until an update wakes it
	LEDInv           ExtFlag = 0x80 // LED off when idle
)

// What an update takes over from the sent flags; the rest stays as it is. Pacing only in modes that type: in
// challenge-response those bits are HMACLessThan and ChalBtnTrig. Source: reference yubikey-otp.md §3.2.
const (
	TicketUpdateMask TicketFlag = 0x3F
	ConfigUpdateMask ConfigFlag = 0x0C
	ExtUpdateMask    ExtFlag    = 0xFF
)

// Flags are the three flag bytes of a slot.
type Flags struct {
	Ext    ExtFlag
	Ticket TicketFlag
	Config ConfigFlag
}

// TypingFlags is the baseline for modes that type, ext/tkt/cfg 34/20/00 as the vendor's tool sets it, without what
// firmware v does not have. Source: reference yubikey-otp.md §3.3.
func TypingFlags(v Version) Flags {
	f := Flags{Ext: SerialAPIVisible | FastTrig | AllowUpdate, Ticket: AppendCR}
	for _, row := range flagTable {
		if row.field == fieldExt && !row.in.has(v) {
			f.Ext &^= ExtFlag(row.bit)
		}
	}
	return f
}

// Mode is what a slot does, as its flags say.
type Mode uint8

// The modes. Source: reference yubikey-otp.md §3.3.
const (
	ModeYubicoOTP Mode = iota
	ModeStatic         // encrypted static password
	ModeScanCodes      // static password as scan codes
	ModeHOTP
	ModeChallengeYubico
	ModeChallengeHMAC
)

var modeNames = [...]string{"Yubico OTP", "static password", "scan-code password", "OATH-HOTP", "Yubico challenge-response", "HMAC challenge-response"}

// String names the mode.
func (m Mode) String() string { return modeNames[m] }

// Mode reads the mode off the flags.
func (f Flags) Mode() Mode {
	switch hotp := f.Ticket&OathHOTP != 0; {
	case hotp && f.Config&ChalYubico != 0 && f.Config&ChalHMAC != 0:
		return ModeChallengeHMAC
	case hotp && f.Config&ChalYubico != 0:
		return ModeChallengeYubico
	case hotp:
		return ModeHOTP
	case f.Config&StaticTicket != 0:
		return ModeStatic
	case f.Config&ShortTicket != 0:
		return ModeScanCodes
	}
	return ModeYubicoOTP
}

// modes is a set of Mode.
type modes uint8

func modeSet(ms ...Mode) (s modes) {
	for _, m := range ms {
		s |= 1 << m
	}
	return s
}

func (s modes) has(m Mode) bool { return s&(1<<m) != 0 }

// Groups of modes for the table.
const (
	anyMode    modes = 1<<ModeYubicoOTP | 1<<ModeStatic | 1<<ModeScanCodes | 1<<ModeHOTP | 1<<ModeChallengeYubico | 1<<ModeChallengeHMAC
	otpStatic  modes = 1<<ModeYubicoOTP | 1<<ModeStatic | 1<<ModeScanCodes
	typing     modes = otpStatic | 1<<ModeHOTP
	hotpOnly   modes = 1 << ModeHOTP
	staticOnly modes = 1 << ModeStatic
	chalResp   modes = 1<<ModeChallengeYubico | 1<<ModeChallengeHMAC
	hmacOnly   modes = 1 << ModeChallengeHMAC
)

type field uint8

const (
	fieldExt field = iota
	fieldTicket
	fieldConfig
)

// flagTable has one row per meaning of a bit: the modes in which it means that and the firmware that obeys it. A set bit
// without a row for the mode is refused by Validate, one outside its firmware by Supported. Source: reference
// yubikey-otp.md §3.2, §3.3 and, for what firmware 3 dropped, §1.7.
var flagTable = []struct {
	field field
	bit   uint8
	name  string
	in    spans
	modes modes
}{
	{fieldExt, 0x01, "SERIAL_BTN_VISIBLE", spans{{Version{2, 2, 0}, Version{3, 0, 0}}}, anyMode},
	{fieldExt, 0x02, "SERIAL_USB_VISIBLE", spans{{Version{2, 2, 0}, Version{3, 0, 0}}, {from: Version{3, 2, 0}}}, anyMode},
	{fieldExt, 0x04, "SERIAL_API_VISIBLE", v22, anyMode},
	{fieldExt, 0x08, "USE_NUMERIC_KEYPAD", spans{{Version{2, 3, 0}, Version{3, 0, 0}}}, anyMode},
	{fieldExt, 0x10, "FAST_TRIG", v23, anyMode},
	{fieldExt, 0x20, "ALLOW_UPDATE", v23, anyMode},
	{fieldExt, 0x40, "DORMANT", v23, anyMode},
	{fieldExt, 0x80, "LED_INV", spans{{Version{2, 4, 0}, Version{3, 0, 0}}, {from: Version{3, 1, 0}}}, anyMode},

	{fieldTicket, 0x01, "TAB_FIRST", v1, typing},
	{fieldTicket, 0x02, "APPEND_TAB1", v1, typing},
	{fieldTicket, 0x04, "APPEND_TAB2", v1, typing},
	{fieldTicket, 0x08, "APPEND_DELAY1", spans{{Version{1, 0, 0}, Version{3, 0, 0}}}, typing},
	{fieldTicket, 0x10, "APPEND_DELAY2", spans{{Version{1, 0, 0}, Version{3, 0, 0}}}, typing},
	{fieldTicket, 0x20, "APPEND_CR", v1, typing},
	{fieldTicket, 0x40, "OATH_HOTP", v21, hotpOnly},
	{fieldTicket, 0x40, "CHAL_RESP", v22, chalResp},
	{fieldTicket, 0x80, "PROTECT_CFG2", v20, anyMode},

	{fieldConfig, 0x01, "SEND_REF", v1, otpStatic},
	{fieldConfig, 0x02, "SHORT_TICKET", v20, modeSet(ModeStatic, ModeScanCodes)},
	{fieldConfig, 0x02, "OATH_HOTP8", v21, hotpOnly},
	{fieldConfig, 0x02, "CHAL_HMAC", v22, hmacOnly},
	{fieldConfig, 0x04, "PACING_10MS", v1, typing},
	{fieldConfig, 0x04, "HMAC_LT64", v22, hmacOnly},
	{fieldConfig, 0x08, "PACING_20MS", v1, typing},
	{fieldConfig, 0x08, "CHAL_BTN_TRIG", v22, chalResp},
	{fieldConfig, 0x10, "STRONG_PW1", v20, staticOnly},
	{fieldConfig, 0x10, "OATH_FIXED_MODHEX1", v21, hotpOnly},
	{fieldConfig, 0x20, "STATIC_TICKET", v1, staticOnly},
	{fieldConfig, 0x20, "CHAL_YUBICO", v22, chalResp},
	{fieldConfig, 0x40, "STRONG_PW2", v20, staticOnly},
	{fieldConfig, 0x40, "OATH_FIXED_MODHEX2", v21, hotpOnly},
	{fieldConfig, 0x80, "MAN_UPDATE", spans{{Version{2, 0, 0}, Version{3, 0, 0}}}, staticOnly},
}

func (f Flags) byte(of field) uint8 {
	switch of {
	case fieldExt:
		return uint8(f.Ext)
	case fieldTicket:
		return uint8(f.Ticket)
	}
	return uint8(f.Config)
}

// names lists the set bits of one byte; a bit without meaning in the mode is shown in hexadecimal.
func (f Flags) names(of field) string {
	var out []string
	m, set := f.Mode(), f.byte(of)
	for _, row := range flagTable {
		if row.field == of && set&row.bit != 0 && row.modes.has(m) {
			out = append(out, row.name)
			set &^= row.bit
		}
	}
	if set != 0 {
		out = append(out, fmt.Sprintf("%02x", set))
	}
	return strings.Join(out, "|")
}

// String is "34/20/00 (Yubico OTP: SERIAL_API_VISIBLE|FAST_TRIG|ALLOW_UPDATE, APPEND_CR)".
func (f Flags) String() string {
	var lists []string
	for _, of := range []field{fieldExt, fieldTicket, fieldConfig} {
		if n := f.names(of); n != "" {
			lists = append(lists, n)
		}
	}
	return fmt.Sprintf("%02x/%02x/%02x (%v: %s)", uint8(f.Ext), uint8(f.Ticket), uint8(f.Config), f.Mode(), strings.Join(lists, ", "))
}

// String lists the flags by name, as HOTP has them where bit 40 is set.
func (t TicketFlag) String() string { return Flags{Ticket: t}.names(fieldTicket) }

// String lists the flags by the names of OTP and static modes; Flags.String knows the mode.
func (c ConfigFlag) String() string { return Flags{Config: c}.names(fieldConfig) }

// String lists the flags by name.
func (e ExtFlag) String() string { return Flags{Ext: e}.names(fieldExt) }
