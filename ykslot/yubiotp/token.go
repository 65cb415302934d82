// Package yubiotp is the Yubico one-time password: 0 to 16 bytes of public ID and one AES-128 block, both in ModHex.
//
// Split cuts a typed OTP. A Cipher, made once from a credential's key and private ID and kept, opens the block and says
// whether it is intact and from that credential:
//
//	publicID, block, err := yubiotp.Split(typed)
//	token, verdict := cipher.Open(block) // cipher found by public ID
//	if verdict == yubiotp.OK && stored.Before(token) { … }
//
// Whether the counters are new is not decided here.
package yubiotp

import (
	"encoding/binary"
	"fmt"
)

// Sizes in bytes. Source: reference yubikey-otp.md §4.1, §4.2.
const (
	BlockLen       = 16 // the encrypted token, 32 ModHex characters
	KeyLen         = 16 // AES-128
	PrivateIDLen   = 6
	MaxPublicIDLen = 16
)

// MaxUseCounter is where UseCounter stops: the slot is dead until it is programmed again. Source: reference
// yubikey-otp.md §4.1.
const MaxUseCounter = 0x7FFF

// capsBit of the use counter's field: triggered by Caps, Num or Scroll Lock on a version 1 key. Source: reference
// yubikey-otp.md §4.1.
const capsBit = 0x8000

// Token is the plain content of one OTP without its private ID, which stays inside Cipher so that printing a Token
// shows no secret.
type Token struct {
	UseCounter     uint16 // 15 bits, counts power-ups with at least one OTP, from 1
	CapsFlag       bool   // see capsBit
	Timestamp      uint32 // 24 bits, about 8 Hz, random start at each power-up
	SessionCounter uint8  // OTPs in this power-up, from 0
	Random         uint16
}

// Before reports whether u was made after t: the pair (UseCounter, SessionCounter) of u is greater. Timestamps are not
// looked at. Source: reference yubikey-otp.md §4.1.
func (t Token) Before(u Token) bool { return t.Order() < u.Order() }

// Order is UseCounter·256 + SessionCounter: the key by which replays are recognised.
func (t Token) Order() uint32 { return uint32(t.UseCounter)<<8 | uint32(t.SessionCounter) }

// Parse reads the 16 plain bytes: private ID [6], use counter with capsBit [2] LE, timestamp low [2] LE and high [1],
// session counter [1], random [2] LE, complemented CRC [2] LE. It reports false and a zero Token if the CRC is wrong.
// The private ID, plain[0:6], stays with the caller.
func Parse(plain *[BlockLen]byte) (Token, bool) {
	if CRC16(plain[:]) != CRCResidual {
		return Token{}, false
	}
	ctr := binary.LittleEndian.Uint16(plain[6:])
	return Token{
		UseCounter:     ctr &^ capsBit,
		CapsFlag:       ctr&capsBit != 0,
		Timestamp:      uint32(binary.LittleEndian.Uint16(plain[8:])) | uint32(plain[10])<<16,
		SessionCounter: plain[11],
		Random:         binary.LittleEndian.Uint16(plain[12:]),
	}, true
}

// Marshal writes the 16 plain bytes that Parse reads, with the given private ID. The bits of UseCounter above 15 and of
// Timestamp above 24 are dropped.
func (t Token) Marshal(plain *[BlockLen]byte, privateID *[PrivateIDLen]byte) {
	copy(plain[:], privateID[:])
	ctr := t.UseCounter &^ capsBit
	if t.CapsFlag {
		ctr |= capsBit
	}
	binary.LittleEndian.PutUint16(plain[6:], ctr)
	binary.LittleEndian.PutUint16(plain[8:], uint16(t.Timestamp))
	plain[10] = byte(t.Timestamp >> 16)
	plain[11] = t.SessionCounter
	binary.LittleEndian.PutUint16(plain[12:], t.Random)
	binary.LittleEndian.PutUint16(plain[14:], ^CRC16(plain[:14]))
}

// String shows the counters, for diagnosis.
func (t Token) String() string {
	return fmt.Sprintf("use %d session %d timestamp %06x", t.UseCounter, t.SessionCounter, t.Timestamp)
}
