package token

import (
	"encoding/hex"
	"errors"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// MaxPublicID is the longest public ID a slot holds, in bytes. Source: reference yubikey-otp.md §3.1 (fixed, 16 bytes).
const MaxPublicID = 16

// ServerPublicID is the longest public ID that validation servers take, in bytes: 16 ModHex characters.
// Source: reference yubikey-otp.md §4.2.
const ServerPublicID = 8

// PublicID is the 0 to 16 bytes that a key types in the clear in front of the encrypted part; as text it is lower-case ModHex.
// The zero value is the empty public ID. PublicIDs compare with ==.
type PublicID struct{ modhex string }

// ErrPublicID is a text that is no public ID.
var ErrPublicID = errors.New("a public ID is an even number of ModHex characters (cbdefghijklnrtuv), 32 at most")

// ParsePublicID reads ModHex text of either case.
func ParsePublicID(s string) (PublicID, error) {
	b, err := modhex.DecodeString(s)
	if err != nil {
		return PublicID{}, ErrPublicID
	}
	return NewPublicID(b)
}

// NewPublicID makes a public ID of its bytes; more than MaxPublicID is an error.
func NewPublicID(b []byte) (PublicID, error) {
	if len(b) > MaxPublicID {
		return PublicID{}, ErrPublicID
	}
	return PublicID{modhex.EncodeToString(b)}, nil
}

// SerialPublicID is ff 00 and the serial as 32 bits big-endian: the ID that ykman's --serial-public-id gives.
// Source: reference yubikey-otp.md §4.2.
func SerialPublicID(s Serial) PublicID {
	p, _ := NewPublicID([]byte{0xff, 0, byte(s >> 24), byte(s >> 16), byte(s >> 8), byte(s)})
	return p
}

// String is the ModHex text.
func (p PublicID) String() string { return p.modhex }

// MarshalText is the ModHex text, for JSON.
func (p PublicID) MarshalText() ([]byte, error) { return []byte(p.modhex), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *PublicID) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePublicID(string(text))
	return err
}

// Len is the number of bytes.
func (p PublicID) Len() int { return len(p.modhex) / 2 }

// Bytes are the bytes in the order in which they are typed.
func (p PublicID) Bytes() []byte {
	b, _ := modhex.DecodeString(p.modhex) // p was made by EncodeToString
	return b
}

// The fixed-ModHex flags of HOTP in a slot's configuration byte. Source: reference yubikey-otp.md §3.2.
const (
	fixedModHex1 = 0x10
	fixedModHex2 = 0x40
)

// TypedID is what a slot types before its codes: the public ID, for HOTP the token identifier, whose first bytes are ModHex and whose
// others are two digits each, as the slot's flags say.
func (c Credential) TypedID() string {
	if c.Kind != HOTP {
		return c.PublicID.String()
	}
	b := c.PublicID.Bytes()
	n := len(b)
	switch c.Settings.ConfigFlags & (fixedModHex1 | fixedModHex2) {
	case 0:
		n = 0
	case fixedModHex1:
		n = min(n, 1)
	case fixedModHex2:
		n = min(n, 2)
	}
	return modhex.EncodeToString(b[:n]) + hex.EncodeToString(b[n:])
}
