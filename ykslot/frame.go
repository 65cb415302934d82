package ykslot

import (
	"encoding/binary"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// PayloadLen is the payload of a frame in bytes. Source: reference yubikey-otp.md §1.5.
const PayloadLen = 64

// Layout of a frame and its reports. Source: reference yubikey-otp.md §1.5.
const (
	partLen   = ReportLen - 1
	frameLen  = 70 // payload, command, CRC LE [2], zero [3]
	lastPart  = frameLen/partLen - 1
	offFlag   = ReportLen - 1
	flagWrite = 0x80 // with the part number; set by the device until it has consumed the report
	flagData  = 0x40 // response part; end marker
	flagTouch = 0x20 // waits for touch; low bits are seconds
	flagReset = 0x8F // with zeros: drop the half-sent frame or the rest of a response
	maskPart  = 0x1F
)

// resetReport abandons whatever is under way.
var resetReport = Report{offFlag: flagReset}

// Reports cuts a command with its payload into the reports to send, in order: ten parts of 7 bytes, of which those that
// are all zero are left out except parts 0 and 9. They hold the payload's secrets; the caller clears them.
func Reports(cmd Command, payload *[PayloadLen]byte) []Report {
	var frame [frameLen]byte
	defer clear(frame[:])
	copy(frame[:], payload[:])
	frame[PayloadLen] = byte(cmd)
	binary.LittleEndian.PutUint16(frame[PayloadLen+1:], yubiotp.CRC16(payload[:]))
	out := make([]Report, 0, lastPart+1)
	for i := range lastPart + 1 {
		part := [partLen]byte(frame[i*partLen:])
		if part == ([partLen]byte{}) && i != 0 && i != lastPart {
			continue
		}
		var r Report
		copy(r[:], part[:])
		r[offFlag] = flagWrite | byte(i)
		out = append(out, r)
	}
	return out
}

// Status is what the key says about itself whenever nothing else is under way.
type Status struct {
	Version Version
	ProgSeq uint8  // 0 when no slot is configured, +1 per accepted write while powered
	Touch   uint16 // bits: see the methods; the rest is the raw touch detector
}

// Bits of Status.Touch. Source: reference yubikey-otp.md §1.5.
const (
	touchConfigured = 0x01 // slot 1; slot 2 one bit up
	touchTouch      = 0x04 // slot 1; slot 2 one bit up
	touchLED        = 0x10
	touchAnySlot    = 0x03
)

// ParseStatus reads a status report: 0, major, minor, build, ProgSeq, touch LE [2], flag 0. It reports false when the
// flag byte says that this is no status report. Byte 0 is not looked at.
func ParseStatus(r Report) (Status, bool) {
	if r[offFlag] != 0 {
		return Status{}, false
	}
	return Status{Version{r[1], r[2], r[3]}, r[4], binary.LittleEndian.Uint16(r[5:])}, true
}

// Report is the status report that ParseStatus reads.
func (s Status) Report() Report {
	r := Report{1: s.Version.Major, 2: s.Version.Minor, 3: s.Version.Patch, 4: s.ProgSeq}
	binary.LittleEndian.PutUint16(r[5:], s.Touch)
	return r
}

// Configured reports whether the slot holds a configuration. Firmware before 2.1 never says so.
func (s Status) Configured(slot Slot) bool { return s.Touch&(touchConfigured<<(slot-Slot1)) != 0 }

// TouchRequired reports whether the slot needs a touch: all modes but challenge-response without ChalBtnTrig. Firmware
// before 3.0 never says so.
func (s Status) TouchRequired(slot Slot) bool { return s.Touch&(touchTouch<<(slot-Slot1)) != 0 }

// LEDInverted reports whether the LED is off when idle.
func (s Status) LEDInverted() bool { return s.Touch&touchLED != 0 }

// Response puts the parts of an answer together. The zero value is empty and ready.
type Response struct {
	data []byte
	done bool
}

// Add takes the next report whose flag 40 is set: part 0, 1, 2 …, then the end marker, which is flag 40 again after
// data. It reports whether that was the end marker. Errors wrap ErrProtocol.
func (a *Response) Add(r Report) (end bool, err error) {
	part, want := int(r[offFlag]&maskPart), len(a.data)/partLen
	switch {
	case r[offFlag]&^maskPart != flagData:
		return false, fmt.Errorf("%w: flag %02x in a response", ErrProtocol, r[offFlag])
	case a.done:
		return false, fmt.Errorf("%w: data after the end of a response", ErrProtocol)
	case part == 0 && want > 0:
		a.done = true
		return true, nil
	case part != want:
		return false, fmt.Errorf("%w: part %d of a response where %d was due", ErrProtocol, part, want)
	}
	a.data = append(a.data, r[:partLen]...)
	return false, nil
}

// Bytes checks a complete answer of n bytes and returns them: exactly ceil((n+2)/7) parts, and the complemented CRC after
// the n bytes. Errors wrap ErrProtocol. Source: reference yubikey-otp.md §1.6.
func (a *Response) Bytes(n int) ([]byte, error) {
	if parts := (n + 2 + partLen - 1) / partLen; len(a.data) != parts*partLen {
		return nil, fmt.Errorf("%w: %d parts of a response, want %d", ErrProtocol, len(a.data)/partLen, parts)
	}
	return a.prefix(n)
}

// Counted checks an answer that starts with the number of bytes that follow, as device information does, and returns all
// but that byte. More parts than needed are taken: the rest is padding.
func (a *Response) Counted() ([]byte, error) {
	if len(a.data) == 0 {
		return nil, fmt.Errorf("%w: empty response", ErrProtocol)
	}
	b, err := a.prefix(1 + int(a.data[0]))
	if err != nil {
		return nil, err
	}
	return b[1:], nil
}

func (a *Response) prefix(n int) ([]byte, error) {
	if !a.done || len(a.data) < n+2 {
		return nil, fmt.Errorf("%w: response is cut off", ErrProtocol)
	}
	if yubiotp.CRC16(a.data[:n+2]) != yubiotp.CRCResidual {
		return nil, fmt.Errorf("%w: response with a wrong CRC", ErrProtocol)
	}
	return a.data[:n:n], nil
}
