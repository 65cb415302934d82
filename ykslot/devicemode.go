package ykslot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
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
	case errors.Is(err, errRefused) && before.ProgSeq == 0:
		return nil // without a configured slot the sequence does not move: §1.7
	case errors.Is(err, errRefused):
		return opError(opMode, 0, newRejected(opMode, 0, before, false))
	case err != nil:
		return opError(opMode, 0, err)
	}
	return nil
}

// LockCodeLen is the length of a lock code in bytes. Source: reference yubikey-otp.md §7.2.
const LockCodeLen = 16

// DeviceConfig are settings of a whole key, firmware 5. A nil field stays as it is.
type DeviceConfig struct {
	USBEnabled       *Capability
	NFCEnabled       *Capability
	AutoEject        *time.Duration // whole seconds, at most 65535
	ChallengeTimeout *time.Duration // whole seconds, at most 255; 0: the default of 15 s
	DeviceFlags      *uint8         // 80 eject, 40 remote wake-up
	NFCRestricted    bool           // no NFC until the key was in a USB port
	NewLockCode      secret.Bytes   // 16 bytes; empty leaves it, zeros remove it
	Unlock           secret.Bytes   // the lock code now: 16 bytes, or empty for none
	Reboot           bool           // apply at once: the key leaves the bus and comes back, maybe with another product ID
}

// AppendMarshal appends the length byte and the TLVs. The result holds the lock codes in clear; the caller clears it. The error is
// an *InvalidError. Source: reference yubikey-otp.md §7.2.
func (d DeviceConfig) AppendMarshal(dst []byte) ([]byte, error) {
	at := len(dst)
	out := append(dst, 0)
	add := func(tag byte, v ...byte) { out = append(append(out, tag, byte(len(v))), v...) }
	for _, code := range []secret.Bytes{d.Unlock, d.NewLockCode} {
		if n := code.Len(); n != 0 && n != LockCodeLen {
			return dst, &InvalidError{fmt.Sprintf("a lock code of %d bytes, want %d", n, LockCodeLen)}
		}
	}
	if d.Reboot {
		add(tagReboot)
	}
	if d.Unlock.Len() > 0 {
		add(tagUnlock, d.Unlock.Reveal()...)
	}
	if c := d.USBEnabled; c != nil {
		if *c == 0 {
			return dst, &InvalidError{"a key without any application on USB could never be reached again"}
		}
		add(tagUSBEnabled, byte(*c>>8), byte(*c))
	}
	if c := d.NFCEnabled; c != nil {
		add(tagNFCEnabled, byte(*c>>8), byte(*c))
	}
	if t := d.AutoEject; t != nil {
		n, err := seconds("auto-eject time", *t, 0xFFFF)
		if err != nil {
			return dst, err
		}
		add(tagAutoEject, byte(n>>8), byte(n))
	}
	if t := d.ChallengeTimeout; t != nil {
		n, err := seconds("challenge timeout", *t, 0xFF)
		if err != nil {
			return dst, err
		}
		add(tagChalTimeout, byte(n))
	}
	if d.DeviceFlags != nil {
		add(tagDeviceFlags, *d.DeviceFlags)
	}
	if d.NewLockCode.Len() > 0 {
		add(tagConfigLock, d.NewLockCode.Reveal()...)
	}
	if d.NFCRestricted {
		add(tagNFCRestricted, 1)
	}
	out[at] = byte(len(out) - at - 1)
	return out, nil
}

// WriteDeviceConfig changes settings of the whole key. With Reboot the key may be gone before it was seen whether it took them:
// then the error wraps ErrUnsettled, and DeviceInfo of the key that comes back tells. Other errors are as in Write.
func (s *Session) WriteDeviceConfig(ctx context.Context, d DeviceConfig) error {
	err := FeatureDeviceConfig.Supported(s.version())
	if err != nil {
		return opError(opDevice, 0, err)
	}
	payload, err := d.AppendMarshal(make([]byte, 0, PayloadLen))
	defer clear(payload)
	if err != nil {
		return opError(opDevice, 0, err)
	}
	before, err := s.carrier.change(ctx, CommandSetDevice, payload)
	switch {
	case errors.Is(err, errRefused):
		return opError(opDevice, 0, newRejected(opDevice, 0, before, d.Unlock.Len() > 0))
	case err != nil:
		return opError(opDevice, 0, err)
	}
	return nil
}
