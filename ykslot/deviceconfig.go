package ykslot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

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
	case err == errRefused && before.ProgSeq == 0 && s.shows(ctx, d): // itself, as in SetMode
		return nil // without a configured slot the sequence may not move
	case errors.Is(err, errRefused):
		return opError(opDevice, 0, newRejected(opDevice, 0, before, d.Unlock.Len() > 0, false))
	case err != nil:
		return opError(opDevice, 0, err)
	}
	return nil
}

// shows reports whether the key's device information has every setting of d that it can show, and there is one.
func (s *Session) shows(ctx context.Context, d DeviceConfig) bool {
	have, err := s.DeviceInfo(ctx)
	if err != nil {
		return false
	}
	shown := false
	return d.NewLockCode.Len() == 0 &&
		matches(d.USBEnabled, have.USBEnabled, &shown) && matches(d.NFCEnabled, have.NFCEnabled, &shown) &&
		matches(d.AutoEject, have.AutoEject, &shown) && matches(d.ChallengeTimeout, have.ChallengeTimeout, &shown) && shown
}

// matches reports whether a setting is as wanted, or none is; shown becomes true when one is wanted.
func matches[T comparable](want *T, have T, shown *bool) bool {
	if want == nil {
		return true
	}
	*shown = true
	return *want == have
}
