package ykslot

import (
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// EncryptedPassword programs a slot to type the same encrypted block at each touch ("static ticket"): 2·len(PublicID)
// characters and 32, or 16 if Short. Flags start from TypingFlags; Config adds those of the mode. Config.Press says what it types.
type EncryptedPassword struct {
	PublicID   []byte       // 0 to 16 bytes, typed first
	PrivateID  secret.Bytes // 6 bytes or empty for zeros
	Key        secret.Bytes // 16 bytes
	Short      bool         // only the first 16 characters of the block
	Upper      bool         // the first two letters in upper case
	Numbers    bool         // the letters c b d e f g h i as the digits 0 to 7
	AccessCode secret.Bytes // to set: 6 bytes, or empty for none
	Flags
}

// Config checks the parts and returns the slot's configuration; the error is an *InvalidError. The secrets are shared.
// Source: reference yubikey-otp.md §3.3, §4.3.
func (e EncryptedPassword) Config() (Config, error) {
	c := Config{Fixed: e.PublicID, UID: e.PrivateID, Key: e.Key, AccessCode: e.AccessCode, Flags: e.Flags}
	if c.UID.Len() == 0 {
		c.UID = secret.New(make([]byte, UIDLen))
	}
	c.Flags.Config |= StaticTicket
	for flag, set := range map[ConfigFlag]bool{ShortTicket: e.Short, StrongPW1: e.Upper, StrongPW2: e.Numbers} {
		if set {
			c.Flags.Config |= flag
		}
	}
	switch {
	case c.Mode() != ModeStatic:
		return Config{}, &InvalidError{fmt.Sprintf("these are flags of %v, not of %v", c.Mode(), ModeStatic)}
	case len(e.PublicID) > FixedLen:
		return Config{}, &InvalidError{fmt.Sprintf("a public ID of %d bytes, at most %d fit", len(e.PublicID), FixedLen)}
	case e.Key.IsZero():
		return Config{}, &InvalidError{"the key is all zero"}
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}
