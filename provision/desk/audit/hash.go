package audit

import (
	"encoding/hex"
	"errors"
)

// Hash is a SHA-256 sum; as text it is 64 lower-case hexadecimal digits.
type Hash [32]byte

// String is the text.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is the text.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the text.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return errors.New("a hash has 64 hexadecimal digits")
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return errors.New("a hash has hexadecimal digits only")
	}
	return nil
}
