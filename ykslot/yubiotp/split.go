package yubiotp

import (
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// blockChars is the encrypted part of an OTP in ModHex characters.
const blockChars = 2 * BlockLen

// ErrLength is the error for an OTP that is shorter than 32 or longer than 64 characters or of odd length.
var ErrLength = errors.New("otp: want 32 to 64 characters, an even number")

// Split cuts an OTP: the last 32 characters are the encrypted block, everything before is the public ID of 0 to 16
// bytes. Upper case is folded. Errors wrap ErrLength or modhex.InvalidByteError, whose position counts from the start of
// the OTP, and never hold its text. Keyboard layouts are not guessed: see modhex.FromDvorak.
func Split(otp string) (publicID []byte, block [BlockLen]byte, err error) {
	n := len(otp) - blockChars
	if n < 0 || n > 2*MaxPublicIDLen || n%2 != 0 {
		return nil, block, ErrLength
	}
	var raw [MaxPublicIDLen + BlockLen]byte
	all := raw[:modhex.DecodedLen(len(otp))]
	if err := modhex.DecodeInto(all, otp); err != nil {
		return nil, block, fmt.Errorf("otp: %w", err)
	}
	id := modhex.DecodedLen(n)
	return append(make([]byte, 0, id), all[:id]...), [BlockLen]byte(all[id:]), nil
}

// Join is the typed form of an OTP: the public ID and the block in ModHex.
func Join(publicID []byte, block [BlockLen]byte) string {
	return modhex.EncodeToString(publicID) + modhex.EncodeToString(block[:])
}
