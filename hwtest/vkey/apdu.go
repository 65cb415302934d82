package vkey

import "encoding/binary"

// Status words, ISO 7816-4 §5.6 and reference yubikey-otp.md §5.
const (
	SWSuccess       = 0x9000
	SWMoreData      = 0x6100 // and the number of bytes that wait, 00 for 256 or more
	SWUnchanged     = 0x6200 // warning: the non-volatile memory is unchanged
	SWWrongLength   = 0x6700
	SWSecurity      = 0x6982
	SWConditions    = 0x6985
	SWWrongData     = 0x6a80
	SWNotFound      = 0x6a82
	SWWrongP1P2     = 0x6b00
	SWNoInstruction = 0x6d00
	SWNoClass       = 0x6e00
)

// APDU is a decoded command: CLA INS P1 P2 [Lc data] [Le], short or extended (ISO 7816-4 §5.1).
type APDU struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	// Le is the number of bytes that the host takes, 256 where it does not say.
	Le int
}

const (
	headLen     = 4
	shortLe     = 256
	extendedLe  = 65536
	claChain    = 0x10
	insSelect   = 0xa4
	insMore     = 0xc0 // GET RESPONSE
	maxChain    = 1 << 14
	maxAPDU     = 1 << 16
	selectByAID = 0x04
)

// ParseAPDU decodes a command; ok is false where its lengths do not fit.
func ParseAPDU(b []byte) (c APDU, ok bool) {
	if len(b) < headLen || len(b) > maxAPDU+headLen+5 {
		return APDU{}, false
	}
	c = APDU{CLA: b[0], INS: b[1], P1: b[2], P2: b[3], Le: shortLe}
	body := b[headLen:]
	switch {
	case len(body) == 0:
		return c, true
	case len(body) == 1:
		c.Le = wide(int(body[0]), shortLe)
		return c, true
	case body[0] != 0:
		return c.take(body[1:], int(body[0]), 1)
	case len(body) < 3:
		return APDU{}, false
	case len(body) == 3:
		c.Le = wide(int(binary.BigEndian.Uint16(body[1:])), extendedLe)
		return c, true
	}
	return c.take(body[3:], int(binary.BigEndian.Uint16(body[1:])), 2)
}

// take reads lc bytes of data and Le of the given size, or nothing after them.
func (c APDU) take(b []byte, lc, le int) (APDU, bool) {
	if lc == 0 || len(b) != lc && len(b) != lc+le {
		return APDU{}, false
	}
	c.Data = b[:lc]
	switch rest := b[lc:]; len(rest) {
	case 1:
		c.Le = wide(int(rest[0]), shortLe)
	case 2:
		c.Le = wide(int(binary.BigEndian.Uint16(rest)), extendedLe)
	}
	return c, true
}

// wide is a length in which 0 stands for all.
func wide(n, all int) int {
	if n == 0 {
		return all
	}
	return n
}

// answer is data ‖ status word.
func answer(data []byte, sw uint16) []byte {
	return binary.BigEndian.AppendUint16(append(make([]byte, 0, len(data)+2), data...), sw)
}
