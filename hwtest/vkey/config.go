package vkey

import (
	"crypto/subtle"
	"encoding/binary"
)

// The configuration of a slot, reference yubikey-otp.md §3.1: offsets into 52 bytes, then the current access code.
const (
	fixedLen  = 16
	uidLen    = 6
	keyLen    = 16
	codeLen   = 6
	configLen = 52

	offUID     = 16
	offKey     = 22
	offCode    = 38
	offSize    = 44
	offExt     = 45
	offTkt     = 46
	offCfg     = 47
	offCRC     = 50
	offCurrent = 52 // current access code, outside the struct and its CRC
)

// Ticket flags, §3.2.
const (
	tktTabFirst    = 0x01
	tktTab1        = 0x02
	tktTab2        = 0x04
	tktDelay1      = 0x08 // 1.x and 2.x only
	tktDelay2      = 0x10 // 1.x and 2.x only
	tktCR          = 0x20
	tktOATH        = 0x40 // with cfgChallenge: challenge-response
	tktProtectCfg2 = 0x80
	tktUpdatable   = 0x3f
)

// Configuration flags, §3.2; several bits mean another thing in another mode.
const (
	cfgSendRef   = 0x01
	cfgShort     = 0x02 // static
	cfgHOTP8     = 0x02 // HOTP: 8 digits
	cfgHMAC      = 0x02 // challenge-response: HMAC, else Yubico
	cfgLT64      = 0x04 // HMAC: variable length
	cfgTouch     = 0x08 // challenge-response: wait for a touch
	cfgPacing1   = 0x04 // keyboard modes
	cfgPacing2   = 0x08 // keyboard modes
	cfgStrong1   = 0x10 // static
	cfgModhex1   = 0x10 // HOTP
	cfgStatic    = 0x20
	cfgChallenge = 0x20 // with tktOATH
	cfgStrong2   = 0x40 // static, and with cfgSendRef
	cfgModhex2   = 0x40 // HOTP
	cfgManUpdate = 0x80 // static, 2.x only
	cfgUpdatable = 0x0c // pacing, on keyboard modes only
)

// Extended flags, §3.2. All are updatable.
const (
	extSerialButton = 0x01 // 2.x only
	extSerialUSB    = 0x02
	extSerialAPI    = 0x04
	extNumKeypad    = 0x08 // 2.x only
	extFastTrigger  = 0x10
	extAllowUpdate  = 0x20
	extDormant      = 0x40
	extLEDInverted  = 0x80
)

const (
	noCode = "\x00\x00\x00\x00\x00\x00" // no access code, §3.1
	// factorUnit: the initial moving factor is stored divided by 16 (§3.8).
	factorUnit = 16
)

// Kind is what a slot does.
type Kind int

// The kinds, §3.3.
const (
	Empty Kind = iota
	YubicoOTP
	HOTP
	StaticTicket // the encrypted constant ticket
	StaticCodes  // scan codes
	ChalYubico
	ChalHMAC
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Empty:
		return "empty"
	case YubicoOTP:
		return "Yubico OTP"
	case HOTP:
		return "OATH-HOTP"
	case StaticTicket:
		return "static ticket"
	case StaticCodes:
		return "static scan codes"
	case ChalYubico:
		return "Yubico challenge-response"
	case ChalHMAC:
		return "HMAC challenge-response"
	}
	return "unknown"
}

// config is a decoded configuration.
type config struct {
	fixed         [fixedLen]byte
	uid           [uidLen]byte
	key           [keyLen]byte
	code          [codeLen]byte
	size          int
	ext, tkt, cfg byte
}

// slot is a configuration and its counters.
type slot struct {
	kind    Kind
	cfg     config
	use     uint16 // UseCounter of the last ticket, 0 before the first
	session byte
	used    bool   // a ticket was made in this power-up
	moving  uint64 // HOTP
}

// decodeConfig reads the 52 bytes; ok is false for a bad CRC or a fixed size above 16.
func decodeConfig(p *payload) (c config, ok bool) {
	if crc16(p[:configLen]) != crcResidual || p[offSize] > fixedLen {
		return config{}, false
	}
	copy(c.fixed[:], p[:offUID])
	copy(c.uid[:], p[offUID:])
	copy(c.key[:], p[offKey:])
	copy(c.code[:], p[offCode:])
	c.size = int(p[offSize])
	c.ext, c.tkt, c.cfg = p[offExt], p[offTkt], p[offCfg]
	return c, true
}

// kind is the mode that the flags select, §3.3.
func (c *config) kind() Kind {
	switch {
	case c.tkt&tktOATH != 0 && c.cfg&cfgChallenge != 0 && c.cfg&cfgHMAC != 0:
		return ChalHMAC
	case c.tkt&tktOATH != 0 && c.cfg&cfgChallenge != 0:
		return ChalYubico
	case c.tkt&tktOATH != 0:
		return HOTP
	case c.cfg&cfgStatic != 0:
		return StaticTicket
	case c.cfg&cfgShort != 0:
		return StaticCodes
	}
	return YubicoOTP
}

// holds says whether a key of the profile can hold the kind, §3.4.
func (p Profile) holds(k Kind) bool {
	switch k {
	case HOTP:
		return p.Has(HOTPCodes)
	case ChalYubico, ChalHMAC:
		return p.Has(Challenges)
	case StaticTicket, StaticCodes:
		return p.Has(StaticPasswords)
	}
	return true
}

func (s *slot) configured() bool { return s.kind != Empty }

func (s *slot) challenge() bool { return s.kind == ChalYubico || s.kind == ChalHMAC }

// awake is whether the slot reacts at all: a dormant one waits for an update.
func (k *Key) awake(s *slot) bool {
	return s.configured() && s.cfg.ext&k.profile.extKnown()&extDormant == 0
}

// needsTouch is status bit 04: typing slots, and challenge-response with a touch (pico-fido's reading, §1.5).
func (s *slot) needsTouch() bool {
	return s.configured() && (!s.challenge() || s.cfg.cfg&cfgTouch != 0)
}

func (s *slot) protected() bool { return string(s.cfg.code[:]) != noCode }

// admits says whether the code opens the slot; one without access code admits any.
func (s *slot) admits(code []byte) bool {
	return !s.protected() || subtle.ConstantTimeCompare(s.cfg.code[:], code) == 1
}

// secret20 is the 20-byte key of HOTP and HMAC: key ‖ the first 4 bytes of uid.
func (c *config) secret20() []byte {
	return append(append([]byte(nil), c.key[:]...), c.uid[:4]...)
}

// codes is the 38 scan codes of a static password: fixed ‖ uid ‖ key.
func (c *config) codes() []byte {
	return append(append(append([]byte(nil), c.fixed[:]...), c.uid[:]...), c.key[:]...)
}

// initialFactor is the u16 big endian in uid[4:6], times 16 (§3.8).
func (c *config) initialFactor() uint64 {
	return uint64(binary.BigEndian.Uint16(c.uid[4:])) * factorUnit
}

// The CRC of §1.5; crcResidual is what it gives over data and its complemented CRC.
const (
	crcInit     = 0xffff
	crcPoly     = 0x8408 // reflected
	crcResidual = 0xf0b8
)

// crc16 is init FFFF, reflected polynomial 8408, no final XOR (§1.5).
func crc16(b []byte) uint16 {
	crc := uint16(crcInit)
	for _, x := range b {
		crc ^= uint16(x)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low != 0 {
				crc ^= crcPoly
			}
		}
	}
	return crc
}

// appendCRC returns data ‖ complemented CRC, little endian, in new memory.
func appendCRC(data []byte) []byte {
	out := append(make([]byte, 0, len(data)+2), data...)
	return binary.LittleEndian.AppendUint16(out, ^crc16(data))
}
