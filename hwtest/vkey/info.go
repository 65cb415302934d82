package vkey

import "encoding/binary"

// serialVisible: the serial is readable if a configured slot has SERIAL_API_VISIBLE, or both slots are empty (§1.7).
func (k *Key) serialVisible() bool {
	if k.opts.HideSerial || k.opts.Serial == 0 {
		return false
	}
	return !k.anyConfigured() || k.extFlag(extSerialAPI)
}

// serialBytes is the serial, u32 big endian (§1.8).
func (k *Key) serialBytes() []byte { return binary.BigEndian.AppendUint32(nil, k.opts.Serial) }

// Tags of device info, reference yubikey-otp.md §7.2.
const (
	tagUSBSupported = 0x01
	tagSerial       = 0x02
	tagUSBEnabled   = 0x03
	tagFormFactor   = 0x04
	tagVersion      = 0x05
	tagAutoEject    = 0x06
	tagTouchTimeout = 0x07
	tagDeviceFlags  = 0x08
	tagConfigLock   = 0x0a
	tagNFCSupported = 0x0d
	tagNFCEnabled   = 0x0e
	tagIAP          = 0x0f
	tagMoreData     = 0x10
	tagPartNumber   = 0x13
	tagPINComplex   = 0x16
)

// Capability bits, §7.2: what an interface brings along, and all there is in a generation.
const (
	capOTP  = 0x01
	capFIDO = 0x202 // FIDO2 and U2F
	capCCID = 0x3c  // OATH, PIV, OpenPGP, and the bit of CCID itself
	capApps = 0x38  // without FIDO a key shows the applications only: 39 for PID 0405 (§9.3)
	capAll5 = 0x23f
	capAll4 = 0xff // as the 4.3.7 of §7.2 answered
	capOn4  = 0x3f
	// wrongCaps is what a key with WrongCapabilities says; the reference does not have the number (§1.7).
	wrongCaps = 0x07
)

// pagedFrom is the first firmware here that splits its device info into two pages.
var pagedFrom = Version{5, 7, 0}

// DeviceInfo is length ‖ TLVs of a page of device info, as any interface answers it; nil before firmware 4.1.
func (k *Key) DeviceInfo(page byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.profile.Has(ReadInfo) {
		return nil
	}
	return k.deviceInfo(page)
}

// deviceInfo is the answer to command 13: length ‖ TLVs of one page; a page after the last is empty.
func (k *Key) deviceInfo(page byte) []byte {
	var t tlvs
	paged := !k.profile.Version.Less(pagedFrom)
	switch {
	case page == 0 && k.profile.Version.Major < 5:
		supported := byte(capAll4)
		if k.profile.Quirks&WrongCapabilities != 0 {
			supported = wrongCaps
		}
		t.add(tagUSBSupported, supported)
		k.serialTLV(&t)
		t.mask(tagUSBEnabled, capOn4)
	case page == 0:
		k.page0(&t)
		if paged {
			t.add(tagMoreData, 1)
		}
	case page == 1 && paged:
		t.add(tagPartNumber, []byte("VIRTUAL-KEY")...)
		t.add(tagPINComplex, boolByte(k.PINComplexity()))
	}
	return append([]byte{byte(len(t))}, t...)
}

// page0 has the tags of the 5.2.7 captured in §1.8, in their order.
func (k *Key) page0(t *tlvs) {
	v := k.profile.Version
	t.mask(tagUSBSupported, k.usbSupported(), 2)
	t.mask(tagUSBEnabled, k.usb, 2)
	k.serialTLV(t)
	t.add(tagFormFactor, k.profile.FormFactor)
	t.add(tagVersion, v.Major, v.Minor, v.Build)
	t.add(tagAutoEject, byte(k.autoEject>>8), byte(k.autoEject))
	t.add(tagTouchTimeout, byte(k.timeout.Seconds()))
	t.add(tagDeviceFlags, k.deviceFlags)
	if k.profile.NFC {
		t.mask(tagNFCSupported, k.nfcSupported(), 2)
		t.mask(tagNFCEnabled, k.nfc, 2)
	}
	t.add(tagConfigLock, boolByte(k.lock != lockCode{}))
	t.add(tagIAP, 0)
}

func (k *Key) serialTLV(t *tlvs) {
	if k.serialVisible() {
		t.add(tagSerial, k.serialBytes()...)
	}
}

// capsOf is the mask that agrees with the interfaces of a PID: 0401 01, 0403 203, 0405 39, 0407 23F (§9.3).
func capsOf(i Interface) uint16 {
	var m uint16
	if i&OTP != 0 {
		m |= capOTP
	}
	if i&FIDO != 0 {
		m |= capFIDO
	}
	switch {
	case i == OTP|FIDO|CCID:
		m |= capCCID
	case i&CCID != 0:
		m |= capApps
	}
	return m
}

// interfacesOf is what a mask of enabled applications needs.
func interfacesOf(m uint16) Interface {
	var i Interface
	if m&capOTP != 0 {
		i |= OTP
	}
	if m&capFIDO != 0 {
		i |= FIDO
	}
	if m&^(capOTP|capFIDO) != 0 {
		i |= CCID
	}
	return i
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// tlvs is a run of tag ‖ length ‖ value.
type tlvs []byte

func (t *tlvs) add(tag byte, value ...byte) {
	*t = append(append(*t, tag, byte(len(value))), value...)
}

// mask adds a capability mask, big endian, in at least the given bytes.
func (t *tlvs) mask(tag byte, m uint16, size ...int) {
	if len(size) == 0 && m <= 0xff {
		t.add(tag, byte(m))
		return
	}
	t.add(tag, byte(m>>8), byte(m))
}
