package ykslot

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

func ptr[T any](v T) *T { return &v }

// TestDeviceConfigBytes are the items of reference yubikey-otp.md §7.2, in its order.
func TestDeviceConfigBytes(t *testing.T) {
	t.Parallel()
	a, b := bytes.Repeat([]byte{0xa1}, 16), bytes.Repeat([]byte{0xb2}, 16)
	for _, tc := range []struct {
		name  string
		d     DeviceConfig
		want  string
		fails string
	}{
		{"nothing", DeviceConfig{}, "00", ""},
		{"reboot", DeviceConfig{Reboot: true}, "020c00", ""},
		{"USB", DeviceConfig{USBEnabled: ptr(CapOTP | CapFIDO2)}, "0403020201", ""},
		{"NFC off", DeviceConfig{NFCEnabled: ptr(Capability(0))}, "040e020000", ""},
		{"auto-eject", DeviceConfig{AutoEject: ptr(258 * time.Second)}, "0406020102", ""},
		{"timeout", DeviceConfig{ChallengeTimeout: ptr(15 * time.Second)}, "0307010f", ""},
		{"flags", DeviceConfig{DeviceFlags: ptr(uint8(0x80))}, "03080180", ""},
		{"NFC restricted", DeviceConfig{NFCRestricted: true}, "03170101", ""},
		{
			"all", DeviceConfig{
				Reboot: true, Unlock: secret.New(a), NewLockCode: secret.New(b), USBEnabled: ptr(CapOTP), NFCEnabled: ptr(CapPIV),
				AutoEject: ptr(time.Second), ChallengeTimeout: ptr(time.Second), DeviceFlags: ptr(uint8(0)), NFCRestricted: true,
			},
			"3b" + "0c00" + "0b10" + hex.EncodeToString(a) + "03020001" + "0e020010" + "06020001" + "070101" + "080100" + "0a10" + hex.EncodeToString(b) + "170101", "",
		},
		{"nothing on USB", DeviceConfig{USBEnabled: ptr(Capability(0))}, "", "never be reached"},
		{"short code", DeviceConfig{Unlock: secret.New(a[:15])}, "", "15 bytes, want 16"},
		{"long code", DeviceConfig{NewLockCode: secret.New(append(a, 0))}, "", "17 bytes, want 16"},
		{"long timeout", DeviceConfig{ChallengeTimeout: ptr(256 * time.Second)}, "", "at most 255"},
		{"half seconds", DeviceConfig{AutoEject: ptr(time.Second / 2)}, "", "whole seconds"},
		{"negative", DeviceConfig{AutoEject: ptr(-time.Second)}, "", "whole seconds"},
	} {
		got, err := tc.d.AppendMarshal(nil)
		if tc.fails != "" {
			var invalid *InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.fails) || got != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		if err != nil || hex.EncodeToString(got) != tc.want {
			t.Errorf("%s: %x, %v, want %s", tc.name, got, err, tc.want)
		}
	}
}

// TestModeBytes are those of reference yubikey-otp.md §2.
func TestModeBytes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		m     USBMode
		want  string
		fails string
	}{
		{USBMode{OTP: true}, "00000000", ""},
		{USBMode{CCID: true}, "01000000", ""},
		{USBMode{OTP: true, CCID: true}, "02000000", ""},
		{USBMode{FIDO: true}, "03000000", ""},
		{USBMode{OTP: true, FIDO: true}, "04000000", ""},
		{USBMode{FIDO: true, CCID: true}, "05000000", ""},
		{USBMode{OTP: true, FIDO: true, CCID: true, ChallengeTimeout: 255 * time.Second}, "06ff0000", ""},
		{USBMode{CCID: true, TouchEject: true, AutoEject: 258 * time.Second}, "81000201", ""},
		{USBMode{}, "", "never be reached"},
		{USBMode{OTP: true, CCID: true, TouchEject: true}, "", "nothing else"},
		{USBMode{CCID: true, AutoEject: time.Second}, "", "ejects at a touch"},
		{USBMode{OTP: true, ChallengeTimeout: 300 * time.Second}, "", "at most 255"},
		{USBMode{CCID: true, TouchEject: true, AutoEject: 65536 * time.Second}, "", "at most 65535"},
	} {
		got, err := tc.m.AppendMarshal(nil)
		if (err != nil) != (tc.fails != "") || err != nil && !strings.Contains(err.Error(), tc.fails) || hex.EncodeToString(got) != tc.want {
			t.Errorf("%+v: %x, %v", tc.m, got, err)
		}
	}
}

// deafCarrier refuses every change and answers with device information.
type deafCarrier struct {
	status  Status
	info    []byte
	refusal error // errRefused if nil
}

func (d deafCarrier) last() Status                                  { return d.status }
func (d deafCarrier) refresh(context.Context) (Status, error)       { return d.status, nil }
func (d deafCarrier) ask(context.Context, question) ([]byte, error) { return d.info, nil }
func (d deafCarrier) change(context.Context, Command, []byte) (Status, error) {
	return d.status, cmp.Or(d.refusal, errRefused)
}

// TestSettingsOfAnEmptyKey: when the sequence is 0 and stays so, what device information shows decides.
func TestSettingsOfAnEmptyKey(t *testing.T) {
	t.Parallel()
	info := func(tag byte, v ...byte) []byte { return append([]byte{tag, byte(len(v))}, v...) }
	otp := DeviceConfig{USBEnabled: ptr(CapOTP)}
	for _, tc := range []struct {
		name string
		seq  uint8
		info []byte
		d    DeviceConfig
		done bool
	}{
		{"shown", 0, info(tagUSBEnabled, 0, 1), otp, true},
		{"not shown", 0, info(tagUSBEnabled, 0, 3), otp, false},
		{"a slot is configured", 1, info(tagUSBEnabled, 0, 1), otp, false},
		{"a lock code does not show", 0, info(tagUSBEnabled, 0, 1), DeviceConfig{USBEnabled: ptr(CapOTP), NewLockCode: secret.New(make([]byte, 16))}, false},
		{"nothing to see", 0, nil, DeviceConfig{DeviceFlags: ptr(uint8(0x40))}, false},
		{"one of two", 0, append(info(tagUSBEnabled, 0, 1), info(tagAutoEject, 0, 9)...), DeviceConfig{USBEnabled: ptr(CapOTP), AutoEject: ptr(8 * time.Second)}, false},
	} {
		s := &Session{deafCarrier{status: Status{Version: Version{5, 4, 3}, ProgSeq: tc.seq}, info: tc.info}}
		err := s.WriteDeviceConfig(t.Context(), tc.d)
		var rejected *RejectedError
		if (err == nil) != tc.done || err != nil && !errors.As(err, &rejected) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestCardRefusesAnEmptyKey: a status word is a refusal, though the sequence is 0.
func TestCardRefusesAnEmptyKey(t *testing.T) {
	t.Parallel()
	word := fmt.Errorf("%w: 6985", errRefused)
	var rejected *RejectedError
	s := &Session{deafCarrier{status: Status{Version: Version{4, 3, 5}}, refusal: word}}
	if err := s.SetMode(t.Context(), USBMode{OTP: true}); !errors.As(err, &rejected) {
		t.Errorf("mode: %v", err)
	}
	s = &Session{deafCarrier{status: Status{Version: Version{5, 4, 3}}, info: []byte{tagUSBEnabled, 2, 0, 1}, refusal: word}}
	if err := s.WriteDeviceConfig(t.Context(), DeviceConfig{USBEnabled: ptr(CapOTP)}); !errors.As(err, &rejected) {
		t.Errorf("settings: %v", err)
	}
}

// FuzzDeviceConfig: what is built fits a frame, and is read back item by item as device information is. A USB mode of the same parts
// is 4 bytes.
func FuzzDeviceConfig(f *testing.F) {
	f.Add(uint16(1), uint16(2), uint32(3), uint32(4), byte(0xff), []byte("0123456789abcdef"), []byte("fedcba9876543210"))
	f.Add(uint16(0), uint16(0), uint32(70000), uint32(0), byte(0), []byte{}, []byte{1})
	f.Fuzz(func(t *testing.T, usb, nfc uint16, eject, timeout uint32, which byte, unlock, lock []byte) {
		d := DeviceConfig{Reboot: which&1 != 0, NFCRestricted: which&2 != 0, Unlock: secret.Copy(unlock), NewLockCode: secret.Copy(lock)}
		if which&4 != 0 {
			d.USBEnabled = ptr(Capability(usb))
		}
		if which&8 != 0 {
			d.NFCEnabled = ptr(Capability(nfc))
		}
		if which&16 != 0 {
			d.AutoEject = ptr(time.Duration(eject) * time.Second)
		}
		if which&32 != 0 {
			d.ChallengeTimeout = ptr(time.Duration(timeout) * time.Second)
		}
		m := USBMode{OTP: usb&1 != 0, FIDO: usb&2 != 0, CCID: usb&4 != 0, TouchEject: nfc&1 != 0}
		m.ChallengeTimeout, m.AutoEject = time.Duration(timeout)*time.Second, time.Duration(eject)*time.Second
		if b, err := m.AppendMarshal(nil); err != nil && b != nil || err == nil && (len(b) != 4 || b[0]&^modeEject > 6 ||
			uint32(b[1]) != timeout || uint32(binary.LittleEndian.Uint16(b[2:])) != eject) {
			t.Fatalf("mode %x, %v", b, err)
		}
		b, err := d.AppendMarshal(nil)
		if err != nil {
			if b != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if len(b) > PayloadLen || int(b[0]) != len(b)-1 {
			t.Fatalf("%d bytes, length %d", len(b), b[0])
		}
		items := map[byte][]byte{}
		for rest := b[1:]; len(rest) > 0; rest = rest[2+rest[1]:] {
			items[rest[0]] = rest[2 : 2+rest[1]]
		}
		if d.USBEnabled != nil && binary.BigEndian.Uint16(items[tagUSBEnabled]) != usb || d.AutoEject != nil && uint32(binary.BigEndian.Uint16(items[tagAutoEject])) != eject ||
			!bytes.Equal(items[tagUnlock], unlock) || !bytes.Equal(items[tagConfigLock], lock) {
			t.Fatalf("%x", b)
		}
	})
}
