package vkey

import (
	"crypto/subtle"
	"encoding/binary"
	"time"
)

// lockCode guards the device configuration; zeros are none (§7.2).
type lockCode [16]byte

// deviceConfig is what command 11 and 15 write.
type deviceConfig struct {
	usb, nextUSB uint16 // enabled applications, now and after the next power-up
	nfc          uint16
	mode         byte
	autoEject    uint16
	timeout      time.Duration // how long a challenge waits for a touch
	deviceFlags  byte
	lock         lockCode
}

// flagEject is the device flag that touchEject sets.
const flagEject = touchEject

func newDeviceConfig(p Profile) deviceConfig {
	d := deviceConfig{usb: capsOf(Interfaces(p.PID)), timeout: defaultTouchWait}
	d.nextUSB = d.usb
	if p.NFC {
		d.nfc = capAll5
	}
	for mode, i := range modes {
		if i == Interfaces(p.PID) {
			d.mode = byte(mode)
		}
	}
	return d
}

func (k *Key) usbSupported() uint16 { return capAll5 }

func (k *Key) nfcSupported() uint16 {
	if !k.profile.NFC {
		return 0
	}
	return capAll5
}

// enabled is the applications that answer over the transport.
func (k *Key) enabled(by Transport) uint16 {
	if by == OverNFC {
		return k.nfc
	}
	return k.usb
}

// More tags, which only a write has (§7.2).
const (
	tagUnlock        = 0x0b
	tagReboot        = 0x0c
	tagNFCRestricted = 0x17
)

// WriteDeviceInfo is a write of device info, length ‖ TLVs, by an interface that has no command for it here: FIDO. It says
// whether the key accepted it; with the reboot tag the key is gone soon after.
func (k *Key) WriteDeviceInfo(b []byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.plugged || !k.profile.Has(WriteInfo) || !k.writeInfo(b) {
		return false
	}
	k.counted(cmdWriteInfo)
	return true
}

// Settle carries out a reboot that is due; the caller has delivered what was said before it.
func (k *Key) Settle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settle()
}

// writeInfo takes length ‖ TLVs of command 15. All of it is taken or nothing: an empty list, a wrong or missing lock code, an
// application that the key does not have, a key without any USB application, and an unknown tag reject it. With the
// reboot tag, the key leaves as soon as the host has seen that.
func (k *Key) writeInfo(b []byte) bool {
	if len(b) == 0 || b[0] == 0 || int(b[0]) > len(b)-1 {
		return false
	}
	next, reboot, unlock := k.deviceConfig, false, lockCode{}
	for b = b[1 : 1+b[0]]; len(b) > 0; {
		if len(b) < 2 || int(b[1]) > len(b)-2 {
			return false
		}
		tag, value := b[0], b[2:2+b[1]]
		b = b[2+len(value):]
		switch {
		case tag == tagReboot && len(value) == 0:
			reboot = true
		case tag == tagUnlock && len(value) == len(unlock):
			unlock = lockCode(value)
		case !next.set(tag, value):
			return false
		}
	}
	locked := k.lock != lockCode{}
	if locked && subtle.ConstantTimeCompare(unlock[:], k.lock[:]) != 1 {
		return false
	}
	if next.nextUSB == 0 || next.nextUSB&^k.usbSupported() != 0 || next.nfc&^k.nfcSupported() != 0 {
		return false
	}
	k.deviceConfig = next
	k.rebooting = reboot
	return true
}

// set takes one item.
func (d *deviceConfig) set(tag byte, value []byte) bool {
	switch {
	case tag == tagUSBEnabled && len(value) == 2:
		d.nextUSB = binary.BigEndian.Uint16(value)
	case tag == tagNFCEnabled && len(value) == 2:
		d.nfc = binary.BigEndian.Uint16(value)
	case tag == tagAutoEject && len(value) == 2:
		d.autoEject = binary.BigEndian.Uint16(value)
	case tag == tagTouchTimeout && len(value) == 1:
		d.timeout = time.Duration(value[0]) * time.Second
		if value[0] == 0 {
			d.timeout = defaultTouchWait
		}
	case tag == tagDeviceFlags && len(value) == 1:
		d.deviceFlags = value[0]
	case tag == tagConfigLock && len(value) == len(d.lock):
		d.lock = lockCode(value)
	case tag == tagNFCRestricted && len(value) == 1:
	default:
		return false
	}
	return true
}

// settle carries out a reboot, if one is due: the key goes away and comes back with the interfaces that are enabled now.
func (k *Key) settle() bool {
	if !k.rebooting {
		return false
	}
	k.unplug()
	k.powerUp()
	return true
}

// HoldsLockCode says whether the device configuration is guarded by just this code; zeros are never one.
func (k *Key) HoldsLockCode(code [16]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lock != lockCode{} && k.lock == code
}
