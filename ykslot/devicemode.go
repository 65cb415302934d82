package ykslot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// USBMode is which interfaces a key of firmware 3 or 4 shows. Newer keys have DeviceConfig.
type USBMode struct {
	OTP, FIDO, CCID  bool
	TouchEject       bool          // only CCID: a touch ejects and inserts the card
	ChallengeTimeout time.Duration // whole seconds, at most 255; 0: the default of 15 s
	AutoEject        time.Duration // whole seconds, at most 65535: with TouchEject, when the card ejects itself
}

// modeBytes are the interfaces OTP (1), FIDO (2) and CCID (4) by their mode byte. Source: reference yubikey-otp.md §2.
var modeBytes = [...]byte{0: 0xFF, 1: 0, 2: 3, 3: 4, 4: 1, 5: 2, 6: 5, 7: 6}

// modeEject is the bit for TouchEject. Source: reference yubikey-otp.md §2.
const modeEject = 0x80

func (m USBMode) mask() (mask int) {
	for i, on := range []bool{m.OTP, m.FIDO, m.CCID} {
		if on {
			mask |= 1 << i
		}
	}
	return mask
}

// AppendMarshal appends the 4 bytes: mode, timeout, auto-eject LE [2]. The error is an *InvalidError.
func (m USBMode) AppendMarshal(dst []byte) ([]byte, error) {
	mode := modeBytes[m.mask()]
	switch {
	case m.mask() == 0:
		return dst, &InvalidError{"a key without any interface could never be reached again"}
	case m.TouchEject && mode != 1:
		return dst, &InvalidError{"only a key that is a smart card and nothing else ejects at a touch"}
	case m.AutoEject != 0 && !m.TouchEject:
		return dst, &InvalidError{"only a key that ejects at a touch ejects by itself"}
	}
	timeout, err := seconds("challenge timeout", m.ChallengeTimeout, 0xFF)
	if err != nil {
		return dst, err
	}
	eject, err := seconds("auto-eject time", m.AutoEject, 0xFFFF)
	if err != nil {
		return dst, err
	}
	if m.TouchEject {
		mode |= modeEject
	}
	return binary.LittleEndian.AppendUint16(append(dst, mode, byte(timeout)), uint16(eject)), nil
}

// seconds checks a whole number of seconds.
func seconds(what string, d time.Duration, limit int64) (int64, error) {
	n := int64(d / time.Second)
	if d < 0 || d%time.Second != 0 || n > limit {
		return 0, &InvalidError{fmt.Sprintf("%s %v; it is whole seconds, at most %d", what, d, limit)}
	}
	return n, nil
}

// SetMode chooses the interfaces of a key of firmware 3 or 4. They change when the key is plugged in again, and with them its
// product ID. The key refuses while a slot has an access code. Errors are as in Write. Source: reference yubikey-otp.md §1.7,
// §2, §3.6.
func (s *Session) SetMode(ctx context.Context, m USBMode) error {
	payload, err := m.AppendMarshal(nil)
	if err == nil {
		err = FeatureMode.Supported(s.version())
	}
	if err != nil {
		return opError(opMode, 0, err)
	}
	before, err := s.carrier.change(ctx, CommandMode, payload)
	switch {
	case err == errRefused && before.ProgSeq == 0: // itself: a card's status word around it is a refusal
		return nil // without a configured slot the sequence does not move: §1.7
	case errors.Is(err, errRefused):
		return opError(opMode, 0, newRejected(opMode, 0, before, false, false))
	case err != nil:
		return opError(opMode, 0, err)
	}
	return nil
}
