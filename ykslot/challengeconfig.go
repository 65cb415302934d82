package ykslot

import (
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// ChallengeFlags is the baseline for challenge-response, ext/tkt/cfg 24/00/00 as the vendor's tool sets it, without what firmware
// v does not have. Source: reference yubikey-otp.md §3.3.
func ChallengeFlags(v Version) Flags {
	f := TypingFlags(v)
	return Flags{Ext: f.Ext &^ FastTrig}
}

// ChallengeHMAC programs a slot to answer with HMAC-SHA1. Flags start from ChallengeFlags; Config adds those of the mode.
type ChallengeHMAC struct {
	Key         secret.Bytes // 1 to 20 bytes, or more than 64
	FixedLength bool         // messages are exactly 64 bytes: otherwise the end of the message is found by its padding
	Touch       bool         // answers only when touched
	AccessCode  secret.Bytes // to set: 6 bytes, or empty for none
	Flags
}

// Config checks the parts and returns the slot's configuration; the error is an *InvalidError. Its secrets are copies, but for the
// access code; the caller destroys them.
func (h ChallengeHMAC) Config() (Config, error) {
	if err := checkSeed(h.Key); err != nil {
		return Config{}, err
	}
	c := Config{AccessCode: h.AccessCode, Flags: h.Flags}
	c.Ticket |= OathHOTP
	c.Flags.Config |= ChalYubico | ChalHMAC
	if !h.FixedLength {
		c.Flags.Config |= HMACLessThan
	}
	if h.Touch {
		c.Flags.Config |= ChalBtnTrig
	}
	c.Key, c.UID = splitSeed(h.Key, 0)
	if err := c.Validate(); err != nil {
		c.Key.Destroy()
		c.UID.Destroy()
		return Config{}, err
	}
	return c, nil
}

// ChallengeYubico programs a slot to answer with a Yubico OTP block around a challenge of 6 bytes. Flags start from
// ChallengeFlags; Config adds those of the mode.
type ChallengeYubico struct {
	PrivateID  secret.Bytes // 6 bytes or empty for zeros, on which alone all sources agree: reference yubikey-otp.md §3.9
	Key        secret.Bytes // 16 bytes
	Touch      bool         // answers only when touched
	AccessCode secret.Bytes // to set: 6 bytes, or empty for none
	Flags
}

// Config checks the parts and returns the slot's configuration; the error is an *InvalidError. The secrets are shared.
func (y ChallengeYubico) Config() (Config, error) {
	c := Config{UID: y.PrivateID, Key: y.Key, AccessCode: y.AccessCode, Flags: y.Flags}
	if c.UID.Len() == 0 {
		c.UID = secret.New(make([]byte, UIDLen))
	}
	c.Ticket |= OathHOTP
	c.Flags.Config |= ChalYubico
	if y.Touch {
		c.Flags.Config |= ChalBtnTrig
	}
	switch {
	case c.Mode() != ModeChallengeYubico:
		return Config{}, &InvalidError{fmt.Sprintf("these are flags of %v, not of %v", c.Mode(), ModeChallengeYubico)}
	case y.Key.IsZero():
		return Config{}, &InvalidError{"the key is all zero"}
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}
