package ykslot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// serialLen is the answer to CommandSerial. Source: reference yubikey-otp.md §1.8.
const serialLen = 4

// maxPages bounds the pages of device information that a device may announce; keys have one or two.
const maxPages = 16

// Serial reads the serial number: 4 bytes big-endian. It wraps ErrSerialHidden if the key stays silent, which it does
// unless SERIAL_API_VISIBLE is set in a slot or both slots are empty, and *UnsupportedError before firmware 2.2.
func (s *Session) Serial(ctx context.Context) (uint32, error) {
	if err := FeatureSerial.Supported(s.version()); err != nil {
		return 0, err
	}
	b, err := s.carrier.ask(ctx, question{cmd: CommandSerial, answer: serialLen})
	if errors.Is(err, errNoAnswer) {
		err = ErrSerialHidden
	}
	if err != nil {
		return 0, fmt.Errorf("read serial: %w", err)
	}
	return binary.BigEndian.Uint32(b), nil
}

// DeviceInfo reads all pages of device information. It wraps *UnsupportedError before firmware 4.1.
func (s *Session) DeviceInfo(ctx context.Context) (DeviceInfo, error) {
	if err := FeatureDeviceInfo.Supported(s.version()); err != nil {
		return DeviceInfo{}, err
	}
	var d DeviceInfo
	for page, left := 0, 1; left > 0; page++ {
		if page == maxPages {
			return DeviceInfo{}, fmt.Errorf("read device info: %w: more than %d pages", ErrProtocol, maxPages)
		}
		b, err := s.carrier.ask(ctx, question{cmd: CommandDeviceInfo, payload: []byte{byte(page)}, answer: counted})
		if err != nil {
			return DeviceInfo{}, fmt.Errorf("read device info: page %d: %w", page, err)
		}
		more, err := d.AddPage(b)
		if err != nil {
			return DeviceInfo{}, fmt.Errorf("read device info: page %d: %w", page, err)
		}
		left--
		if more >= 0 {
			left = more
		}
	}
	d.correct(s.version())
	return d, nil
}
