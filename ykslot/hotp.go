package ykslot

import (
	"encoding/binary"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// A slot stores the first moving factor divided by movingFactorStep in 16 bits. Source: reference yubikey-otp.md §3.8.
const (
	movingFactorStep = 16
	MaxMovingFactor  = 0xFFFF * movingFactorStep
)

// HOTP programs a slot to type the codes of RFC 4226 with SHA-1, after a token identifier if it has one. Flags start from
// TypingFlags; Config adds those of the mode, the digits and the identifier.
type HOTP struct {
	TokenID      TokenID
	Seed         secret.Bytes // 1 to 20 bytes, or more than 64
	Digits       int          // 6 or 8; 0 is 6
	MovingFactor int64        // of the first code: a multiple of 16, at most MaxMovingFactor
	AccessCode   secret.Bytes // to set: 6 bytes, or empty for none
	Flags
}

// Config checks the parts and returns the slot's configuration; the error is an *InvalidError. Its secrets are copies, but for the
// access code; the caller destroys them. Source: reference yubikey-otp.md §3.8.
func (h HOTP) Config() (Config, error) {
	f, err := h.TokenID.flags()
	if err != nil {
		return Config{}, err
	}
	c := Config{Fixed: h.TokenID.Bytes, AccessCode: h.AccessCode, Flags: h.Flags}
	c.Ticket |= OathHOTP
	c.Flags.Config |= f
	switch h.Digits {
	case 0, 6:
	case 8:
		c.Flags.Config |= HOTP8
	default:
		return Config{}, &InvalidError{fmt.Sprintf("codes of %d digits; a slot types 6 or 8", h.Digits)}
	}
	if c.Mode() != ModeHOTP {
		return Config{}, &InvalidError{fmt.Sprintf("these are flags of %v, not of %v", c.Mode(), ModeHOTP)}
	}
	if m := h.MovingFactor; m < 0 || m > MaxMovingFactor || m%movingFactorStep != 0 {
		return Config{}, &InvalidError{fmt.Sprintf("moving factor %d: a slot starts from a multiple of %d, at most %d", m, movingFactorStep, MaxMovingFactor)}
	}
	if err := checkSeed(h.Seed); err != nil {
		return Config{}, err
	}
	c.Key, c.UID = splitSeed(h.Seed, uint16(h.MovingFactor/movingFactorStep))
	if err := c.Validate(); err != nil {
		c.Key.Destroy()
		c.UID.Destroy()
		return Config{}, err
	}
	return c, nil
}

// MovingFactor is where an HOTP configuration starts, 0 for other modes.
func (c Config) MovingFactor() int64 {
	if uid := c.UID.Reveal(); c.Mode() == ModeHOTP && len(uid) == UIDLen {
		return int64(binary.BigEndian.Uint16(uid[SeedLen-KeyLen:])) * movingFactorStep
	}
	return 0
}

// Digits is the length of an HOTP configuration's codes.
func (c Config) Digits() int {
	if c.Flags.Config&HOTP8 != 0 {
		return 8
	}
	return 6
}
