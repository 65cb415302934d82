// Package ykslot writes the two touch slots of a YubiKey over its 8-byte feature reports.
//
// Bytes are pure and come first: a Config is 52 bytes with secrets in it (Marshal), a command with its 64-byte payload is
// at most ten reports (Reports), eight bytes back are a Status or a part of a response. A Session drives them over a
// FeatureReporter, waits at the device's pace, and decides from the programming sequence whether a write was accepted:
//
//	s, err := ykslot.Open(ctx, device, nil)
//	cfg, err := ykslot.YubicoOTP{PublicID: id, PrivateID: uid, Key: key, Flags: ykslot.TypingFlags(s.Status().Version)}.Config()
//	err = s.Write(ctx, ykslot.Slot1, cfg, secret.Bytes{})
//	var rejected *ykslot.RejectedError // lists what may be the reason
//
// Beside YubicoOTP there are HOTP, ChallengeHMAC, ChallengeYubico, ScanCodes and EncryptedPassword: what each may have, and on which
// firmware, is flagTable's and Feature's to say. ReadPress decodes what the key then types; Config.Press predicts it where no
// counter of the key is in it. What a slot holds cannot be read back: only whether it holds something.
//
// Beside Write, a Session updates flags and access codes, swaps and deletes slots, asks for challenges, and sets NDEF, the scan map and
// the settings of the key. It works the same over feature reports (Open) and smart-card commands (OpenCard).
package ykslot

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ReportLen is the length of a feature report: 7 data bytes and the flag byte. Source: reference yubikey-otp.md §1.5.
const ReportLen = 8

// Report is one feature report or one keyboard input report.
type Report = [ReportLen]byte

// FeatureReporter is one key's OTP interface, used by one goroutine. After a cancelled context it returns the context's
// error and leaves no report half transferred. A usbhid.Device is one.
type FeatureReporter interface {
	GetFeature(ctx context.Context) (Report, error)
	SetFeature(ctx context.Context, r Report) error
}

// Pause waits for d or until ctx is done, and then returns the context's error. Tests count instead of waiting.
type Pause func(ctx context.Context, d time.Duration) error

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Slot is one of the two slots: 1 is a short touch, 2 a long one.
type Slot uint8

// The slots.
const (
	Slot1 Slot = 1
	Slot2 Slot = 2
)

// String is "slot 1" or "slot 2".
func (s Slot) String() string { return fmt.Sprintf("slot %d", uint8(s)) }

// Other is the other slot.
func (s Slot) Other() Slot { return Slot1 + Slot2 - s }

func (s Slot) valid() bool { return s == Slot1 || s == Slot2 }

// Command is the opcode of a frame. Source of the values: reference yubikey-otp.md §2.
type Command uint8

// The commands used here.
const (
	CommandWrite1     Command = 0x01
	CommandWrite2     Command = 0x03
	CommandUpdate1    Command = 0x04
	CommandUpdate2    Command = 0x05
	CommandSwap       Command = 0x06
	CommandNDEF1      Command = 0x08
	CommandNDEF2      Command = 0x09
	CommandSerial     Command = 0x10
	CommandMode       Command = 0x11
	CommandScanMap    Command = 0x12
	CommandDeviceInfo Command = 0x13
	CommandSetDevice  Command = 0x15
	CommandYubico1    Command = 0x20
	CommandYubico2    Command = 0x28
	CommandHMAC1      Command = 0x30
	CommandHMAC2      Command = 0x38
)

var commandNames = map[Command]string{
	CommandWrite1: "write slot 1", CommandWrite2: "write slot 2", CommandUpdate1: "update slot 1", CommandUpdate2: "update slot 2",
	CommandSwap: "swap slots", CommandSerial: "read serial", CommandScanMap: "write scan map", CommandDeviceInfo: "read device info",
	CommandNDEF1: "write NDEF of slot 1", CommandNDEF2: "write NDEF of slot 2", CommandMode: "set USB mode", CommandSetDevice: "write device settings",
	CommandYubico1: "Yubico challenge to slot 1", CommandYubico2: "Yubico challenge to slot 2",
	CommandHMAC1: "HMAC challenge to slot 1", CommandHMAC2: "HMAC challenge to slot 2",
}

// String names the command.
func (c Command) String() string {
	if n, ok := commandNames[c]; ok {
		return n
	}
	return fmt.Sprintf("command %02x", uint8(c))
}

// ofSlot is the one of two commands that is for the slot.
func ofSlot(s Slot, first, second Command) Command {
	if s == Slot2 {
		return second
	}
	return first
}

// What callers branch on, beside *RejectedError, *UnsupportedError and *InvalidError.
var (
	// ErrNotAnswering: the device does not come to rest: its reports stay busy, or show no firmware version, or it ignores
	// frames, which a key does for up to 3 s after its FIDO or smart-card interface was used.
	ErrNotAnswering = errors.New("the key is not answering: try again in a few seconds, or unplug it and plug it in again")
	// ErrSerialHidden: no slot of the key has SERIAL_API_VISIBLE set.
	ErrSerialHidden = errors.New("the key hides its serial number")
	// ErrTouchNeeded: a challenge waits for a touch, and the caller does not.
	ErrTouchNeeded = errors.New("the slot answers only when it is touched")
	// ErrTouchTimeout: nobody touched the key in time.
	ErrTouchTimeout = errors.New("the key was not touched in time")
	// ErrUnsettled: the last report of a write was handed over, but its outcome was not seen. The slot may hold the old
	// or the new configuration.
	ErrUnsettled = errors.New("outcome of the write is unknown")
	// ErrProtocol: reports that do not follow the protocol: a wrong part number, length or CRC.
	ErrProtocol = errors.New("unexpected answer from the key")
)
